"""tools/check_numpy.py with right and wrong backward passes. Called with the path of tg-gradcheck."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parents[1] / "tools" / "check_numpy.py"
RIGHT = HERE / "numpy_answers" / "right.py"
TEACHING = HERE.parents[1] / "examples" / "exercises" / "TEACHING.md"
COURSES = HERE / "courses"  # answers to two courses, with the names and layouts of these
TOOL = sys.argv.pop()


def check(file, *options):
    run = subprocess.run([sys.executable, "-B", SCRIPT, file, "--tool", TOOL, *options], capture_output=True, text=True)
    return run.returncode, run.stdout, run.stderr


class Wrong(unittest.TestCase):
    """The right functions, with lines exchanged."""

    def check(self, op, right, wrong, *said, options=()):
        text = RIGHT.read_text()
        self.assertEqual(text.count(right), 1, right)
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "mine.py"
            file.write_text(text.replace(right, wrong))
            status, out, err = check(file, "--op", op, *options)
        self.assertEqual(status, 1, out + err)
        for words in said:
            self.assertIn(words, " ".join(out.split()))

    def test_conv2d_dw_of_the_last_image(self):
        self.check("conv2d", '"nhwc,nhwo->co", padded[window], dy)', '"nhwc,nhwo->co", padded[window][-1:], dy[-1:])',
                   "only the last index of axis 0")

    def test_conv2d_filter_turned(self):
        self.check("conv2d", "dy @ w[place].T", "dy @ w[::-1, ::-1][place].T", "turned by 180 degrees")

    def test_conv2d_overwritten(self):
        self.check("conv2d", "spread[window] += dy", "spread[window] = dy", "overwritten instead of accumulated")

    def test_conv2d_not_cropped(self):
        self.check("conv2d", "spread[:, top:top + x.shape[1], left:left + x.shape[2]]",
                   "spread[:, :x.shape[1], :x.shape[2]]", "ok stride 1, no padding", "WRONG padding", "padding")

    def test_conv2d_strides_exchanged(self):
        self.check("conv2d", "in taps(x, w, strides, padding, dilations, dy.shape[1:3])",
                   "in taps(x, w, (1, 1), padding, dilations, dy.shape[1:3])", "WRONG strides", "is forgotten")

    def test_conv2d_wrong_shape(self):
        self.check("conv2d", "spread[:, top:top + x.shape[1], left:left + x.shape[2]]", "spread",
                   "the gradient of x must have the shape")

    def test_conv2d_forward(self):
        self.check("conv2d", "padded[window] @ w[place]", "padded[window] @ w[::-1, ::-1][place]",
                   "your forward pass gives something else")

    def test_conv2d_transpose(self):
        self.check("conv2d_transpose", "dx, dw = conv2d(dy, w, strides", "dx, dw = conv2d(dy, w[::-1, ::-1], strides",
                   "turned by 180 degrees")

    def test_matmul(self):
        self.check("matmul", "a.T @ dy", "(dy.T @ a).T * 2", "2")

    def test_matmul_raises(self):
        self.check("matmul", "return dy @ b.T, a.T @ dy", "return dy @ b, a.T @ dy", "ValueError", "mine.py, line",
                   "return dy @ b, a.T @ dy")

    def test_softmax_cross_entropy_without_mean(self):
        self.check("softmax_cross_entropy", "return dy * p / len(z)", "return dy * p", "divisor 1/4")

    def test_softmax_cross_entropy_overflows(self):
        self.check("softmax_cross_entropy", "p = np.exp(z - z.max(axis=1, keepdims=True))", "p = np.exp(z)",
                   "ok 4 rows of 5 logits", "WRONG logits around 1000")

    def test_batch_norm(self):
        self.check("batch_norm", "dx = s * (d - d.mean(axis=axes, keepdims=True) - xhat * (d * xhat).mean(axis=axes, keepdims=True))",
                   "dx = s * d", "the mean and the variance are taken for constants")

    def test_max_pool_overwritten(self):
        self.check("max_pool2d", "dx[n, h + i, w + j, c] += dy", "dx[n, h + i, w + j, c] = dy",
                   "ok 2 x 2 windows side by side", "WRONG 3 x 2 windows that overlap")

    def test_one_gradient_missing(self):
        self.check("linear", ", dout.sum(axis=0)", "", "must return dx, dw, db, got 2 results")

    def test_parameter_that_is_not_known(self):
        self.check("relu", "def relu_backward(x, dout)", "def relu_backward(cache, dout)", "'cache'")


class Right(unittest.TestCase):
    def test_all(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "results.json"
            status, out, err = check(RIGHT, "--json", file)
            results = json.loads(file.read_text())
        self.assertEqual(status, 0, out + err)
        self.assertNotIn("WRONG", out)
        ops = {result["op"]: result for result in results["ops"]}
        self.assertEqual(len(ops), 11)
        self.assertEqual(ops["conv2d"]["passed"], 7)
        # What is not tried is said.
        self.assertIn("NOT TESTED  groups: the function has no parameter 'groups'", out)

    def test_float32_is_noted(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "mine.py"
            file.write_text("import numpy as np\ndef relu_backward(x, dy): return (dy * (x > 0)).astype(np.float32)\n")
            _, out, err = check(file)
        self.assertIn("your gradients are float32", out, err)

    def test_another_layout(self):
        module = """
            import numpy as np, sys
            sys.path.insert(0, "%s")
            import right

            def images(x): return x.transpose(0, 2, 3, 1)

            def conv2d_backward(x, w, dout, stride, pad):  # NCHW, OIHW, single numbers
                assert isinstance(stride, int) and isinstance(pad, int) and x.shape[1] == w.shape[1]
                dx, dw = right.conv2d_backward(images(x), w.transpose(2, 3, 1, 0), images(dout), (stride, stride),
                                               ((pad, pad), (pad, pad)), (1, 1))
                return dx.transpose(0, 3, 1, 2), dw.transpose(3, 2, 0, 1)
            """ % RIGHT.parent
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "layers.py"
            file.write_text(textwrap.dedent(module))
            status, out, err = check(file, "--layout", "NCHW")
            self.assertEqual(status, 0, out + err)
            status, out, err = check(file)
            self.assertEqual(status, 1, out + err)

    def test_nothing_to_check(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "empty.py"
            file.write_text("x = 1\n")
            status, _, err = check(file)
            self.assertEqual(status, 1)
            self.assertIn("has no function OP_backward", err)
            status, _, err = check(pathlib.Path(folder) / "nowhere.py")
            self.assertEqual(status, 1)
            self.assertIn("there is no file", err)

    def test_output_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            for file, reason in ((pathlib.Path(folder) / "nowhere/x.json", "No such file"), (folder, "Is a directory")):
                status, out, err = check(RIGHT, "--json", file)
                self.assertEqual((status, out), (1, ""))
                self.assertIn(f"--json must be a file that can be written, and '{file}' cannot: {reason}", err)


class OfCourses(unittest.TestCase):
    """What TEACHING.md prints for two courses, its files and its commands, with answers as the courses have them."""

    def printed(self, course):
        """The file and the options of the command that stand under the name of the course."""
        text = TEACHING.read_text()
        text = text[text.index(f"**{course}**"):]
        command = re.search(r"```sh\n(tools/check_numpy.py .*)\n```", text).group(1).split()
        return re.search(r"```python\n(.*?)```", text, re.DOTALL).group(1), command[1], command[2:]

    def check(self, course, change=("", "")):
        """change: a line of the answers, and a wrong one in its place."""
        code, name, options = self.printed(course)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for file in COURSES.rglob("*.py"):
                text = file.read_text()
                to = folder / file.relative_to(COURSES)
                to.parent.mkdir(exist_ok=True)
                to.write_text(text.replace(*change) if change[0] else text)
            (folder / name).write_text(code)
            status, out, err = check(folder / name, *options)
        return status, " ".join((out + err).split())

    def test_cs231n(self):
        status, said = self.check("CS231n")
        self.assertEqual(status, 0, said)
        for op in ("conv2d", "max_pool2d", "batch_norm", "softmax_cross_entropy", "linear", "relu"):
            self.assertIn(f"== {op} ", said)
        self.assertNotIn("WRONG", said)

    def test_cs231n_wrong(self):
        status, said = self.check("CS231n", ("dpadded[place] += ", "dpadded[place] = "))
        self.assertEqual(status, 1, said)
        self.assertIn("overwritten instead of accumulated", said)

    def test_needle(self):
        status, said = self.check("needle")
        self.assertEqual(status, 0, said)
        self.assertIn("== conv2d ok stride 1, no padding", said)
        self.assertIn("ok strides that leave pixels over, and padding", said)

    def test_needle_wrong(self):
        # The output gradient's channels exchanged in dw: with y.sum(), as hw4's tests have it, nobody would see that.
        wrong = 'np.einsum("nhwc,nhwo->co", padded[window(*tap)], dy[..., ::-1])'
        status, said = self.check("needle", ('np.einsum("nhwc,nhwo->co", padded[window(*tap)], dy)', wrong))
        self.assertEqual(status, 1, said)
        self.assertIn("its channels (out) in reverse order", said)


if __name__ == "__main__":
    try:
        import numpy  # noqa: F401
    except ImportError:
        print("skipped: Python has no numpy")
        sys.exit(77)
    unittest.main()
