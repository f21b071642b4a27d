#!/usr/bin/env python3
"""Checks backward passes that are written in NumPy, with tapegrad's gradcheck and its hints.

    tools/check_numpy.py my_layers.py                  every op that the file has a backward pass of
    tools/check_numpy.py my_layers.py --op conv2d      one of them
    tools/check_numpy.py --list                        the ops, and what their functions are given

The file defines functions with these names; each returns one gradient for each input, in the order of the inputs:

    def conv2d_backward(x, w, dy, strides, padding):
        ...
        return dx, dw

Arguments are passed by name, so a function takes those that it needs, in any order. Cases that need an option which the
function does not take are left out, and named. If the file also has the forward pass (`conv2d(x, w, strides, padding)`),
it is compared first.
"""

import argparse
import importlib.util
import inspect
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import traceback

try:
    import numpy as np
except ImportError:
    sys.exit("check_numpy.py: this Python has no numpy (on Debian: apt-get install python3-numpy, and /usr/bin/python3)")

# The inputs of each op, and its options.
OPS = {
    "conv2d": (("x", "w"), ("strides", "padding", "dilations", "groups", "stride", "pad")),
    "conv2d_transpose": (("x", "w"), ("strides", "padding", "dilations", "groups", "stride", "pad")),
    "matmul": (("a", "b"), ()),
    "linear": (("x", "w", "b"), ()),
    "relu": (("x",), ()),
    "softmax": (("x",), ()),
    "softmax_cross_entropy": (("z",), ()),
    "batch_norm": (("x", "gamma", "beta"), ("epsilon", "eps")),
    "layer_norm": (("x", "gamma", "beta"), ("epsilon", "eps")),
    "max_pool2d": (("x",), ("pool_size", "strides", "pool", "stride")),
    "avg_pool2d": (("x",), ("pool_size", "strides", "pool", "stride")),
}
CONSTANTS = {"softmax_cross_entropy": ("labels",)}
# Other names of the same things.
ALIASES = {"dout": "dy", "grad_output": "dy", "out": "y", "output": "y", "kernel_size": "pool_size"}

LEGEND = """
  dy           the gradient of the result (a random one; for a loss a number), as dout or grad_output too
  y            the result, as out too
  strides      (rows, columns); or stride: one number for both, and then only such cases are tried
  padding      ((top, bottom), (left, right)), of a transposed convolution what is cropped; or pad: one number
  dilations    (rows, columns)
  labels       the classes of softmax_cross_entropy, integers; the loss is the mean over the rows
  pool_size    (rows, columns); or pool: one number
  epsilon      beside the variance, as eps too

Images are [batch, height, width, channels] and filters [height, width, in, out] (of conv2d_transpose [height, width, out,
in], as in TensorFlow). With --layout NCHW your functions get and return [batch, channels, height, width] and
[out, in, height, width] (of conv2d_transpose [in, out, height, width]), as in PyTorch and CS231n.
"""


class Layout:
    """What the functions get, made from tapegrad's arrays, and back."""

    def __init__(self, name, op):
        self.first = name == "NCHW" and op in ("conv2d", "conv2d_transpose", "max_pool2d", "avg_pool2d", "batch_norm")

    def to_theirs(self, name, array):
        if not self.first or array.ndim != 4:
            return array
        return np.ascontiguousarray(array.transpose((3, 2, 0, 1) if name == "w" else (0, 3, 1, 2)))

    def to_ours(self, name, array):
        if not self.first or array.ndim != 4:
            return array
        return np.ascontiguousarray(array.transpose((2, 3, 1, 0) if name == "w" else (0, 2, 3, 1)))


def parameters(function):
    """The names of a function's parameters, and those that have no default."""
    given = inspect.signature(function).parameters.values()
    if any(p.kind == p.VAR_KEYWORD for p in given):
        return None, []
    return [p.name for p in given], [p.name for p in given if p.default is p.empty]


