"""tools/bench/compare.py with programs that print what is known: whether its tables say what follows from that."""

import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

BENCH = pathlib.Path(__file__).resolve().parents[2] / "tools" / "bench"
PYTHON = f"#!{sys.executable} -IS\n"  # starts fast
SPEED = '''"""{name}: prints {value} for every op of the shapes."""
import csv, os, sys
def speed(shape, op, threads):
    {value}
if "{name}" == "onednn":
    path, counts = sys.argv[1], range(1, int(sys.argv[2]) + 1)
else:
    path, counts = sys.argv[sys.argv.index("--shapes") + 1], [int(sys.argv[sys.argv.index("--threads") + 1])]
print("name,op,threads,ms_min,ms_median,gflops")
for row in csv.DictReader(open(path)):
    for threads in counts:
        for op in ("forward", "grad_input", "grad_filter"):
            print(f"{{row['name']}},{{op}},{{threads}},1,1,{{speed(row['name'], op, threads)}}")
'''
PEAK = "#!/bin/sh\nprintf 'threads,bits,gflops\\n1,512,100.0\\n2,512,190.0\\n'\n"
NET = PYTHON + '''import json, sys
at = lambda name: sys.argv[sys.argv.index(name) + 1]
speed = int(at("--threads")) * (500 if "--plain" in sys.argv else 600)
print(json.dumps({"images_per_s": speed, "images_per_s_best": 2 * speed, "peak_rss_mib": 10, "startup_s": 0.02, "flops_per_image": 1e8}))
'''
# A compiler that writes the peer instead of compiling it.
COMPILER = '''#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then cp "$PEER" "$2"; chmod +x "$2"; exit 0; fi
  shift
done
echo 9 . 9
'''


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


