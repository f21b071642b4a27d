#!/usr/bin/env python3
"""Checks that what only some compilers, processors or operating systems have stands in the few files that are for it.

usage: check_platforms.py [FOLDER]

In the sources of FOLDER's lib/, examples/ and tools/ (default: of this repository). KINDS says what is looked for, and in which files it
may stand. Comments are passed over.
"""

import re
import sys
from pathlib import Path

HEADERS = (r"# *include *<(sys/\w+|arpa/\w+|netinet/\w+|mach/\w+|mach-o/\w+|linux/\w+|unistd|fcntl|dlfcn|dirent|pthread|sched|signal|"
           r"termios|poll|pwd|spawn|fnmatch|glob|xlocale|locale|io|process|windows|\w*mmintrin|intrin|arm_neon|cpuid|malloc)\.h>")
KINDS = [
    ("headers and functions of operating systems",
     HEADERS + r"|\b(sysconf|getpagesize|mmap|madvise|fork|isatty|ioctl|sigaction|getpid|dlsym|dlopen|gmtime_r|localtime_r|"
     r"newlocale|fileno|strerror_r|posix_memalign|aligned_alloc|popen|mkstemp)\b *\(|\bssize_t\b",
     ["lib/tapegrad/base/system_internal.(h|cpp)", "lib/tapegrad/io/system_internal.cpp", "lib/tapegrad/show/system_internal.cpp",
      "lib/tapegrad/kernels/(system|cpu)_internal.h", "lib/tapegrad/io/from_chars_internal.cpp",
      "examples/common/(system|interrupt).cpp", "examples/exercises/common/exercise_system.cpp",
      "tools/bench/.*"]),  # benchmarks ask Linux for what they measure
    ("files of Linux",
     r'"/(proc|sys|etc|dev)/',
     ["lib/tapegrad/base/cpu_quota_internal.cpp", "lib/tapegrad/show/system_internal.cpp", "examples/common/system.cpp",
      "examples/exercises/common/exercise_system.cpp", "tools/bench/.*"]),
    ("names of operating systems",
     r"\b(_WIN32|__MINGW\w+|__linux__|__APPLE__|__EMSCRIPTEN\w*|__unix__|__GLIBC\w*|__wasm\w*)\b",
     ["lib/tapegrad/(base|kernels)/system_internal.(h|cpp)", "lib/tapegrad/(io|show)/system_internal.cpp",
      "lib/tapegrad/io/from_chars_internal.cpp", "lib/tapegrad/version.h", "lib/tapegrad_c/tapegrad_c.h",  # what a DLL exports
      "examples/common/(system|interrupt).cpp", "examples/exercises/common/exercise_system.cpp"]),
    ("processors",
     r"\b(__x86_64__|__i386__|__aarch64__|__arm__|_M_\w+|__SSE\w*|__AVX\w*|__ARM\w*|_mm_\w+|__cpuid\w*|__get_cpuid\w*|asm|__asm(__)?|"
     r"HWY_ARCH_\w+|__builtin_(ia32|prefetch)\w*)\b",
     ["lib/tapegrad/base/(compiler|system)_internal.h", "lib/tapegrad/kernels/cpu_internal.h",
      "lib/tapegrad/kernels/conv2d/relu_internal.h"]),  # how ARM takes the larger of two numbers
    ("compilers",
     r"__attribute__|__declspec|__builtin_|\b(__GNUC__|__GNUC_\w+|__clang_\w+|_MSC_VER|__int128|__restrict\w*|__extension__|__typeof\w*|"
     r"__PRETTY_FUNCTION__|__FAST_MATH__|__forceinline|HWY_COMPILER_\w+)\b|# *pragma (GCC|clang|warning)|_Pragma",
     ["lib/tapegrad/base/(compiler|system)_internal.(h|cpp)", "lib/tapegrad/kernels/cpu_internal.h", "lib/tapegrad/version.h",
      "lib/tapegrad_c/tapegrad_c.h"]),
]
PASSED_OVER = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)


def without_comments(text):
    def kept(match):
        return re.sub(r"[^\n]", "", match[0]) if match[0].startswith("/") else match[0]
    return PASSED_OVER.sub(kept, text)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] == ["--help"]:
        sys.exit(__doc__)
    root = Path(sys.argv[1]) if len(sys.argv) == 2 else Path(__file__).resolve().parent.parent
    files = sorted(file for folder in ("lib", "examples", "tools") for file in (root / folder).rglob("*") if file.suffix in (".h", ".cpp"))
    if not files:
        sys.exit(f"no sources in {root}")
    mistakes, needed = [], set()
    for file in files:
        name = file.relative_to(root).as_posix()
        lines = without_comments(file.read_text(encoding="utf-8")).split("\n")
        for kind, pattern, homes in KINDS:
            home = next((home for home in homes if re.fullmatch(home, name)), None)
            found = [(at, match) for at, line in enumerate(lines) if (match := re.search(pattern, line))]
            if found and home:
                needed.add((kind, home))
            elif found:
                mistakes += [f"{name}:{at + 1}: {match[0]}: {kind} have files of their own: {', '.join(homes)}" for at, match in found]
    if len(sys.argv) == 1:  # so that the list does not grow old
        mistakes += [f"{home} is said to need {kind}, and needs none" for kind, _, homes in KINDS for home in homes
                     if (kind, home) not in needed]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{len(files)} files, {len({home for _, home in needed})} of them for what is not the same everywhere")


main()
