"""What a parallel loop costs from its call to its last piece, beside OpenMP's of GCC."""
import os

from comparisons.common import number, rows, run, say, table

LOOPS = (("tapegrad", "passive"), ("openmp static", "passive"), ("openmp dynamic", "passive"),
         ("openmp static", "active"), ("openmp dynamic", "active"))


def parallel(options, _):
    program = os.path.join(options.build, "tools", "bench_parallel")
    if not os.path.exists(program):
        say("parallel is left out: no bench_parallel, which needs a compiler with OpenMP")
        return
    seconds = str(min(options.seconds, 0.1))
    for gap in ("0", "50"):
        found = {}
        for policy in ("passive", "active"):
            for row in rows(run([program, "--threads", "8", "--gap", gap, "--seconds", seconds], {"OMP_WAIT_POLICY": policy})):
                found[row["threads"], row["piece_us"], row["loop"], policy] = row
        lines = []
        for threads, piece in dict.fromkeys(key[:2] for key in found):
            cells = [found[threads, piece, *loop] for loop in LOOPS]
            lines.append([threads, piece, number(float(cells[0]["least_us"]), 1)] +
                         [f"{number(float(cell['median_us']), 1)} / {number(float(cell['p90_us']), 1)}" for cell in cells])
        table(f"Loops of 16 pieces, {'called again at once' if gap == '0' else f'with {gap} us of other work between them'} "
              f"(us, median / 90th percentile; {len(os.sched_getaffinity(0))} CPUs):",
              ["threads", "piece, us", "the pieces alone"] + [name if name == "tapegrad" else f"{name}, OMP_WAIT_POLICY={policy}"
                                                              for name, policy in LOOPS], lines)
