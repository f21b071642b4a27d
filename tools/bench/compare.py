#!/usr/bin/env python3
"""Compares tapegrad with PyTorch, oneDNN and ONNX Runtime: runs them in turns, and prints the tables that the README shows.

    cmake --preset release && cmake --build --preset release
    tools/bench/compare.py                       # everything that is installed
    tools/bench/compare.py --only kernels --rounds 1

PyTorch is Debian's python3-torch, oneDNN its libdnnl-dev, ONNX Runtime what
tools/fetch_onnxruntime.sh brings; what is missing is left out. Every figure is from this
machine and this run: only the ratios mean something elsewhere. Nothing else should be running.
"""
import argparse
import csv
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(HERE, "peers")
SHAPES = os.path.join(PEERS, "conv_shapes.csv")
PYTHON = "/usr/bin/python3"


def run(command, env=None):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **(env or {})}).stdout


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def has_torch():
    return subprocess.run([PYTHON, "-c", "import torch"], stderr=subprocess.DEVNULL).returncode == 0


def build_onednn(folder):
    program = os.path.join(folder, "onednn_conv")
    command = ["g++", "-O2", "-fopenmp", os.path.join(PEERS, "onednn_conv.cpp"), "-o", program, "-ldnnl"]
    return program if subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0 else None


def training_steps(build, rounds, seconds, max_threads):
    """Images per second of a training step, medians over the rounds."""
    ours = os.path.join(build, "tools", "bench_autoencoder")
    torch = has_torch()
    found = {}

    def add(key, name, value):
        found.setdefault(key, {}).setdefault(name, []).append(value)

    for _ in range(rounds):
        for net in ("tutorial", "wide"):
            for threads in range(1, max_threads + 1):
                for name, batch, flags in (("chunks", 128, []), ("plain", 128, ["--plain"]), ("b512", 512, [])):
                    line = json.loads(run([ours, "--net", net, "--threads", str(threads), "--batch", str(batch),
                                           "--seconds", str(seconds)] + flags))
                    add((net, threads), name, line["images_per_s"])
                    if batch == 128:
                        add((net, threads), name + " rss", line["peak_rss_mib"])
                        add((net, threads), name + " startup", line["startup_s"])
                if torch:
                    table = rows(run([PYTHON, os.path.join(PEERS, "torch_autoencoder.py"), "--nets", net, "--batches",
                                      "128", "--threads", str(threads), "--rounds", "1", "--seconds", str(seconds)]))
                    best = max(table, key=lambda r: float(r["images_per_s"]))
                    add((net, threads), "torch", float(best["images_per_s"]))
                    add((net, threads), "torch rss", min(float(r["rss_mib"]) for r in table))

    print("| net | threads | PyTorch | one tape | ratio | in chunks | ratio | batch 512 / 128 | MiB: ours / PyTorch "
          "| first step, ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (net, threads), values in found.items():
        m = {name: statistics.median(v) for name, v in values.items()}
        peer = m.get("torch", math.nan)
        print(f"| {net} | {threads} | {peer:,.0f} | {m['plain']:,.0f} | {m['plain'] / peer:.1f} | {m['chunks']:,.0f} "
              f"| {m['chunks'] / peer:.1f} | {m['b512'] / m['chunks']:.2f} "
              f"| {m['chunks rss']:.0f} / {m.get('torch rss', math.nan):.0f} | {m['chunks startup'] * 1e3:.0f} |")


def kernels(build, rounds, seconds, threads):
    """GFLOP/s of each convolution, the best of all rounds, beside the better of oneDNN's layouts."""
    with tempfile.TemporaryDirectory() as folder:
        peer = build_onednn(folder)
        best = {}
        for _ in range(rounds):
            tables = [("ours", run([os.path.join(build, "tools", "bench_conv"), "--shapes", SHAPES, "--threads",
                                    str(threads), "--seconds", str(seconds)]))]
            if peer:
                tables.append(("onednn", run([peer, SHAPES, str(threads), "1"],
                                             {"OMP_NUM_THREADS": str(threads)})))
            for name, table in tables:
                for r in rows(table):
                    if int(r["threads"]) != threads:
                        continue
                    to = best.setdefault((r["name"], r["op"]), {})
                    to[name] = max(to.get(name, 0), float(r["gflops"]))

    print("| shape | op | tapegrad | oneDNN | ratio |")
    print("|---|---|---|---|---|")
    large, small = [], []
    for (shape, op), g in best.items():
        ratio = g["ours"] / g["onednn"] if "onednn" in g else math.nan
        if g.get("onednn", 0) > 100:
            large.append(ratio)
        if g.get("onednn", math.inf) < 30:
            small.append(ratio)
        print(f"| {shape} | {op} | {g['ours']:.0f} | {g.get('onednn', math.nan):.0f} | {ratio:.2f} |")
    if large:
        print(f"\nWhere oneDNN exceeds 100 GFLOP/s: geometric mean {statistics.geometric_mean(large):.2f}, "
              f"worst {min(large):.2f}")
    if small:
        print(f"Where it is below 30: worst {min(small):.1f}")


def inference(build, rounds, seconds, max_threads):
    """Microseconds of a forward pass, medians over the rounds: of a net, of its ONNX model here, and in ONNX Runtime."""
    program = os.path.join(build, "tools", "bench_inference")
    modules = os.path.join(build, "..", "onnxruntime")
    has_runtime = os.path.exists(os.path.join(modules, "node_modules", "onnxruntime-node"))
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            for threads in range(1, max_threads + 1):
                lines = run([program, "--folder", folder, "--threads", str(threads), "--seconds", str(seconds)])
                if has_runtime:
                    lines += run(["node", os.path.join(HERE, "onnxruntime_inference.js"), folder, str(threads), str(seconds),
                                  modules])
                for line in lines.splitlines():
                    net, batch, count, name, us = line.split(",")
                    times.setdefault((net, int(batch), int(count)), {}).setdefault(name, []).append(float(us))

    print("| net | batch | threads | tapegrad, us | imported, us | ONNX Runtime, us | ratio of the imported |")
    print("|---|---|---|---|---|---|---|")
    for (net, batch, threads), found in times.items():
        m = {name: statistics.median(values) for name, values in found.items()}
        theirs = m.get("onnxruntime", math.nan)
        print(f"| {net} | {batch} | {threads} | {m['tapegrad']:,.0f} | {m['imported']:,.0f} | {theirs:,.0f} "
              f"| {theirs / m['imported']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build", "release"))
    parser.add_argument("--only", choices=("steps", "kernels", "inference"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure and round")
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    options = parser.parse_args()
    if not os.path.exists(os.path.join(options.build, "tools", "bench_conv")):
        sys.exit(f"compare.py: no bench_conv in {options.build}: build first, or give --build")
    if options.only in (None, "steps"):
        training_steps(options.build, options.rounds, options.seconds, options.threads)
    if options.only in (None, "kernels"):
        kernels(options.build, options.rounds, min(options.seconds, 0.1), options.threads)
    if options.only in (None, "inference") and os.path.exists(os.path.join(options.build, "tools", "bench_inference")):
        inference(options.build, options.rounds, min(options.seconds, 0.3), options.threads)


if __name__ == "__main__":
    main()
