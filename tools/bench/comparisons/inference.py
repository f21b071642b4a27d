"""Forward passes, no tape: of a net, of its ONNX model as load_onnx() reads it, and of that model in ONNX Runtime."""
import os
import statistics

from comparisons.common import BENCH, number, ratio, run, say, table


def runtimes(options, places):
    """Commands that time ONNX Runtime, by version: of npm, and of the newest Debian that has it."""
    found = {}
    modules = os.path.join(options.build, "..", "onnxruntime")
    if os.path.exists(os.path.join(modules, "node_modules", "onnxruntime-node")):
        found["npm"] = lambda folder, threads, seconds: run(
            ["node", os.path.join(BENCH, "onnxruntime_inference.js"), folder, threads, seconds, modules])
    for place in places:
        version = place.onnxruntime()
        if version:
            found[version] = lambda folder, threads, seconds, place=place: place.run(
                ["/usr/bin/python3", place.program("onnxruntime_inference.py"), place.put(folder), threads, seconds])
    return found


def measure(options, peers):
    """Microseconds: (net, batch, threads) -> program -> what the rounds brought."""
    times = {}
    folder, seconds = os.path.join(options.scratch, "onnx_models"), str(min(options.seconds, 0.3))
    for turn in range(options.rounds):
        say(f"inference: round {turn + 1} of {options.rounds}")
        for threads in (str(count) for count in sorted({1, options.threads})):
            lines = run([os.path.join(options.build, "tools", "bench_inference"), "--folder", folder, "--threads", threads,
                         "--seconds", seconds]).splitlines()
            for peer in peers.values():
                lines += peer(folder, threads, seconds).splitlines()
            for line in lines:
                net, batch, count, name, us = line.split(",")
                times.setdefault((net, int(batch), int(count)), {}).setdefault(name, []).append(float(us))
    return times


def inference(options, context):
    if not os.path.exists(os.path.join(options.build, "tools", "bench_inference")):
        say("inference is left out: no bench_inference, which needs libprotozero-dev")
        return
    peers = runtimes(options, context.places)
    times = measure(options, peers)
    lines = []
    for (net, batch, threads), found in times.items():
        m = {name: statistics.median(values) for name, values in found.items()}
        theirs = min((value for name, value in m.items() if name.startswith("onnxruntime")), default=None)
        lines.append([net, str(batch), str(threads), number(m["tapegrad"], 1), number(m["imported"], 1),
                      number(m.get("real_time"), 1), number(theirs, 1),
                      number(ratio(theirs, m["tapegrad"]), 2), number(ratio(theirs, m["imported"]), 2)])
    table(f"Forward passes, no tape (microseconds, medians; the fastest of ONNX Runtime: {' and '.join(peers) or 'not installed'}):",
          ["net", "batch", "threads", "tapegrad", "imported", "RealTimeScope", "ONNX Runtime", "its time / tapegrad's", "/ imported"], lines)
