#!/usr/bin/python3
"""Times forward passes of ONNX models in ONNX Runtime, as onnxruntime_inference.js does, where Debian's python3-onnxruntime is.

usage: onnxruntime_inference.py FOLDER THREADS SECONDS

Prints a line for each model of the folder and batch: net,batch,threads,onnxruntime-VERSION,us (the median).
"""
import os
import statistics
import sys
import time


def median_us(session, feeds, seconds):
    for _ in range(3):
        session.run(None, feeds)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        began = time.perf_counter()
        session.run(None, feeds)
        times.append(1e6 * (time.perf_counter() - began))
    return statistics.median(times)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    import numpy
    import onnxruntime
    folder, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".onnx"):
            continue
        session = onnxruntime.InferenceSession(os.path.join(folder, file), options, providers=["CPUExecutionProvider"])
        source = session.get_inputs()[0]
        for batch in (1, 128):
            x = numpy.random.default_rng(1).random([batch] + source.shape[1:], dtype=numpy.float32)
            print(f"{file[:-5]},{batch},{threads},onnxruntime-{onnxruntime.__version__},"
                  f"{median_us(session, {source.name: x}, seconds):.1f}", flush=True)


if __name__ == "__main__":
    main()