class Compare(unittest.TestCase):
    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = pathlib.Path(held.name)
        for part in ("tools", "bin"):
            (self.folder / part).mkdir()
        self.write("tools/bench_peak", PEAK)
        self.write("tools/bench_autoencoder", NET)
        self.write("bin/g++", COMPILER)
        for name in ("bench_tape", "bench_costs"):
            self.write("tools/" + name, "#!/bin/sh\n")
        self.speeds("return 60 * threads", "return 80 * threads")

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def speeds(self, ours, theirs):
        self.write("tools/bench_conv", PYTHON + SPEED.format(name="ours", value=ours))
        self.write("peer", PYTHON + SPEED.format(name="onednn", value=theirs))

    def run_it(self, *words):
        environment = {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "PEER": str(self.folder / "peer")}
        return subprocess.run([sys.executable, "-B", str(BENCH / "compare.py"), "--build", str(self.folder), "--rounds", "1", *words],
                              env=environment, text=True, capture_output=True, timeout=240, check=False)

    def printed(self, *words):
        done = self.run_it(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_fractions_of_the_peak_ratios_and_the_second_thread(self):
        said = self.printed("--only", "kernels", "--threads", "2")
        self.assertIn("100 GFLOP/s of Float32 FMA a core (512-bit vectors); 190 of 2 threads together", said)
        self.assertIn("| ae_conv1 | forward | 60 | 0.60 | 80 | 0.75 |", said)
        self.assertIn("| ae_conv1 | forward | 120 | 0.60 | 160 | 0.75 |", said)  # of twice the peak of one
        self.assertIn("(63 rows): geometric mean 0.75, worst 0.75", said)
        self.assertIn("2 threads beside one: geometric mean 2.00, worst 2.00", said)

    def test_only_rows_where_onednn_is_fast_count(self):
        self.speeds("return 20", "return 80 if shape == 'ae_conv1' and threads == 1 else 50 * threads")
        said = self.printed("--only", "kernels", "--threads", "2")
        self.assertEqual(said.count("Where oneDNN exceeds"), 1)  # with one thread
        self.assertIn("(3 rows): geometric mean 0.25, worst 0.25 (ae_conv1 forward)", said)

    def test_odd_rows_that_are_too_slow_are_listed(self):
        self.speeds("return {'same_17': 9, 'same_24': 30, 'up_5': 59}.get(shape, 100)",
                    "return {'same_17': 1, 'up_5': 100}.get(shape, 10)")
        said = self.printed("--only", "odd", "--threads", "1")
        listed = said[said.index("Of these"):]
        slow = {tuple(cells(line)[:2]): cells(line)[4:] for line in listed.splitlines() if line.startswith("| ") and "shape" not in line}
        ops = ("forward", "grad_input", "grad_filter")
        self.assertEqual(len(slow), 6)
        self.assertEqual(slow, {("same_17", op): ["9.00", "0.30"] for op in ops} | {("up_5", op): ["0.59", "0.59"] for op in ops})

    def test_every_odd_shape_has_its_next_multiple_of_eight(self):
        lines = (BENCH / "peers" / "odd_shapes.csv").read_text(encoding="utf-8").splitlines()
        names = [line.split(",")[0] for line in lines[1:]]
        self.assertEqual(len(set(names)), len(names))
        for name in names:
            kind, _, channels = name.rpartition("_")
            self.assertIn(f"{kind}_{(int(channels) + 7) // 8 * 8}", names)

    def test_training_steps_as_fractions_of_the_peak(self):
        self.write("bin/env", '#!/bin/sh\ncase "$*" in *python3*) exit 1 ;; esac\nexec /usr/bin/env "$@"\n')  # no PyTorch
        said = self.printed("--only", "steps", "--threads", "2")
        rows = [cells(line) for line in said.splitlines() if line.startswith("| tutorial") or line.startswith("| wide")]
        self.assertEqual(len(rows), 12)
        for net, threads, batch, how, speed, fraction, fastest, *peer in rows:
            self.assertIn(net, ("tutorial", "wide"))
            each = 500 if how == "one tape" else 600
            self.assertEqual((speed, fraction), (f"{int(threads) * each:,}", f"{each * 1e8 * 1e-9 / 100:.2f}"), (net, threads, batch))
            self.assertEqual(fastest, f"{2 * each * 1e8 * 1e-9 / 100:.2f}", (net, threads, batch))
            self.assertEqual(peer[:2], ["-", "-"])

    def test_settings_of_pytorch_are_kept_and_are_those_of_its_version(self):
        sys.path.insert(0, str(BENCH))
        self.addCleanup(sys.path.remove, str(BENCH))
        from comparisons.steps import Torch

        speeds = {("contiguous", "a", False): 10, ("channels_last", "a", False): 30, ("contiguous", "b", False): 20,
                  ("channels_last", "b", False): 5, ("channels_last", "a", True): 25, ("contiguous", "a", True): 40}
        tried = []

        class Place:
            version = "2.6.0"

            def torch(self):
                return self.version

            def allocators(self):
                return {"a": {}, "b": {}}

        def torch():
            made = Torch([Place()], self.folder / "settings.json")
            made.measure = lambda key, setting, seconds: tried.append(setting) or {"images_per_s": speeds[setting]}
            made.choose(("wide", 128, 1), 1)
            return made.best["wide", 128, 1]

        self.assertEqual(torch(), ("contiguous", "a", True))
        self.assertEqual(set(tried), set(speeds))  # compiled ones with the allocator that is the fastest without
        tried.clear()
        self.assertEqual(torch(), ("contiguous", "a", True))
        self.assertEqual(tried, [])
        Place.version = "1.13.0"  # cannot compile
        self.assertEqual(torch(), ("channels_last", "a", False))
        self.assertEqual(len(tried), 4)

    def test_what_is_wrong_is_said(self):
        for words, message in ((["--only", "kernel"], "must be some of steps,kernels,odd"), (["--rounds", "0"], "must be a whole number"),
                               (["--chroot", str(self.folder / "none")], "--chroot must be a folder that"),
                               (["--build", "/nowhere"], "no bench_conv in /nowhere: build first")):
            done = self.run_it(*words)
            self.assertNotEqual(done.returncode, 0, words)
            self.assertIn(message, done.stderr)
        self.write("tools/bench_conv", "#!/bin/sh\nexit 3\n")
        self.assertIn("compare.py: failed with 3: ", self.run_it("--only", "odd").stderr)

    def test_help(self):
        for script in ("compare.py", "compile_time.py", "scaling.py"):
            done = subprocess.run([sys.executable, "-B", str(BENCH / script), "--help"], text=True, capture_output=True, timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 0, script)
            self.assertIn("usage", done.stdout)


if __name__ == "__main__":
    unittest.main()
