#!/usr/bin/env python3
"""Compares what a shared libtapegrad exports with what its public headers declare.

usage: check_exports.py LIBRARY.so INCLUDE_FOLDER [exchange|mpi]    (needs clang++ and nm)

With `exchange`, the library is libtapegrad_exchange, and has what exchange/exchange.h declares beyond tapegrad.h; so with `mpi`.

Every function, member and variable that a public header declares and does not define there must be exported, or a
program would not link; and nothing else may be: no function of an internal header, no template of another library.
And what the library imports must leave the host's process alone; nothing may run when it is loaded.
"""

import json
import re
import subprocess
import sys


def anchors(member):
    """Whether where this member is defined, its class's virtual table is made: a virtual function without a body here."""
    inner = [child.get("kind") for child in member.get("inner", [])]
    return ((member.get("virtual") or "OverrideAttr" in inner) and
            not (member.get("pure") or member.get("isImplicit") or member.get("inline") or member.get("explicitlyDefaulted") or
                 "CompoundStmt" in inner))


def declared(include, header):
    """Mangled names of what the header declares: those that a program needs, and all that it may see; and the classes whose
    virtual tables are not made by the library alone."""
    source = f'#include "tapegrad/{header}"\n'
    dump = subprocess.run(
        ["clang++", "-std=c++20", "-I", include, "-x", "c++", "-fsyntax-only", "-Xclang", "-ast-dump=json",
         "-Xclang", "-ast-dump-filter=tapegrad", "-"], input=source, capture_output=True, text=True, check=True).stdout
    needed, seen, unanchored = set(), set(), set()
    decoder = json.JSONDecoder()

    def walk(node, in_template):
        kind = node.get("kind")
        if kind in ("ClassTemplateDecl", "FunctionTemplateDecl", "ClassTemplatePartialSpecializationDecl", "VarTemplateDecl"):
            in_template = True
        name = node.get("mangledName")
        if kind == "CXXRecordDecl" and not in_template and node.get("definitionData", {}).get("isPolymorphic"):
            if not any(anchors(member) for member in node["inner"]):
                unanchored.add(node["name"])
        if name and not in_template:
            seen.add(name)
            inner = node.get("inner", [])
            if kind in ("FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl", "CXXConversionDecl"):
                defined = any(child.get("kind") in ("CompoundStmt", "CXXTryStmt") for child in inner)
                if not (defined or node.get("isImplicit") or node.get("explicitlyDefaulted") or
                        node.get("explicitlyDeleted") or node.get("pure") or node.get("constexpr")):
                    needed.add(name)
            elif kind == "VarDecl" and node.get("storageClass") == "extern":
                needed.add(name)
        for child in node.get("inner", []):
            if child.get("kind") not in ("CompoundStmt",):
                walk(child, in_template)

    at = 0
    while True:
        at = dump.find("{", at)
        if at < 0:
            return needed, seen, unanchored
        node, at = decoder.raw_decode(dump, at)
        walk(node, False)


# What would change or read something of the process that is the host's: its output, environment, settings; and its end.
HOSTS = re.compile(r"(secure_)?getenv|(put|set|unset|clear)env|environ|stdout|stderr|_ZSt4(cout|cerr|clog)|puts|v?printf|perror|syslog|"
                   r"_?exit|quick_exit|abort|setlocale|uselocale|signal|sigaction|pthread_sigmask|s?rand|chdir|umask|mallopt|"
                   r"omp_set_.*|(openblas|goto)_set_.*")


def reaches_out(library):
    """What a library uses of the process that is its host's, and whether something of it runs when it is loaded."""
    lines = subprocess.run(["nm", "-D", "--undefined-only", library], capture_output=True, text=True, check=True).stdout
    used = sorted({line.split()[-1].split("@")[0] for line in lines.splitlines()})
    if len(used) < 50:
        yield f"only {len(used)} imports were found: this check is broken"
    yield from (f"imports {name}, which reaches into the host's process" for name in used if HOSTS.fullmatch(name))
    sections = subprocess.run(["readelf", "-SW", library], capture_output=True, text=True, check=True).stdout
    size = re.search(r"\.init_array +INIT_ARRAY +\w+ \w+ (\w+)", sections)
    if size is None or int(size[1], 16) != 8:  # one entry is the C runtime's
        yield "has static constructors, which run when the library is loaded (.init_array)"


def variants(name):
    """A constructor or destructor is declared once, and compiled as a complete and as a base object's."""
    yield name
    for one, other in (("C1", "C2"), ("D1", "D2"), ("D1", "D0")):
        if one in name:
            head, _, tail = name.rpartition(one)
            yield head + other + tail


def main():
    beside = sys.argv[3:]
    if len(sys.argv) != 3 and beside not in (["exchange"], ["mpi"]):
        sys.exit(__doc__)
    library, include = sys.argv[1:3]
    needed, seen, unanchored = declared(include, "tapegrad.h")
    fewest = 300
    if beside:
        core, fewest = (needed, seen, unanchored), 1
        needed, seen, unanchored = (mine - theirs for mine, theirs in zip(declared(include, f"{beside[0]}/{beside[0]}.h"), core))
    lines = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1].split("@")[0]: line.split()[-2] for line in lines.splitlines()}
    mistakes = [f"not exported, though a header declares it: {name}" for name in sorted(needed)
                if not any(form in exported for form in variants(name))]

    own = {form for name in seen for form in variants(name)}
    functions = [name for name in exported if name.startswith(("_ZN8tapegrad", "_ZNK8tapegrad")) and name not in own]
    foreign = [name for name in exported if "8tapegrad" not in name]
    mistakes += [f"exported, though it is not the library's own: {name}" for name in sorted(foreign)]
    # Instances of public templates, and members of theirs, are compiled weakly wherever they are used.
    strong = [name for name in functions if exported[name] not in "WV"]
    mistakes += [f"exported, though no public header declares it: {name}" for name in sorted(strong)]

    # Each program makes the virtual table of a class without such a function: without RTTI, if the program is compiled so.
    mistakes += [f"no virtual function is declared here and defined in the library: class {name}" for name in sorted(unanchored)]
    mistakes += [f"keeps dlclose() from unloading the library: {name}" for name, kind in sorted(exported.items()) if kind == "u"]

    mistakes += reaches_out(library)

    if len(needed) < fewest:
        mistakes.append(f"only {len(needed)} declarations were found: this check is broken")
    if mistakes:
        text = subprocess.run(["c++filt"], input="\n".join(mistakes), capture_output=True, text=True, check=True).stdout
        sys.exit(text)
    weak = len(functions) - len(strong)
    print(f"{len(needed)} declarations are exported, {len(exported)} symbols in all, {weak} of them weak")


main()
