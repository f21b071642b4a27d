#!/usr/bin/env python3
"""Plants faults in the library, one at a time, and says which of them no test notices.

  tools/mutate.py run [--seed N] [--count N] [--rooms kernels,ops,...] [--only io,...] [--build build/release] [--minutes M]
  tools/mutate.py report [--build ...]      the score, and each survivor with its line
  tools/mutate.py list --seed N --count N   the faults, without running them

Needs a build directory in which the tests were built (GCC or Clang, Ninja, static). A fault costs one compile, and one link
for each test program that is asked; the programs of the rooms that stand on the changed file are asked one after the other,
its own room's first, and those tests first that noticed an earlier fault of the same file. A program that was not built is not
asked, which the report says; what survived is judged again when it was. Objects that come out as they were are skipped. Results are kept in BUILD/mutants/results.jsonl: a run goes on where an earlier one stopped, and the same
seed plants the same faults in the same order. --only takes of these faults those of some rooms: two such runs may go on side
by side in one build directory. With --quick slow tests are not asked; the same run without it asks them about what survived.

A build made for it compiles each kernel once, and each file alone:
  cmake -G Ninja -B build/mutants -DCMAKE_CXX_FLAGS=-DHWY_COMPILE_ONLY_STATIC -DCMAKE_CXX_FLAGS_RELEASE=-O1
        -DTAPEGRAD_MARCH=x86-64-v3 -DTAPEGRAD_UNITY_BUILD=OFF -DTAPEGRAD_BUILD_EXAMPLES=OFF -DTAPEGRAD_BUILD_TOOLS=OFF

tests/mutants.tsv holds what was judged by hand of survivors: file, the changed line, and why it changes nothing that a user
could see.
"""
import argparse
import hashlib
import json
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib" / "tapegrad"
# How many faults of a hundred fall to a room, and the test programs that are asked about it.
ROOMS = {
    "kernels": (20, ["kernels", "ops", "nn", "autograd"]),
    "ops": (20, ["refusals", "ops", "autograd", "nn", "transforms"]),
    "autograd": (15, ["autograd", "refusals", "transforms", "optim", "ops", "nn"]),
    "transforms": (7, ["transforms", "refusals", "autograd", "nn"]),
    "nn": (10, ["refusals", "nn", "ops", "optim", "io"]),
    "optim": (9, ["optim", "refusals", "nn", "io"]),
    "gradcheck": (6, ["gradcheck", "refusals", "ops"]),
    "io": (9, ["io", "refusals", "data"]),
    "data": (4, ["data", "refusals", "io"]),
    "exchange": (6, ["exchange"]),
}
SLOW = 1.0  # seconds: a longer test is asked last, and alone; one that needs TOO_SLOW is left out, and named in times.json
TOO_SLOW = 4.0
SLOW_TESTS = "slow tests"
HANGS = 20  # seconds of computing without a word, or four times as many of waiting, are no end
MOST_OBJECTS = 6  # a header that is a part of more is left alone
MEMORY = 8 << 30  # bytes of address space: more is a fault that allocates without end


# ---- The faults ------------------------------------------------------------------------------------------------------

