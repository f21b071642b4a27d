"""The other libraries: where they are installed, here or in a chroot of a newer Debian, and how their programs are run."""
import os
import shutil
import subprocess

from comparisons.common import PEERS, run

INSIDE = "/root/tapegrad_peers"  # where a chroot has our programs
LIBRARIES = "/usr/lib/x86_64-linux-gnu"


class Place:
    """This system, or a chroot (debian13.sh makes one), in which programs of tools/bench/peers run."""

    def __init__(self, scratch, chroot=None):
        self.chroot = chroot
        self.scratch = scratch
        if chroot:
            shutil.rmtree(chroot + INSIDE, ignore_errors=True)
            shutil.copytree(PEERS, chroot + INSIDE)

    def outside(self, path):
        """The path, as this system has it, of a file that the place calls so."""
        return (self.chroot or "") + path

    def put(self, path):
        """Copies a file or a folder to where the place can read it; the path to name it by there."""
        if not self.chroot:
            return path
        inside = os.path.join(INSIDE, os.path.basename(path))
        if os.path.isdir(path):
            shutil.copytree(path, self.outside(inside), dirs_exist_ok=True)
        else:
            shutil.copyfile(path, self.outside(inside))
        return inside

    def program(self, name):
        return os.path.join(INSIDE if self.chroot else PEERS, name)

    def command(self, words, env=None):
        settings = [f"{name}={value}" for name, value in (env or {}).items()]
        if self.chroot:
            return ["chroot", self.chroot, "env", "-u", "OPENBLAS_CORETYPE"] + settings + words
        return ["env"] + settings + words

    def run(self, words, env=None, quiet=False):
        return run(self.command(words, env), quiet=quiet)

    def try_to(self, words, env=None):
        """What the command prints, or None if it fails."""
        done = subprocess.run(self.command(words, env), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def torch(self):
        """PyTorch's version, or None."""
        return self.try_to(["/usr/bin/python3", "-c", "import torch; print(torch.__version__)"])

    def onnxruntime(self):
        return self.try_to(["/usr/bin/python3", "-c", "import onnxruntime; print(onnxruntime.__version__)"])

    def allocators(self):
        """Environments with the allocators that are installed: name -> variables."""
        found = {"glibc": {"MALLOC_MMAP_THRESHOLD_": "4000000000", "MALLOC_TRIM_THRESHOLD_": "8000000000"}}
        for name, file in (("jemalloc", "libjemalloc.so.2"), ("tcmalloc", "libtcmalloc_minimal.so.4")):
            if os.path.exists(self.outside(os.path.join(LIBRARIES, file))):
                found[name] = {"LD_PRELOAD": os.path.join(LIBRARIES, file)}
        return found

    def build_onednn(self):
        """oneDNN's program as words of a command, and its version; (None, None) where oneDNN is not installed."""
        folder = INSIDE if self.chroot else self.scratch
        program = os.path.join(folder, "onednn_conv")
        built = self.try_to(["g++", "-O2", "-fopenmp", self.program("onednn_conv.cpp"), "-o", program, "-ldnnl"])
        if built is None:
            return None, None
        version = self.try_to(["sh", "-c", "printf '#include <oneapi/dnnl/dnnl_version.h>\\nDNNL_VERSION_MAJOR.DNNL_VERSION_MINOR' "
                                           "| g++ -E -P -x c++ - | tail -n 1"])
        return program, (version or "").replace(" ", "")


def places(scratch, chroot):
    return [Place(scratch)] + ([Place(scratch, os.path.abspath(chroot))] if chroot else [])


class OneDNN:
    """The oneDNNs of all places, of which the faster counts."""

    def __init__(self, all_places):
        self.programs = []
        for place in all_places:
            program, version = place.build_onednn()
            if program:
                self.programs.append((place, program, version))

    def versions(self):
        return " and ".join(version for _, _, version in self.programs) or "not installed"

    def run(self, shapes, threads):
        """The tables that all of them print."""
        return [place.run([program, place.put(shapes), str(threads), "1"], {"OMP_NUM_THREADS": str(threads)})
                for place, program, _ in self.programs]
