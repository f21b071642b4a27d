"""What figures depend on: the CPU, and the peak of its fused multiply-adds (FMA) as measured in the same run."""
import os

from comparisons.common import rows, run


def processor():
    """Family, model and name of the first CPU, as /proc/cpuinfo tells them."""
    found = {}
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, colon, value = line.partition(":")
            if not colon:
                break
            found[name.strip()] = value.strip()
    def hexadecimal(name):
        return f"{int(found[name]):X}h" if found.get(name, "").isdigit() else "unknown"
    return (f"{found.get('model name', 'unknown CPU')}, family {hexadecimal('cpu family')}, "
            f"model {hexadecimal('model')}, {len(os.sched_getaffinity(0))} CPUs")


def busy():
    """Says so where other programs are running, which makes all figures those of a busy machine."""
    load = os.getloadavg()[0]
    return f"; other programs are running: the load was {load:.1f}" if load > 0.5 else ""


class Peak:
    """Float32 FMA of a single core, in GFLOP/s: the best of all that is measured in the course of a run."""

    def __init__(self, build):
        self.program = os.path.join(build, "tools", "bench_peak")
        self.gflops = self.all_cores = self.bits = self.cores = 0

    def measure(self, threads=1, seconds=0.02):
        for row in rows(run([self.program, "--threads", str(threads), "--seconds", str(seconds)])):
            self.bits = int(row["bits"])
            if int(row["threads"]) == 1:
                self.gflops = max(self.gflops, float(row["gflops"]))
            if int(row["threads"]) == threads and threads > 1:
                self.cores, self.all_cores = threads, max(self.all_cores, float(row["gflops"]))

    def told(self):
        both = f"; {self.all_cores:.0f} of {self.cores} threads together" if self.cores else ""
        return f"{self.gflops:.0f} GFLOP/s of Float32 FMA a core ({self.bits}-bit vectors){both}"