def code_only(text):
    """The text with comments, strings and preprocessor lines blanked out, every character in its place."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"\(.*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*',
                  blank, text, flags=re.S | re.M)


SWAPS = [  # kind, pattern, replacements; clang-format puts spaces around binary operators, and around nothing else
    ("comparison", r" < ", [" <= ", " > "]), ("comparison", r" <= ", [" < "]), ("comparison", r" > ", [" >= ", " < "]),
    ("comparison", r" >= ", [" > "]), ("comparison", r" == ", [" != "]), ("comparison", r" != ", [" == "]),
    ("arithmetic", r" \+ ", [" - "]), ("arithmetic", r" - ", [" + "]), ("arithmetic", r" \* ", [" / "]),
    ("arithmetic", r" / ", [" * "]), ("arithmetic", r" % ", [" / "]), ("arithmetic", r" \+= ", [" -= ", " = "]),
    ("arithmetic", r" -= ", [" += "]), ("arithmetic", r" \*= ", [" /= "]),
    ("logic", r" && ", [" || "]), ("logic", r" \|\| ", [" && "]), ("logic", r"\btrue\b", ["false"]),
    ("logic", r"\bfalse\b", ["true"]), ("logic", r"(?<=[(&| ])!(?=[a-z_(])", [""]),
    ("bound", r"\bmin\b(?=[(<])", ["max"]), ("bound", r"\bmax\b(?=[(<])", ["min"]),
    ("step", r"\+\+(?=[a-z_])", ["--"]), ("step", r"--(?=[a-z_])", ["++"]),
    ("number", r"(?<![\w.'])[0-9](?![\w.'])", None), ("sign", r"(?<=[(=,?:] )-(?=[a-z_(])", [""]),
    ("sign", r"(?<=return )-(?=[a-z_(])", [""]),
]
IF = re.compile(r"\bif \(")
STATEMENT = re.compile(r"^[ \t]+(?!return\b|using\b|else\b|case\b|break\b|throw\b|const\b|auto\b|static\b|constexpr\b|if\b|for\b|\})"
                       r"[A-Za-z_*(][\w.:\[\]()>*-]*(?: (?:=|\+=|-=|\*=|/=) |\()[^;{}]*;$", re.M)
ARGUMENTS = re.compile(r"\b[a-z_]\w*\(([a-z_]\w*), ([a-z_]\w*)(?=[,)])")
INDEX = re.compile(r"\[([a-z_]\w*)\](?! ?[({])")


def closing(text, opening):
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return None


def faults_of(path):
    """(kind, begin, end, replacement) of each fault that can be planted in a file."""
    text = path.read_text()
    code = code_only(text)
    found = []
    for kind, pattern, replacements in SWAPS:
        for match in re.finditer(pattern, code):
            these = replacements
            if these is None:
                number = int(match.group())
                these = [str(number + 1)] + ([str(number - 1)] if number > 0 else [])
            found += [(kind, match.start(), match.end(), new) for new in these]
    for match in IF.finditer(code):
        end = closing(code, match.end() - 1)
        if end is None or code.startswith("if constexpr", match.start()):
            continue
        condition = text[match.end():end]
        if ";" in condition or " = " in code[match.end():end]:
            continue
        guard = re.match(r"\)\s*(?:\{\s*)?(?:fail|refuse|throw|return|file\.fail|continue|break)", code[end:])
        found.append(("guard" if guard else "condition", match.end(), end, f"false && ({condition})"))
        found.append(("condition", match.end(), end, f"!({condition})"))
    for match in STATEMENT.finditer(code):
        begin = match.start() + len(match.group()) - len(match.group().lstrip())
        if re.match(r"(?:std::)?[A-Z]\w*(?:<[^;]*>)? [a-z_]", code[begin:]):
            continue  # a declaration
        found.append(("statement", begin, match.end(), "(void)0;"))
    for match in ARGUMENTS.finditer(code):
        first, second = match.group(1), match.group(2)
        if first != second:
            found.append(("arguments", match.start(1), match.end(2), f"{second}, {first}"))
    for match in INDEX.finditer(code):
        found.append(("index", match.end(1), match.end(1), " + 1"))
        found.append(("index", match.end(1), match.end(1), " - 1"))
    return text, [f for f in found if text[f[1]:f[2]] != f[3]]


def plan(seed, count, rooms):
    """The first `count` faults of a seed: rooms by their shares, every place at most once."""
    draw = random.Random(seed)
    left = {}
    for room in rooms:
        all_faults = []
        for path in sorted((LIBRARY / room).rglob("*")):
            if path.suffix == ".cpp" or path.name.endswith("_internal.h"):
                text, faults = faults_of(path)
                for kind, begin, end, new in faults:
                    line = text.count("\n", 0, begin) + 1
                    all_faults.append({"room": room, "file": str(path.relative_to(ROOT)), "line": line, "kind": kind,
                                       "begin": begin, "end": end, "new": new})
        # Every kind has a chance: dropped statements are as likely as numbers, of which there are more.
        kinds = {}
        for fault in all_faults:
            kinds.setdefault(fault["kind"], []).append(fault)
        for same in kinds.values():
            draw.shuffle(same)
        left[room] = kinds
    chosen, used = [], set()
    while len(chosen) < count and any(left.values()):
        room = draw.choices(list(left), [ROOMS[r][0] for r in left])[0]
        kinds = left[room]
        if not kinds:
            continue
        kind = draw.choices(list(kinds), [len(kinds[k]) ** 0.5 for k in kinds])[0]
        fault = kinds[kind].pop()
        if not kinds[kind]:
            del kinds[kind]
        place = (fault["file"], fault["begin"])
        if place not in used:
            used.add(place)
            fault["id"] = f"{seed}-{len(chosen)}"
            chosen.append(fault)
    return chosen


def planted(fault):
    """The text of the file with the fault, and its line before and after."""
    text = (ROOT / fault["file"]).read_text()
    changed = text[:fault["begin"]] + fault["new"] + text[fault["end"]:]
    first = text.rfind("\n", 0, fault["begin"]) + 1
    last = text.find("\n", fault["end"])
    after = changed[first:last + len(changed) - len(text)]
    return changed, " ".join(text[first:last].split()), " ".join(after.split())


# ---- Compiling and linking -------------------------------------------------------------------------------------------

class Build:
    def __init__(self, directory, part="all"):
        self.directory = directory
        self.scratch = directory / "mutants"
        self.part = self.scratch / part  # what no other run that goes on beside this one touches
        self.part.mkdir(parents=True, exist_ok=True)
        self.includers = None
        database = subprocess.run(["ninja", "-C", directory, "-t", "compdb"], capture_output=True, text=True, check=True)
        self.commands, self.groups = {}, {}  # groups: of a file that is compiled as one with others, the source made of them
        for entry in json.loads(database.stdout):
            path = Path(entry["directory"], entry["file"])
            if path.suffix == ".cpp" and path.is_relative_to(LIBRARY):
                self.commands[str(path.relative_to(ROOT))] = entry
            elif path.suffix == ".cxx" and path.parent.name == "Unity":
                members = [Path(m) for m in re.findall(r'^#include "(.*)"', path.read_text(), re.M)]
                if members and all(m.is_relative_to(LIBRARY) for m in members):
                    self.commands[str(path)] = entry
                    self.groups.update({str(m.relative_to(ROOT)): str(path) for m in members})
        self.links = {}

    def objects_of(self, file):
        """The sources whose objects a file is a part of."""
        if file.endswith(".cpp"):
            source = self.groups.get(file, file)
            return [source] if source in self.commands else []
        if self.includers is None:
            self.includers = {}
            deps = subprocess.run(["ninja", "-C", self.directory, "-t", "deps"], capture_output=True, text=True)
            outputs = {entry["output"]: source for source, entry in self.commands.items()}
            source = None
            for line in deps.stdout.splitlines():
                if not line.startswith(" "):
                    source = outputs.get(line.split(":")[0])
                elif source is not None:
                    path = Path(self.directory / line.strip()).resolve()
                    if path.is_relative_to(ROOT):
                        self.includers.setdefault(str(path.relative_to(ROOT)), []).append(source)
        return self.includers.get(file, [])

    @staticmethod
    def shadowed(source, shadow):
        """What is compiled in place of a source: its copy under `shadow`, or a group with such copies of its members."""
        if Path(source).suffix == ".cpp":
            copy = shadow / Path(source).relative_to("lib")
            return copy if copy.exists() else ROOT / source

        def member(match):
            copy = shadow / Path(match.group(1)).relative_to(ROOT / "lib")
            return f'#include "{copy}"' if copy.exists() else match.group()
        group = shadow / Path(source).name
        group.write_text(re.sub(r'^#include "(.*)"', member, Path(source).read_text(), flags=re.M))
        return group

    def compile(self, source, shadow, output):
        """Compiles a source, with what lies under `shadow` in place of the library's files of the same names."""
        entry = self.commands[source]
        words = shlex.split(entry["command"])
        if Path(words[0]).name == "ccache":
            words = words[1:]
        at = words.index("-o")
        arguments = [w for w in words[1:at] if not w.startswith(("-MD", "-MT", "-MF")) and not w.endswith((".d", ".o"))]
        arguments = [w for w in arguments if w != entry["file"]]
        command = [words[0], f"-I{shadow}", *arguments, "-w", "-o", str(output), "-c", str(self.shadowed(source, shadow))]
        return subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)

    def link(self, program, sources, objects, output):
        """Links a test program with these objects in place of what the archive, or the program's own list, has of the sources."""
        if program not in self.links:
            lines = subprocess.run(["ninja", "-C", self.directory, "-t", "commands", "-s", program], capture_output=True,
                                   text=True, check=True).stdout.splitlines()
            line = [l for l in lines if f"-o {program}" in l][-1]
            words = shlex.split(line.removeprefix(": && ").split(" && ")[0])  # discovering the tests comes behind it
            self.links[program] = words[1:] if Path(words[0]).name == "ccache" else words
        instead = {self.commands[source]["output"] for source in sources}
        words = [w for w in self.links[program] if w not in instead]
        words[words.index("-o") + 1] = str(output)
        archive = next(i for i, w in enumerate(words) if re.search(r"(^|/)libtapegrad(_exchange)?\.a$", w))
        words[archive:archive] = [str(o) for o in objects]
        return subprocess.run(words, cwd=self.directory, capture_output=True, text=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- Tests -----------------------------------------------------------------------------------------------------------

def computed_by(process):
    """The seconds of processor time that a process took."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def alone():
    """What a test program is started with: a group that is ended as a whole, and bounds."""
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


class Tests:
    def __init__(self, build):
        self.build = build
        self.path = build.scratch / "times.json"
        self.times = json.loads(self.path.read_text()) if self.path.exists() else {}

    def of(self, room):
        """Runs the room's tests once without a fault: which are slow, too slow or fail by themselves."""
        if room not in self.times:
            log = self.build.part / "times.log"
            begin, computed = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            subprocess.run([f"tests/test_{room}", f"--gtest_output=json:{log}"], cwd=self.build.directory,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wall = time.time() - begin
            share = min(1.0, (resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - computed) / wall)  # of a processor
            slow, left_out, took = [], [], 0.0
            for suite in json.loads(log.read_text())["testsuites"]:
                for test in suite["testsuite"]:
                    seconds = float(test["time"][:-1]) * share
                    if seconds > TOO_SLOW or "failures" in test:
                        left_out.append(f"{suite['name']}.{test['name']}")
                    elif seconds > SLOW:
                        slow.append(f"{suite['name']}.{test['name']}")
                    else:
                        took += seconds
            if self.path.exists():  # another run beside this one has measured as well
                self.times = json.loads(self.path.read_text())
            self.times[room] = {"seconds": round(took, 1), "slow": slow, "left_out": left_out}
            self.path.write_text(json.dumps(self.times, indent=1))
            print(f"test_{room}: {wall:.0f} s, of computing {wall * share:.0f} s; {took:.0f} s without {len(slow)} slow tests, "
                  f"{len(left_out)} left out", flush=True)
        return self.times[room]

    def failure(self, program, room, only=None):
        """The first test that fails, of some or of all that are not slow, or what else happened; None if all pass."""
        known = self.of(room)
        filters = ":".join(only or "*")
        not_now = known["left_out"] + ([] if only else known["slow"])
        if not_now:
            filters += "-" + ":".join(not_now)
        code, output = self.watched([program, "--gtest_fail_fast", f"--gtest_filter={filters}"])
        if code == 0:
            return None
        failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:,|$| \()", output, re.M)
        if failed:
            return f"{room}: {failed[0]}"
        began = re.findall(r"^\[ RUN      \] (\S+)", output, re.M)
        how = "comes to no end" if code is None else f"ends with {code}"
        return f"{room}: {began[-1] if began else 'the program'} {how}"

    def watched(self, command):
        """Runs a program; its exit code, None if it had to be ended, and what it printed."""
        log = self.build.part / "output.txt"
        with open(log, "wb") as out:
            process = subprocess.Popen(command, cwd=self.build.directory, stdout=out, stderr=subprocess.DEVNULL, preexec_fn=alone)
            said, computed, since, code = -1, 0.0, time.time(), None
            while code is None:
                try:
                    code = process.wait(timeout=1)
                except subprocess.TimeoutExpired:
                    size, now = log.stat().st_size, computed_by(process)
                    if size != said and size < 1 << 26:
                        said, computed, since = size, now, time.time()
                    elif size >= 1 << 26 or now - computed > HANGS or time.time() - since > 4 * HANGS:
                        os.killpg(process.pid, signal.SIGKILL)
                        process.wait()
                        break
        return code, log.read_text(errors="replace")


def compiled(fault, build, sources, changed, shadow):
    """The objects of a fault, or of the unchanged file; None if it does not compile."""
    inside = shadow / Path(fault["file"]).relative_to("lib")
    inside.parent.mkdir(parents=True, exist_ok=True)
    inside.write_text(changed)
    objects = [build.part / (re.sub(r"\W", "_", source) + ".o") for source in sources]
    for source, output in zip(sources, objects):
        made = build.compile(source, shadow, output)
        if made.returncode != 0:
            return None
    return objects


def first_asked(history, fault, room):
    """The tests that noticed most faults of the same file, and then of the same room."""
    chosen = []
    for place in (fault["file"], fault["room"]):
        killers = history.get(place, {}).get(room, {})
        chosen += [test for test, _ in sorted(killers.items(), key=lambda kv: -kv[1])[:12] if test not in chosen]
    return chosen


def remember(history, result):
    """Keeps the test that noticed a fault."""
    room, words = result["why"].split(": ", 1)
    test = words.split(" ")[0]
    for place in (result["file"], result["room"]):
        if "." in test:
            seen = history.setdefault(place, {}).setdefault(room, {})
            seen[test] = seen.get(test, 0) + 1


def judge(fault, build, tests, history, quick):
    changed, before, after = planted(fault)
    fault.update(before=before, after=after)
    shadow = build.part / "shadow"
    subprocess.run(["rm", "-rf", shadow])
    sources = build.objects_of(fault["file"])
    if not sources or len(sources) > MOST_OBJECTS:
        return "not tried", "no object" if not sources else f"{len(sources)} objects"
    objects = compiled(fault, build, sources, changed, shadow)
    if objects is None:
        return "not compiled", ""
    programs = {}
    for room in ROOMS[fault["room"]][1]:
        if not (build.directory / "tests" / f"test_{room}").exists():
            fault.setdefault("not_asked", []).append(room)
            continue
        programs[room] = build.part / f"test_{room}"
        made = build.link(f"tests/test_{room}", sources, objects, programs[room])
        if made.returncode != 0:
            return "not linked", made.stderr[-300:]
        known = first_asked(history, fault, room)
        failed = known and tests.failure(programs[room], room, known)
        if failed:
            return "caught", failed
    for slow in (False,) if quick else (False, True):
        for room, program in programs.items():
            chosen = tests.of(room)["slow"] if slow else None
            failed = (chosen or not slow) and tests.failure(program, room, chosen)
            if failed:
                return "caught", failed
    if quick:
        fault.setdefault("not_asked", []).append(SLOW_TESTS)
        return "survived", ""
    changed = [digest(o) for o in objects]
    unchanged = compiled(fault, build, sources, (ROOT / fault["file"]).read_text(), shadow)
    return ("same object" if [digest(o) for o in unchanged] == changed else "survived"), ""


# ---- Commands --------------------------------------------------------------------------------------------------------

def judged_by_hand():
    path = ROOT / "tests" / "mutants.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")] if path.exists() else []
    return {(row[0], row[1]): row[2] for row in rows}


