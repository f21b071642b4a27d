#!/usr/bin/env python3
"""Plants faults in the library, one at a time, and says which of them no test notices.

  tools/mutate.py run [--seed N] [--count N] [--rooms kernels,ops,...] [--build build/release] [--minutes M]
  tools/mutate.py report [--build ...]      the score, and each survivor with its line
  tools/mutate.py list --seed N --count N   the faults, without running them

Needs a build directory in which the tests were built (GCC or Clang, Ninja, static). A fault costs one compile, and one link
for each test program that is asked; the programs of the rooms that stand on the changed file are asked one after the other,
its own room's first, and those tests first that noticed an earlier fault of the same file. A program that was not built is not
asked, which the report says. Objects that come out as they
were are skipped. Results are kept in BUILD/mutants/results.jsonl: a run goes on where an earlier one stopped, and the same
seed plants the same faults in the same order.

tests/mutants.tsv holds what was judged by hand of survivors: file, the changed line, and why it changes nothing that a user
could see.
"""
import argparse
import hashlib
import json
import os
import random
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "lib" / "tapegrad"
# How many faults of a hundred fall to a room, and the test programs that are asked about it.
ROOMS = {
    "kernels": (20, ["kernels", "ops", "nn", "autograd"]),
    "ops": (20, ["ops", "autograd", "nn", "transforms"]),
    "autograd": (15, ["autograd", "transforms", "ops", "nn"]),
    "transforms": (7, ["transforms", "autograd", "nn"]),
    "nn": (10, ["nn", "optim", "io"]),
    "optim": (9, ["optim", "nn", "io"]),
    "gradcheck": (6, ["gradcheck", "ops"]),
    "io": (9, ["io", "data"]),
    "data": (4, ["data", "io"]),
}
SLOW = 4.0  # seconds: a longer test is left out, and named in the report


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
    def __init__(self, directory):
        self.directory = directory
        self.scratch = directory / "mutants"
        self.scratch.mkdir(parents=True, exist_ok=True)
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
        self.links, self.unchanged = {}, {}

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

    def object_of(self, source):
        """The object that a source comes from in the build, by name in the archive."""
        return self.commands[source]["output"]

    def link(self, program, objects, output):
        """Links a test program with these objects in place of the archive's members."""
        if program not in self.links:
            lines = subprocess.run(["ninja", "-C", self.directory, "-t", "commands", "-s", program], capture_output=True,
                                   text=True, check=True).stdout.splitlines()
            line = [l for l in lines if f"-o {program}" in l][-1]
            words = shlex.split(line.removeprefix(": && ").split(" && ")[0])  # discovering the tests comes behind it
            self.links[program] = words[1:] if Path(words[0]).name == "ccache" else words
        words = list(self.links[program])
        words[words.index("-o") + 1] = str(output)
        archive = next(i for i, w in enumerate(words) if w.endswith("libtapegrad.a"))
        words[archive:archive] = [str(o) for o in objects]
        return subprocess.run(words, cwd=self.directory, capture_output=True, text=True)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---- Tests -----------------------------------------------------------------------------------------------------------