def tuples(value):
    return tuple(tuples(v) for v in value) if isinstance(value, list) else value


def arguments(function, available):
    names, required = parameters(function)
    if names is None:
        return available
    for alias, name in ALIASES.items():
        if name in available:
            available.setdefault(alias, available[name])
    unknown = [name for name in required if name not in available]
    if unknown:
        known = ", ".join(sorted(available))
        raise TypeError(f"{function.__name__} has a parameter '{unknown[0]}', which is none of those that it can be "
                        f"given: {known}. Give it a default, or write a function around it that has these names")
    return {name: available[name] for name in names if name in available}


class Checked:
    """One op of the learner's file."""

    def __init__(self, op, module, layout):
        self.op, self.layout = op, Layout(layout, op)
        self.inputs, self.options = OPS[op]
        self.backward = getattr(module, op + "_backward")
        self.forward = getattr(module, op, None)
        self.float32 = False

    def takes(self):
        names = parameters(self.backward)[0]
        if names is None:
            return list(self.options)
        return [option for option in self.options if option in [ALIASES.get(name, name) for name in names]]

    def load(self, question, names):
        folder = pathlib.Path(question["folder"])
        given = {name: self.layout.to_theirs(name, np.load(folder / (name + ".npy"))) for name in names}
        for name in question["constants"]:
            given[name] = np.load(folder / (name + ".npy"))
        if "dy" in given and given["dy"].ndim == 0:
            given["dy"] = float(given["dy"])
        given.update({name: tuples(value) for name, value in question["options"].items()})
        return given

    def save(self, question, name, array, what):
        array = np.asarray(array)
        if array.dtype == object or array.dtype.kind not in "fiu":
            raise TypeError(f"{what} must be an array of numbers, got {array.dtype}")
        self.float32 = self.float32 or array.dtype in (np.float32, np.float16)
        array = self.layout.to_ours(name.removeprefix("d"), array.astype(np.float64))
        np.save(pathlib.Path(question["folder"]) / (name + ".npy"), np.ascontiguousarray(array).reshape(array.shape))

    def answer(self, question):
        if question["call"] == "forward":
            given = self.load(question, self.inputs)
            self.save(question, "y", self.forward(**arguments(self.forward, given)), "the result")
            return
        given = self.load(question, self.inputs + ("y", "dy"))
        result = self.backward(**arguments(self.backward, given))
        if isinstance(result, dict):
            result = [result.get("d" + name, result.get(name)) for name in self.inputs]
        elif not isinstance(result, (tuple, list)):
            result = [result]
        if len(result) != len(self.inputs):
            wanted = ", ".join("d" + name for name in self.inputs)
            raise TypeError(f"{self.op}_backward must return {wanted}, got {len(result)} results")
        for name, gradient in zip(self.inputs, result):
            if gradient is None:
                raise TypeError(f"{self.op}_backward returned None for d{name}")
            self.save(question, "d" + name, gradient, f"d{name}")