def read_results(build):
    path = build / "mutants" / "results.jsonl"
    results = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({result["id"]: result for result in results}.values())  # of a fault that was judged again, the last


def run(options):
    build = Build(options.build, "-".join(options.only or ["all"]))
    tests = Tests(build)
    done = read_results(options.build)
    askable = {program.name.removeprefix("test_") for program in (options.build / "tests").glob("test_*")}
    askable |= set() if options.quick else {SLOW_TESTS}
    known = {r["id"] for r in done if r["outcome"] != "survived" or not askable & set(r.get("not_asked", []))}
    history = {}
    for result in done:
        if result["outcome"] == "caught":
            remember(history, result)
    end = time.time() + 60 * options.minutes
    for fault in plan(options.seed, options.count, options.rooms):
        if fault["id"] in known or (options.only and fault["room"] not in options.only):
            continue
        if time.time() > end:
            print("the time is over; the same command goes on")
            break
        begin = time.time()
        outcome, why = judge(fault, build, tests, history, options.quick)
        fault.update(outcome=outcome, why=why, seconds=round(time.time() - begin, 1))
        if outcome == "caught":
            remember(history, fault)
        with open(build.scratch / "results.jsonl", "a") as file:
            file.write(json.dumps(fault) + "\n")
        print(f"{fault['id']} {outcome}: {fault['file']}:{fault['line']} {fault['kind']}: {fault.get('after', '')}  {why}",
              flush=True)
    report(options)


