#!/usr/bin/env python3
"""Compares tapegrad with PyTorch, oneDNN and ONNX Runtime: runs them in turns, and prints the tables that the README shows.

    cmake --preset release && cmake --build --preset release
    tools/bench/compare.py                                  # everything that is installed
    tools/bench/compare.py --only kernels,odd --rounds 1
    tools/bench/compare.py --chroot /srv/trixie             # with Debian 13's peers (tools/bench/debian13.sh)

PyTorch is Debian's python3-torch (with libtorch-dev and libbenchmark-dev for --only costs), in the
fastest of its layouts, allocators (libjemalloc2, libtcmalloc-minimal4), threads, and with a chroot
compiled or not; oneDNN is Debian's libdnnl-dev, ONNX Runtime what tools/fetch_onnxruntime.sh
brings; what is missing is left out. Every figure is from this
machine and this run: only the ratios, and the fractions of the peak that is measured
meanwhile, mean something elsewhere. Nothing else should be running.
"""
import argparse
import functools
import os
import sys
import tempfile

from comparisons import costs, inference, kernels, machine, parallel, peers, steps

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = {
    "steps": steps.steps,
    "kernels": kernels.kernels,
    "odd": kernels.odd,
    "inference": inference.inference,
    "costs": costs.costs,
    "parallel": parallel.parallel,
}


def parts(text):
    chosen = text.split(",")
    for part in chosen:
        if part not in PARTS:
            raise argparse.ArgumentTypeError(f"must be some of {','.join(PARTS)}, got {part}")
    return chosen


def at_least_one(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
    return int(text)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build", "release"))
    parser.add_argument("--only", type=parts, default=list(PARTS), metavar="PART,PART", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure and round")
    parser.add_argument("--threads", type=at_least_one, default=min(2, len(os.sched_getaffinity(0))),
                        help="besides one thread")
    parser.add_argument("--chroot", metavar="FOLDER", help="where debian13.sh has put newer peers; needs root")
    parser.add_argument("--torch-settings", metavar="FILE", help="keeps which of PyTorch's settings are the fastest, for the next "
                        "run: trying all takes a quarter of an hour. Remove it if other programs were running")
    return parser.parse_args()


def check(options):
    for program in ("bench_conv", "bench_peak", "bench_autoencoder", "bench_tape", "bench_costs"):
        if not os.path.exists(os.path.join(options.build, "tools", program)):
            sys.exit(f"compare.py: no {program} in {options.build}: build first, or give --build")
    if options.chroot and not os.path.exists(os.path.join(options.chroot, "usr", "bin")):
        sys.exit(f"compare.py: --chroot must be a folder that tools/bench/debian13.sh has made, got {options.chroot}")
    if options.chroot and os.geteuid() != 0:
        sys.exit("compare.py: --chroot needs root")


class Context:
    """What the parts share: the peak, and the other libraries, which are built when they are first asked for."""

    def __init__(self, options):
        self.peak = machine.Peak(options.build)
        self.places = peers.places(options.scratch, options.chroot)
        self.onednn = functools.cache(lambda: peers.OneDNN(self.places))


def main():
    options = parse()
    check(options)
    with tempfile.TemporaryDirectory() as options.scratch:
        context = Context(options)
        context.peak.measure(options.threads, 0.3)
        print(f"{machine.processor()}; {context.peak.told()}{machine.busy()}")
        for part in options.only:
            PARTS[part](options, context)
        print(f"\nPeak, measured in the course of it all: {context.peak.told()}")


if __name__ == "__main__":
    main()