def their_error(error):
    """The last lines of a traceback: those in the learner's own file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename != __file__]
    place = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    return " ".join(f"{type(error).__name__}: {error}{place}".split())


def check(checked, tool, options):
    """Runs the tool, answers its questions, and returns its summary with the cases."""
    print(f"== {checked.op}")
    with tempfile.TemporaryDirectory() as folder:
        command = [tool, checked.op, "--folder", folder, "--takes", ",".join(checked.takes()), "--seed", str(options.seed)]
        if options.tolerance:
            command += ["--tolerance", str(options.tolerance)]
        if options.square:
            command.append("--square")
        if checked.forward is not None:
            command.append("--forward")
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cases, summary = [], None
        for line in process.stdout:
            said = json.loads(line)
            if "call" in said:
                try:
                    checked.answer(said)
                    reply = "done"
                except Exception as error:  # whatever the learner's function raises
                    reply = their_error(error)
                process.stdin.write(reply + "\n")
                process.stdin.flush()
            elif "cases" in said:
                summary = said
            else:
                cases.append(said)
                show(said, options)
        process.stdin.close()
        process.wait()
    if summary is None:
        sys.exit(f"check_numpy.py: {tool} ended without a result")
    for text in summary["left_out"]:
        print(f"  NOT TESTED  {text}")
    if checked.float32 and not options.tolerance:
        print("  note: your gradients are float32. Compute in float64 while you check (the inputs are), or pass\n"
              "        --tolerance 1e-3: rounding looks like a mistake otherwise, and mistakes like rounding")
    print(f"  {summary['passed']} of {summary['cases']} cases right\n")
    return {"op": checked.op, **summary, "results": cases}


def show(case, options):
    print(f"  {'ok   ' if case['passed'] else 'WRONG'}  {case['case']}")
    if not case["passed"] or options.verbose:
        print("\n" + "".join(f"    {line}\n" for line in case["report"].rstrip().split("\n")))


def find_tool(given):
    root = pathlib.Path(__file__).resolve().parents[1]
    for path in [given] if given else sorted(root.glob("build/*/tools/tg-gradcheck")):
        if os.access(path, os.X_OK):
            return str(path)
    sys.exit("check_numpy.py: there is no tg-gradcheck in build/*/tools: build it first\n"
             "  cmake --preset release && cmake --build --preset release --target tg-gradcheck\n"
             "or say where it is with --tool")


def load(path):
    sys.path.insert(0, str(pathlib.Path(path).resolve().parent))
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    if spec is None:
        sys.exit(f"check_numpy.py: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", help="a Python file with functions OP_backward")
    parser.add_argument("--op", action="append", choices=sorted(OPS), help="check this one; may be given several times")
    parser.add_argument("--layout", choices=["NHWC", "NCHW"], default="NHWC", help="of images (and filters)")
    parser.add_argument("--square", action="store_true", help="square filters only, where a course knows no others")
    parser.add_argument("--seed", type=int, default=1, help="other numbers")
    parser.add_argument("--tolerance", type=float, help="the largest relative error of an entry (1e-7)")
    parser.add_argument("--json", metavar="FILE", help="write what was found there, too")
    parser.add_argument("--verbose", action="store_true", help="show the reports of right cases, too")
    parser.add_argument("--list", action="store_true", help="list the ops")
    parser.add_argument("--tool", help="tg-gradcheck, if it is not in build/*/tools")
    options = parser.parse_args()
    if options.list:
        for op, (inputs, keywords) in OPS.items():
            given = [*inputs, *CONSTANTS.get(op, ()), "y", "dy", *keywords]
            print(f"  {op}_backward({', '.join(given)})\n    -> {', '.join('d' + name for name in inputs)}")
        print(LEGEND)
        return 0
    if options.file is None:
        parser.error("name a Python file")
    if not os.path.exists(options.file):
        sys.exit(f"check_numpy.py: there is no file {options.file}")
    module = load(options.file)
    ops = options.op or [op for op in OPS if hasattr(module, op + "_backward")]
    missing = [op for op in ops if not hasattr(module, op + "_backward")]
    if missing or not ops:
        wanted = missing[0] + "_backward" if missing else "OP_backward for one of " + ", ".join(OPS)
        sys.exit(f"check_numpy.py: {options.file} has no function {wanted}")
    tool = find_tool(options.tool)
    if options.json:  # before anything is checked
        try:
            open(options.json, "a", encoding="utf-8").close()
        except OSError as error:
            sys.exit(f"check_numpy.py: --json must be a file that can be written, and '{options.json}' cannot: {error.strerror}")
    results = [check(Checked(op, module, options.layout), tool, options) for op in ops]
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"file": options.file, "ops": results}, indent=1) + "\n")
    return 0 if all(r["passed"] == r["cases"] and r["cases"] > 0 for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