class Tests:
    def __init__(self, build):
        self.build = build
        self.path = build.scratch / "times.json"
        self.times = json.loads(self.path.read_text()) if self.path.exists() else {}

    def of(self, room):
        """Runs the room's tests once without a fault: how long they take, and which are too slow or fail by themselves."""
        if room not in self.times:
            log = self.build.scratch / "times.log"
            begin = time.time()
            subprocess.run([f"tests/test_{room}", f"--gtest_output=json:{log}"], cwd=self.build.directory,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            left_out, took = [], 0.0
            for suite in json.loads(log.read_text())["testsuites"]:
                for test in suite["testsuite"]:
                    seconds = float(test["time"][:-1])
                    if seconds > SLOW or "failures" in test:
                        left_out.append(f"{suite['name']}.{test['name']}")
                    else:
                        took += seconds
            self.times[room] = {"seconds": took, "left_out": left_out}
            self.path.write_text(json.dumps(self.times, indent=1))
            print(f"test_{room}: {time.time() - begin:.0f} s, {took:.0f} s without {len(left_out)} slow tests", flush=True)
        return self.times[room]

    def failure(self, program, room, only=None):
        """The first test that fails, or what else happened; None if all pass."""
        known = self.of(room)
        filters = ":".join(only) if only else "*"
        if known["left_out"]:
            filters += "-" + ":".join(known["left_out"])
        limit = 30 + 6 * known["seconds"]
        command = [program, "--gtest_fail_fast", f"--gtest_filter={filters}"]
        try:
            run = subprocess.run(command, cwd=self.build.directory, capture_output=True, text=True, errors="replace",
                                 timeout=limit)
        except subprocess.TimeoutExpired:
            return f"{room}: no end after {limit:.0f} s"
        if run.returncode == 0:
            return None
        failed = re.findall(r"^\[  FAILED  \] (\S+?)(?:,|$| \()", run.stdout, re.M)
        if failed:
            return f"{room}: {failed[0]}"
        began = re.findall(r"^\[ RUN      \] (\S+)", run.stdout, re.M)
        return f"{room}: {began[-1] if began else 'the program'} ends with {run.returncode}"


def judge(fault, build, tests, history):
    changed, before, after = planted(fault)
    fault.update(before=before, after=after)
    shadow = build.scratch / "shadow"
    subprocess.run(["rm", "-rf", shadow])
    inside = shadow / Path(fault["file"]).relative_to("lib")
    inside.parent.mkdir(parents=True)
    sources = build.objects_of(fault["file"])
    if not sources or len(sources) > 4:
        return "not tried", "no object" if not sources else f"{len(sources)} objects"
    objects, same = [], True
    for source in sources:
        name = re.sub(r"\W", "_", source)
        if source not in build.unchanged:  # as it is, compiled in the same way
            inside.write_text((ROOT / fault["file"]).read_text())
            output = build.scratch / "unchanged.o"
            made = build.compile(source, shadow, output)
            if made.returncode != 0:
                return "not tried", "the unchanged file does not compile: " + made.stderr[-300:]
            build.unchanged[source] = digest(output)
        inside.write_text(changed)
        output = build.scratch / f"{name}.o"
        made = build.compile(source, shadow, output)
        if made.returncode != 0:
            return "not compiled", ""
        same = same and digest(output) == build.unchanged[source]
        objects.append(output)
    if same:
        return "same object", ""
    killers = history.setdefault(fault["file"], {})
    for room in ROOMS[fault["room"]][1]:
        if not (build.directory / "tests" / f"test_{room}").exists():
            fault.setdefault("not_asked", []).append(room)
            continue
        program = build.scratch / f"test_{room}"
        made = build.link(f"tests/test_{room}", objects, program)
        if made.returncode != 0:
            return "not linked", made.stderr[-300:]
        first = [t for t, _ in sorted(killers.get(room, {}).items(), key=lambda kv: -kv[1])[:12]]
        failed = (first and tests.failure(program, room, first)) or tests.failure(program, room)
        if failed:
            test = failed.split(": ", 1)[1].split(" ")[0]
            if "." in test:
                seen = killers.setdefault(room, {})
                seen[test] = seen.get(test, 0) + 1
            return "caught", failed
    return "survived", ""


# ---- Commands --------------------------------------------------------------------------------------------------------

def judged_by_hand():
    path = ROOT / "tests" / "mutants.tsv"
    rows = [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")] if path.exists() else []
    return {(row[0], row[1]): row[2] for row in rows}


def read_results(build):
    path = build / "mutants" / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run(options):
    build = Build(options.build)
    tests = Tests(build)
    done = read_results(options.build)
    known = {result["id"] for result in done}
    history = {}
    for result in done:
        if result["outcome"] == "caught":
            room, test = result["why"].split(": ", 1)
            if "." in test.split(" ")[0]:
                seen = history.setdefault(result["file"], {}).setdefault(room, {})
                seen[test.split(" ")[0]] = seen.get(test.split(" ")[0], 0) + 1
    end = time.time() + 60 * options.minutes
    for fault in plan(options.seed, options.count, options.rooms):
        if fault["id"] in known:
            continue
        if time.time() > end:
            print("the time is over; the same command goes on")
            break
        begin = time.time()
        outcome, why = judge(fault, build, tests, history)
        fault.update(outcome=outcome, why=why, seconds=round(time.time() - begin, 1))
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
