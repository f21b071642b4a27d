#!/usr/bin/env python3
"""Measures how training scales over processes and threads on this machine, and says where a model leads for many machines.

usage: scaling.py [--build build/release] [--rounds 3] [--seconds 2] [--nets tutorial,wide,unet] [--mpirun tests/mpi/mpirun.sh]
                  [--latency 20e-6] [--bandwidth 3e9] [--message 1e-6] [--model-only FILE] [--out FILE]

Needs a build with -DTAPEGRAD_MPI=ON and bench_distributed in it. Every round measures all combinations in turns; the median of
the rounds counts. "strong" keeps the batch of all processes, "weak" that of each.

The model of a step with P machines (one process each):

  computation    the most chunks that a process has, times what its images take here, plus what every process does for itself
                 (the optimizer), measured from two sizes of batch with one process and one thread
  communication  comparison        2 ceil(log2 P) latency
                 losses            ceil(log2 P) latency
                 tree              each process sends the sums of its subtrees, a segment to each other process, and gets all
                                   segments back: (P - 1) message each time, ceil(log2 P) latency, and, with K subtrees and n
                                   bytes of gradients, (K + 1) n (P - 1) / P / bandwidth
                 allreduce         2 ceil(log2 P) latency + 2 n (P - 1) / P / bandwidth

--latency is the seconds from a call to the arrival of a short message, --bandwidth bytes per second of one machine's link, and
--message what sending one more message of many costs the processor. The default is 25 Gbit Ethernet. The model is checked against
two processes here, with the latency and bandwidth that bench_distributed --links measures between them.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys

BATCH = {"tutorial": 512, "wide": 512, "unet": 64}


def chunks_of(batch):
    """As chunk_size() in transforms/batch_gradient.cpp cuts a batch."""
    return math.ceil(batch / min(max(batch // 8, 4), 16))


def subtrees(first, end, count):
    """As subtrees_of() in transforms/subtrees_internal.h: how many complete subtrees are in chunks [first, end) of count."""
    leaves, found = 1 << max(0, (count - 1).bit_length()), 0
    while first < end:
        width = 1
        while width < leaves and first % (2 * width) == 0 and min(first + 2 * width, count) <= end:
            width *= 2
        first += width
        found += 1
    return found


def share(process, processes, count):
    return count * process // processes, count * (process + 1) // processes


class Machine:
    def __init__(self, latency, bandwidth, message):
        self.latency, self.bandwidth, self.message = latency, bandwidth, message

    def communication(self, processes, chunks, size, adding):
        if processes == 1:
            return 0.0
        log = math.ceil(math.log2(processes))
        most = max(subtrees(*share(p, processes, chunks), chunks) for p in range(processes))
        part = size * (processes - 1) / processes / self.bandwidth
        fixed = 3 * log * self.latency
        if adding == "tree":
            return fixed + 2 * (log * self.latency + (processes - 1) * self.message) + (most + 1) * part
        return fixed + 2 * log * self.latency + 2 * part


def step(net, processes, batch, machine, adding):
    """Seconds of a step, and the part of them that is communication."""
    chunks = chunks_of(batch)
    most = max(end - first for first, end in (share(p, processes, chunks) for p in range(processes)))
    computation = net["fixed"] + min(most * math.ceil(batch / chunks), batch) * net["image"]
    talk = machine.communication(processes, chunks, net["bytes"], adding)
    return computation + talk, talk


def bench(arguments, processes, *options):
    command = [f"{arguments.build}/tools/bench_distributed", *map(str, options)]
    if processes:
        command = [arguments.mpirun, str(processes), *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def median_of(rows):
    return {key: statistics.median(row[key] for row in rows) if isinstance(value, (int, float)) else value
            for key, value in rows[0].items()}


def measure(arguments, net):
    """All combinations in turns."""
    batch = BATCH[net]
    common = ["--net", net, "--seconds", arguments.seconds]
    cases = {
        "1 x 1": (0, ["--alone", "--threads", 1, "--batch", batch]),
        "1 x 1, half the batch": (0, ["--alone", "--threads", 1, "--batch", batch // 2]),
        "1 x 2": (0, ["--alone", "--threads", 2, "--batch", batch]),
        "2 x 1": (2, ["--threads", 1, "--batch", batch]),
        "2 x 1, allreduce": (2, ["--threads", 1, "--batch", batch, "--adding", "allreduce"]),
        "2 x 1, weak": (2, ["--threads", 1, "--batch", 2 * batch]),
        "4 x 1": (4, ["--threads", 1, "--batch", batch]),
    }
    rows = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, (processes, options) in cases.items():
            rows[name].append(bench(arguments, processes, *common, *options))
    found = {name: median_of(values) for name, values in rows.items()}
    ratios = [two["images_per_s"] / one["images_per_s"] for two, one in zip(rows["2 x 1"], rows["1 x 2"])]
    found["ratio of 2 x 1 to 1 x 2"] = statistics.median(ratios)
    return found


def fit(net, found):
    """What the model needs to know of a net: from one process with one thread, and two batches."""
    batch, chunks = BATCH[net], chunks_of(BATCH[net])
    whole, half = (found[name]["ms_step"] / 1e3 for name in ("1 x 1", "1 x 1, half the batch"))
    image = max((whole - half) / (batch / 2), whole / batch / 2)
    return {"batch": batch, "image": image, "fixed": max(whole - batch * image, 0.0), "bytes": 4 * found["1 x 1"]["parameters"]}


def links(arguments):
    rows = dict(bench(arguments, 2, "--links")["bytes_and_seconds"])
    small, large = rows[4], rows[16_000_000]
    # A sum over two processes: each sends half, adds, and sends half back; the comparison before it is a call of its own.
    return Machine(small / 4, 16_000_000 / (large - small), 1e-6)


def show_measured(net, found):
    print(f"\n{net}, batch {BATCH[net]}, {found['1 x 1']['parameters']:,.0f} parameters (processes x threads, medians)")
    for name, row in found.items():
        if isinstance(row, dict):
            print(f"  {name:24} {row['images_per_s']:10,.0f} images/s {row['ms_step']:8.2f} ms a step, "
                  f"{row['ms_communication']:7.2f} in communication, {row['peak_rss_mib']:5.0f} MiB")
    print(f"  two processes of one thread have {found['ratio of 2 x 1 to 1 x 2']:.2f} of the speed of one process of two threads")


def show_model(name, net, machine):
    print(f"\n{name}: images/s by the model, with {machine.latency * 1e6:g} us latency and {machine.bandwidth / 1e9:g} GB/s")
    print(f"  {'machines':>8} | {'strong: batch ' + str(net['batch']):>44} | {'weak: ' + str(net['batch']) + ' on each machine':>44}")
    print(f"  {'':8} | {'tree':>12} {'allreduce':>12} {'communication':>18} | {'tree':>12} {'efficiency':>12} {'communication':>18}")
    machines = [1 << i for i in range(11)]
    for processes in machines:
        tree, talk = step(net, processes, net["batch"], machine, "tree")
        fast, _ = step(net, processes, net["batch"], machine, "allreduce")
        weak, weak_talk = step(net, processes, net["batch"] * processes, machine, "tree")
        alone, _ = step(net, 1, net["batch"], machine, "tree")
        print(f"  {processes:8} | {net['batch'] / tree:12,.0f} {net['batch'] / fast:12,.0f} {talk / tree:18.0%} | "
              f"{net['batch'] * processes / weak:12,.0f} {alone / weak:12.0%} {weak_talk / weak:18.0%}")
    best = min(machines, key=lambda p: step(net, p, net["batch"], machine, "tree")[0])
    _, talk = step(net, best, net["batch"], machine, "tree")
    chunks = chunks_of(net["batch"])
    bound = f"the {chunks} chunks of a batch" if best >= chunks else "communication"
    print(f"  strong scaling ends at {best} machines: what bounds it is {bound}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1])
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--mpirun", default="tests/mpi/mpirun.sh")
    parser.add_argument("--nets", default="tutorial,wide,unet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--latency", type=float, default=20e-6)
    parser.add_argument("--bandwidth", type=float, default=3e9)
    parser.add_argument("--message", type=float, default=1e-6)
    parser.add_argument("--model-only", metavar="FILE", help="what an earlier run wrote to --out")
    parser.add_argument("--out", metavar="FILE")
    arguments = parser.parse_args()
    machine = Machine(arguments.latency, arguments.bandwidth, arguments.message)
    if arguments.model_only:
        with open(arguments.model_only, encoding="utf-8") as file:
            measured = json.load(file)
    else:
        here = links(arguments)
        measured = {"latency": here.latency, "bandwidth": here.bandwidth, "nets": {}}
        for name in arguments.nets.split(","):
            measured["nets"][name] = measure(arguments, name)
    here = Machine(measured["latency"], measured["bandwidth"], 1e-6)
    print(f"between two processes here: {here.latency * 1e6:.1f} us latency, {here.bandwidth / 1e9:.2f} GB/s")
    for name, found in measured["nets"].items():
        net = fit(name, found)
        show_measured(name, found)
        for case, batch, adding in (("2 x 1", net["batch"], "tree"), ("2 x 1, allreduce", net["batch"], "allreduce"),
                                    ("2 x 1, weak", 2 * net["batch"], "tree")):
            seconds, _ = step(net, 2, batch, here, adding)
            print(f"  the model says {1e3 * seconds:.2f} ms of a step of {case}, measured are {found[case]['ms_step']:.2f}: "
                  f"{1e3 * seconds / found[case]['ms_step']:.2f} of it")
        show_model(name, net, machine)
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(measured, file, indent=1)


main()