def report(options):
    results, by_hand = read_results(options.build), judged_by_hand()
    total = {}
    survivors = []
    for r in results:
        outcome = r["outcome"]
        if outcome == "survived":
            outcome = "equivalent" if (r["file"], r["after"]) in by_hand else "survived"
            survivors.append((r, by_hand.get((r["file"], r["after"]), "")))
        for room in (r["room"], "all"):
            total.setdefault(room, {}).setdefault(outcome, 0)
            total[room][outcome] += 1
    print(f"{'room':12}{'caught':>8}{'survived':>10}{'equivalent':>12}{'same object':>13}{'not compiled':>14}{'caught of those that change':>30}")
    for room in [r for r in ROOMS if r in total] + [r for r in ["all"] if r in total]:
        n = total[room]
        caught, survived = n.get("caught", 0), n.get("survived", 0)
        share = f"{100 * caught / (caught + survived):.1f} %" if caught + survived else ""
        print(f"{room:12}{caught:>8}{survived:>10}{n.get('equivalent', 0):>12}{n.get('same object', 0):>13}"
              f"{n.get('not compiled', 0):>14}{share:>30}")
    for r, why in survivors:
        missing = f" (not asked: {', '.join(r['not_asked'])})" if "not_asked" in r else ""
        print(f"\n{r['id']} {r['file']}:{r['line']} {r['kind']}{': ' + why if why else ''}{missing}\n  - {r['before']}\n  + {r['after']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "report", "list"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rooms", type=lambda text: text.split(","), default=list(ROOMS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", type=lambda text: text.split(","))
    parser.add_argument("--build", type=lambda text: Path(text).resolve(), default=ROOT / "build" / "release")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    if options.command == "list":
        for fault in plan(options.seed, options.count, options.rooms):
            _, before, after = planted(fault)
            print(f"{fault['id']} {fault['file']}:{fault['line']} {fault['kind']}\n  - {before}\n  + {after}")
    else:
        {"run": run, "report": report}[options.command](options)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
