#!/usr/bin/env python3
"""What it costs to compile programs that use the library, beside programs that use libtorch.

usage: compile_time.py [--rounds N] [--torch INCLUDE_FOLDER]

Prints seconds of CPU time, the smallest of N rounds (default 5) in turns: of a file that only includes the standard headers that
tapegrad.h includes, of one that only includes tapegrad.h, and of the program of 19 lines in tests/consumers/find_package. INCLUDE_FOLDER has torch/torch.h in it, such as
/usr/include/torch/csrc/api/include of Debian's libtorch-dev.
"""

import argparse
import os
import re
import resource
import shutil
import subprocess
import tempfile

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
TORCH_PROGRAM = """#include <torch/torch.h>
#include <cmath>
#include <iostream>

int main() {
  torch::manual_seed(1);
  torch::nn::Linear line(1, 1);
  torch::optim::SGD sgd(line->parameters(), torch::optim::SGDOptions(0.1).momentum(0.9));
  const torch::Tensor x = torch::rand({32, 1}) * 2 - 1, y = 2.0 * x - 1.0;
  for (int step = 0; step < 200; ++step) {
    sgd.zero_grad();
    torch::mse_loss(line->forward(x), y).backward();
    sgd.step();
  }
  std::cout << line->weight.item<float>() << " " << line->bias.item<float>() << std::endl;
  return std::abs(line->weight.item<float>() - 2) < 1e-3 ? 0 : 1;
}
"""


def public_headers():
    """The texts of tapegrad.h and of what it includes."""
    found, open_ = set(), ["tapegrad/tapegrad.h"]
    while open_:
        header = open_.pop()
        if header not in found:
            found.add(header)
            with open(os.path.join(ROOT, "lib", header), encoding="utf-8") as file:
                text = file.read()
            open_ += re.findall(r'^ *# *include +"(tapegrad/[^"]*)"', text, re.M)
            yield text


def cpu_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--torch")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        def written(name, text):
            path = os.path.join(folder, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            return path

        standard_headers = sorted(set(re.findall(r"^#include <([a-z_]+)>$", "".join(public_headers()), re.M)))
        sources = [("standard headers", written("std.cpp", "".join(f"#include <{name}>\n" for name in standard_headers)), "c++20", []),
                   ("tapegrad.h", written("ours.cpp", '#include "tapegrad/tapegrad.h"\n'), "c++20", [os.path.join(ROOT, "lib")]),
                   ("tapegrad, a program", os.path.join(ROOT, "tests", "consumers", "find_package", "main.cpp"),
                    "c++20", [os.path.join(ROOT, "lib")])]
        if arguments.torch:
            api = os.path.abspath(arguments.torch)
            # Said once more, /usr/include would be searched behind the standard library that includes from it.
            folders = [api] + [path for path in (api[:api.rindex("/torch/csrc")],) if path != "/usr/include"]
            sources += [("torch.h", written("torch.cpp", "#include <torch/torch.h>\n"), "c++17", folders),
                        ("torch, a program", written("torch_program.cpp", TORCH_PROGRAM), "c++17", folders)]
        compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
        best = {}
        for _ in range(arguments.rounds):
            for compiler in compilers:
                for name, source, standard, folders in sources:
                    command = [compiler, "-std=" + standard, "-O2", "-c", source, "-o", os.path.join(folder, "object.o")]
                    seconds = cpu_seconds(command + [word for path in folders for word in ("-isystem", path)])
                    best[name, compiler] = min(seconds, best.get((name, compiler), seconds))
        print(f"{'seconds of CPU time':22}" + "".join(f"{compiler:>10}" for compiler in compilers))
        for name, *_ in sources:
            print(f"{name:22}" + "".join(f"{best[name, compiler]:10.2f}" for compiler in compilers))


main()
