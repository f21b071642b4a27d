"""Convolutions beside oneDNN's: each shape in turns, the best of all rounds of either, whose filters are packed before."""
import csv
import os

from comparisons.common import PEERS, geometric_mean, number, ratio, rows, run, say, table

LEAST_RATIO = 0.6      # of oneDNN's speed, for small and odd shapes
LEAST_OF_NEXT = 1 / 3  # of our own speed with the next multiple of 8 channels


def read_shapes(name):
    with open(os.path.join(PEERS, name), encoding="utf-8") as file:
        lines = file.read().splitlines()
    return lines[0], [line for line in lines[1:] if line]


def measure(options, context, name, thread_counts):
    """GFLOP/s: (shape, op, threads) -> {"ours": ..., "onednn": ...}."""
    head, shapes = read_shapes(name)
    ours = os.path.join(options.build, "tools", "bench_conv")
    one = os.path.join(options.scratch, "shape.csv")
    seconds = str(min(options.seconds, 0.1))
    best = {}

    def add(who, text):
        for r in rows(text):
            if int(r["threads"]) in thread_counts:
                found = best.setdefault((r["name"], r["op"], int(r["threads"])), {})
                found[who] = max(found.get(who, 0), float(r["gflops"]))

    for turn in range(options.rounds):
        say(f"{name}: round {turn + 1} of {options.rounds}")
        for shape in shapes:
            with open(one, "w", encoding="utf-8") as file:
                file.write(head + "\n" + shape + "\n")
            context.peak.measure()
            for threads in thread_counts:
                add("ours", run([ours, "--keep-filters", "--shapes", one, "--threads", str(threads), "--seconds", seconds]))
            for text in context.onednn().run(one, max(thread_counts)):
                add("onednn", text)
    return best


def kernels(options, context):
    """The convolutions of conv_shapes.csv with one thread and with two."""
    counts = sorted({1, options.threads})
    best = measure(options, context, "conv_shapes.csv", counts)
    onednn, peak = context.onednn(), context.peak
    for threads in counts:
        roof = peak.gflops * threads
        found = {(shape, op): g for (shape, op, count), g in best.items() if count == threads}
        table(f"Convolutions, {threads} thread{'s' if threads > 1 else ''} (GFLOP/s; oneDNN {onednn.versions()}; "
              f"peak {roof:.0f}):", ["shape", "op", "tapegrad", "of the peak", "oneDNN", "ratio"],
              [[shape, op, number(g["ours"]), number(g["ours"] / roof, 2), number(g.get("onednn")),
                number(ratio(g["ours"], g.get("onednn")), 2)] for (shape, op), g in found.items()])
        print(f"\nOf the peak: geometric mean {geometric_mean(g['ours'] / roof for g in found.values()):.2f}")
        fast = {key: g["ours"] / g["onednn"] for key, g in found.items() if g.get("onednn", 0) > 50 * threads}
        if fast:
            worst = min(fast, key=fast.get)
            print(f"Where oneDNN exceeds 50 GFLOP/s a thread ({len(fast)} rows): geometric mean "
                  f"{geometric_mean(fast.values()):.2f}, worst {fast[worst]:.2f} ({' '.join(worst)})")
    if len(counts) > 1:
        gains = [best[shape, op, counts[-1]]["ours"] / g["ours"] for (shape, op, count), g in best.items() if count == 1]
        print(f"{counts[-1]} threads beside one: geometric mean {geometric_mean(gains):.2f}, worst {min(gains):.2f}")


def next_of_eight(shape):
    """The name of the same shape with the next multiple of 8 channels: same_17 -> same_24."""
    kind, _, channels = shape.rpartition("_")
    return f"{kind}_{(int(channels) + 7) // 8 * 8}"


def odd(options, context):
    """Small and odd shapes (odd_shapes.csv): beside oneDNN, and beside our own next multiple of 8 channels."""
    counts = sorted({1, options.threads})
    best = measure(options, context, "odd_shapes.csv", counts)
    onednn = context.onednn()
    for threads in counts:
        lines, slow = [], []
        for (shape, op, count), g in best.items():
            if count != threads:
                continue
            after = next_of_eight(shape)
            of_onednn = ratio(g["ours"], g.get("onednn"))
            of_next = None if after == shape else g["ours"] / best[after, op, count]["ours"]
            lines.append([shape, op, number(g["ours"], 2), number(g.get("onednn"), 2), number(of_onednn, 2), number(of_next, 2)])
            if (of_onednn or 1) < LEAST_RATIO or (of_next or 1) < LEAST_OF_NEXT:
                slow.append(lines[-1])
        columns = ["shape", "op", "tapegrad", "oneDNN", "ratio", "of our next multiple of 8"]
        table(f"Small and odd shapes, {threads} thread{'s' if threads > 1 else ''} (GFLOP/s; oneDNN {onednn.versions()}):",
              columns, lines)
        if slow:
            table(f"Of these {len(lines)}, {len(slow)} have less than {LEAST_RATIO} of oneDNN's speed or less than a third of "
                  f"our next multiple of 8:", columns, sorted(slow, key=lambda line: float(line[4].replace("-", "9"))))
        else:
            print(f"\nNone of these {len(lines)} has less than {LEAST_RATIO} of oneDNN's speed, or less than a third of our next "
                  f"multiple of 8.")
