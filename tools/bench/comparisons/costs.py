"""What it costs to have tapegrad: bytes, seconds of a compiler, a recorded op, allocations, and the start; beside PyTorch's."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from comparisons.common import BENCH, number, rows, run, say, table

LIB = os.path.join(BENCH, "..", "..", "lib")
TORCH_HEADERS = "/usr/include/torch/csrc/api/include"


def library_bytes(options):
    """Of the stripped shared library, as a build with -DBUILD_SHARED_LIBS=ON links it: here of the static library's objects."""
    static = os.path.join(options.build, "lib", "libtapegrad.a")
    shared = os.path.join(options.build, "lib", "libtapegrad.so")
    copy = os.path.join(options.scratch, "libtapegrad.so")
    if os.path.exists(shared):
        shutil.copyfile(shared, copy)
    elif os.path.exists(static):
        run(["g++", "-shared", "-o", copy, "-Wl,--whole-archive", static, "-Wl,--no-whole-archive,-z,pack-relative-relocs",
             "-Wl,-Bsymbolic-functions,--version-script," + os.path.join(LIB, "cmake", "exports.map"),
             "-lfmt", "-lhwy", "-lopenblas", "-lz", "-lpng", "-ljpeg"])
    else:
        return None
    run(["strip", copy])
    return os.path.getsize(copy)


def torch_bytes(place):
    """Of the libraries that a program with PyTorch loads of it."""
    folder = place.outside("/usr/lib/x86_64-linux-gnu")
    found = [os.path.join(folder, name) for name in ("libtorch.so", "libtorch_cpu.so", "libc10.so")]
    return sum(os.path.getsize(path) for path in found if os.path.exists(path)) or None


def compile_seconds(options):
    """What compile_time.py prints: {"tapegrad, a program": [seconds of each compiler], ...}, and the compilers' names."""
    words = [sys.executable, os.path.join(BENCH, "compile_time.py"), "--rounds", str(options.rounds)]
    lines = run(words + (["--torch", TORCH_HEADERS] if os.path.exists(TORCH_HEADERS) else [])).splitlines()
    split = [re.split(r"  +", line.strip()) for line in lines]
    return {words[0]: words[1:] for words in split[1:]}, split[0][1:]


def build_torch_tape(place):
    """bench_tape_torch in the place, or None where libtorch-dev or libbenchmark-dev is missing."""
    say("compiling bench_tape_torch")
    source = place.put(os.path.join(BENCH, "bench_tape_torch.cpp"))
    program = os.path.join(os.path.dirname(source) if place.chroot else place.scratch, "bench_tape_torch")
    built = place.try_to(["g++", "-std=c++17", "-O2", f"-I{TORCH_HEADERS}", source, "-o", program, "-ltorch", "-ltorch_cpu", "-lc10",
                          "-lbenchmark", "-lpthread"])
    return None if built is None else program


def tape(run_it, program):
    """{"forward/1": {"ns_per_op": ..., "bytes_per_op": ...}, ...}"""
    found = json.loads(run_it([program, "--benchmark_format=json", "--benchmark_min_time=0.2"]))["benchmarks"]
    return {one["name"]: one for one in found}


def first_step_ms(options):
    """From the start of a process to its end after one step of the tutorial net (batch 64): the median of 20."""
    program, times = os.path.join(options.build, "tools", "bench_costs"), []
    for _ in range(20):
        began = time.perf_counter()
        subprocess.run([program, "--first-step"], check=True)
        times.append(time.perf_counter() - began)
    return 1e3 * statistics.median(times)


def torch_first_step_ms(place):
    one = rows(place.run(["/usr/bin/python3", place.program("torch_autoencoder.py"), "--nets", "tutorial", "--batches", "64",
                          "--threads", "1", "--layouts", "contiguous", "--rounds", "3", "--seconds", "0"]))[0]
    return 1e3 * float(one["startup_s"])


def tape_lines(options, place):
    """Lines of the table about recorded ops: the least of the rounds, in turns."""
    theirs = build_torch_tape(place) if place else None
    best = {}
    for turn in range(options.rounds):
        say(f"costs: recorded ops, round {turn + 1} of {options.rounds}")
        both = [("ours", tape(lambda words: run(words, quiet=True), os.path.join(options.build, "tools", "bench_tape")))]
        if theirs:
            both.append(("theirs", tape(lambda words: place.run(words, quiet=True), theirs)))
        for who, found in both:
            for name, one in found.items():
                for what in ("ns_per_op", "bytes_per_op"):
                    # Google Benchmark gives a rate's inverse in seconds of what was counted: of billionths here.
                    if what in one:
                        cell = best.setdefault((what, name), {})
                        cell[who] = min(cell.get(who, one[what]), one[what])
    lines = []
    for (what, name), cell in best.items():
        way, size = name.split("/")
        unit = "ns" if what == "ns_per_op" else "bytes kept for it and its result"
        lines.append([f"an op of {size} number{'s' if size != '1' else ''}, {way}, {unit}", number(cell["ours"]),
                      number(cell.get("theirs"))])
    return lines


def allocation_lines(options):
    counted = rows(run([os.path.join(options.build, "tools", "bench_costs"), "--threads", str(options.threads)]))
    return [[f"heap allocations, batch 64: {row['what']}, {row['threads']} thread{'s' if row['threads'] != '1' else ''}",
             f"{float(row['allocations']):g}", "-"] for row in counted]


def costs(options, context):
    place = next((place for place in reversed(context.places) if place.torch()), None)
    lines = [["the stripped shared library, bytes", number(library_bytes(options)), number(torch_bytes(place) if place else None)]]
    compiled, compilers = compile_seconds(options)
    for i, compiler in enumerate(compilers):
        lines.append([f"compiling a program of 19 lines, {compiler} -O2, s of CPU time", compiled["tapegrad, a program"][i],
                      compiled.get("torch, a program", ["-"] * len(compilers))[i]])
    lines += tape_lines(options, place)
    lines += allocation_lines(options)
    lines.append(["start of the process to its first training step (tutorial, batch 64), ms", number(first_step_ms(options)),
                  number(torch_first_step_ms(place) if place else None)])
    table("What it costs:", ["", "tapegrad", f"PyTorch {place.torch()}" if place else "PyTorch"], lines)
    print("(Ours ends its process behind the first step, PyTorch's time is to the end of the step; programs with libtorch are "
          "compiled with\nthis system's headers.)")
