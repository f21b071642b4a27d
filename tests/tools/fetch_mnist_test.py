"""tools/fetch_mnist.sh against a server on loopback that serves, fails, truncates and corrupts."""

import hashlib
import http.server
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "tools" / "fetch_mnist.sh"
NAMES = ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz",
         "t10k-labels-idx1-ubyte.gz"]
FILES = {name: random.Random(name).randbytes(size) for name, size in zip(NAMES, [300_000, 5_000, 90_001, 1])}


class Handler(http.server.BaseHTTPRequestHandler):
    """The first part of the path says how the server behaves."""

    def do_GET(self):
        _, how, name = self.path.split("/")
        content = FILES[name]
        begin = 0
        asked = self.headers.get("Range")
        self.server.requests.append((how, name, asked))
        if how == "missing" or how == "broken":
            page = b"<html>sorry</html>" * 1000
            self.answer(404 if how == "missing" else 500, len(page))
            self.wfile.write(page)
            return
        if how == "corrupt":
            content = content[:-1] + bytes([content[-1] ^ 1])
        if how == "short":  # and says that this is all
            content = content[:len(content) // 2]
        if how == "other":
            content = b"<html>please log in</html>"
        if asked and how != "no_ranges" and how != "cut_no_ranges":
            begin = int(asked.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                self.answer(416, 0)
                return
        self.answer(206 if begin else 200, len(content) - begin, begin, len(content))
        rest = content[begin:]
        if how.startswith("cut"):
            rest = rest[:max(1, len(content) // 3)]
        if how == "slow":
            self.wfile.write(rest[:len(rest) // 2])
            self.wfile.flush()
            self.server.is_slow.set()
            self.server.done.wait(60)
            return
        self.server.sent += len(rest)
        self.wfile.write(rest)

    def answer(self, code, length, begin=0, total=0):
        self.send_response(code)
        if code == 206:
            self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class FetchMnist(unittest.TestCase):
    path = os.environ["PATH"]

    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.requests, self.server.sent = [], 0
        self.server.is_slow, self.server.done = threading.Event(), threading.Event()
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.done.set)
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name) / "a folder"
        self.checksums = pathlib.Path(scratch.name) / "md5"
        self.checksums.write_text("".join(f"{hashlib.md5(content).hexdigest()}  {name}\n"
                                          for name, content in FILES.items()))

    def start(self, mirrors, *arguments, checksums=True):
        port = self.server.server_port
        addresses = [how if "://" in how else f"http://127.0.0.1:{port}/{how}" for how in mirrors]
        environment = {"PATH": self.path, "TAPEGRAD_MIRRORS": " ".join(addresses), "no_proxy": "*"}
        if checksums:
            environment["TAPEGRAD_CHECKSUMS"] = str(self.checksums)
        return subprocess.Popen(["/bin/sh", SCRIPT, *arguments, self.folder], env=environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def fetch(self, *mirrors, **options):
        process = self.start(mirrors, **options)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def expect_all(self, result):
        self.assertEqual(result[0], 0, result[1])
        self.assertEqual({path.name: path.read_bytes() for path in self.folder.iterdir()}, FILES)

    def expect_nothing(self, result):
        self.assertNotEqual(result[0], 0)
        self.assertIn("no mirror has train-images-idx3-ubyte.gz", result[1])
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_all_is_well(self):
        self.expect_all(self.fetch("good"))
        self.assertEqual(self.server.sent, sum(map(len, FILES.values())))

    def test_mirrors_that_fail_are_passed_over(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            dead = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
            self.expect_all(self.fetch(dead, "missing", "broken", "good"))

    def test_wrong_files_are_passed_over(self):
        for how in ["corrupt", "short", "other"]:
            with self.subTest(how):
                result = self.fetch(how, "good")
                self.expect_all(result)
                self.assertIn("checksum is wrong", result[1])
                shutil.rmtree(self.folder)

    def test_wrong_files_are_not_kept(self):
        for mirrors in [["corrupt"], ["short", "missing"], ["other", "corrupt"], ["broken"]]:
            with self.subTest(mirrors):
                self.expect_nothing(self.fetch(*mirrors))

    def test_broken_connections_are_taken_up(self):
        self.expect_all(self.fetch("cut"))
        self.assertEqual(self.server.sent, sum(map(len, FILES.values())))  # nothing was sent twice
        self.assertIn(("cut", NAMES[0], "bytes=200000-"), self.server.requests)

    def test_a_killed_run_is_taken_up(self):
        self.folder.mkdir()
        (self.folder / (NAMES[0] + ".part")).write_bytes(FILES[NAMES[0]][:250_000])
        self.expect_all(self.fetch("good"))
        self.assertIn(("good", NAMES[0], "bytes=250000-"), self.server.requests)

    def test_garbage_of_a_killed_run(self):
        for garbage in [b"garbage", bytes(300_000), bytes(400_000), FILES[NAMES[0]]]:
            with self.subTest(len(garbage)):
                self.folder.mkdir()
                (self.folder / (NAMES[0] + ".part")).write_bytes(garbage)
                self.expect_all(self.fetch("good"))
                shutil.rmtree(self.folder)

    def test_a_server_without_ranges(self):
        self.folder.mkdir()
        (self.folder / (NAMES[0] + ".part")).write_bytes(FILES[NAMES[0]][:250_000])
        self.expect_all(self.fetch("no_ranges"))

    def test_a_server_that_breaks_off_without_ranges(self):
        self.expect_all(self.fetch("cut_no_ranges", "good"))

    def test_what_is_there_is_not_fetched_again(self):
        self.expect_all(self.fetch("good"))
        self.server.requests.clear()
        self.expect_all(self.fetch("good"))
        self.assertEqual(self.server.requests, [])

    def test_what_is_damaged_is_fetched_again(self):
        self.expect_all(self.fetch("good"))
        self.server.requests.clear()
        (self.folder / NAMES[2]).write_bytes(b"damaged")
        self.expect_all(self.fetch("good"))
        self.assertEqual(self.server.requests, [("good", NAMES[2], None)])

    def test_an_interrupted_run_leaves_nothing(self):
        process = self.start(["slow"])
        self.assertTrue(self.server.is_slow.wait(60))
        while not any(path.stat().st_size > 0 for path in self.folder.iterdir()):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        self.server.done.set()
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143)
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_the_real_checksums_are_not_those_of_other_files(self):
        for arguments in [[], ["--fashion"]]:
            process = self.start(["good"], *arguments, checksums=False)
            errors = process.communicate(timeout=60)[1]
            self.expect_nothing((process.returncode, errors))
            self.assertIn("checksum is wrong", errors)

    def test_usage(self):
        run = subprocess.run(["/bin/sh", SCRIPT, "--what"], capture_output=True, text=True)
        self.assertEqual((run.returncode, "usage: tools/fetch_mnist.sh" in run.stderr), (2, True))


@unittest.skipUnless(shutil.which("wget"), "wget is not installed")
class FetchMnistWithWget(FetchMnist):
    """The same where there is no curl."""

    def setUp(self):
        super().setUp()
        tools = tempfile.TemporaryDirectory()
        self.addCleanup(tools.cleanup)
        for tool in ["sh", "wget", "md5sum", "cut", "cat", "wc", "rm", "mv", "mkdir", "awk"]:
            os.symlink(shutil.which(tool), pathlib.Path(tools.name) / tool)
        self.path = tools.name


if __name__ == "__main__":
    unittest.main()
