#!/usr/bin/env python3
"""Checks what headers promise to have.

usage: check_headers.py [LIB_FOLDER]

 - Each begins with a comment that says what it is for; internal headers do so as well.
 - A function that returns a value and changes nothing is [[nodiscard]]: all free functions that return one (but
   for those named below), const members that return a Tensor, Gradients or a State, and members whose result is
   what they are called for (RESULTS).
 - Each field of an options struct has a comment.

Public is what tapegrad.h, exchange/exchange.h and mpi/mpi.h reach. Declarations are told by their indentation, as clang-format makes it.
"""

import os
import re
import sys

CHANGE_SOMETHING = {"clip_by_norm", "load_weights"}  # and return something of interest
DECLARATION = re.compile(
    r"^(?P<attributes>(?:\[\[[^\]]*\]\] )*)(?:inline |constexpr |static |virtual )*"
    r"(?P<type>[A-Za-z_][\w:]*(?:<[^;{}=]*>)?(?:::\w+)?)(?P<handle>\s*[&*]\s*|\s+|(?=\())"
    r"(?:(?P<name>\w+|operator[^\s(]+|operator\(\))|\((?P<guarded>\w+)\))\(")
NO_TYPES = {"requires", "return", "static_assert", "if", "for", "template", "using", "namespace", "class", "struct",
            "enum", "else", "friend", "explicit", "throw", "void", "decltype", "auto", "operator", "while"}
RESULTS = {"at", "best", "child", "epoch", "graph", "html", "improves", "learning_rate", "newest", "series", "step",
           "summary", "take"}
VALUES = {"Tensor", "Gradients", "State", "NamedTensors", "std::vector<Tensor>"}


def public_headers(lib):
    found, open_ = set(), ["tapegrad/tapegrad.h", "tapegrad/base/fmt.h"]
    for beside in ("tapegrad/exchange/exchange.h", "tapegrad/mpi/mpi.h"):
        if os.path.exists(os.path.join(lib, beside)):
            open_.append(beside)
    while open_:
        header = open_.pop()
        if header in found:
            continue
        found.add(header)
        with open(os.path.join(lib, header), encoding="utf-8") as file:
            open_ += re.findall(r'^ *# *include +"(tapegrad/[^"]*)"', file.read(), re.M)
    return sorted(found)


def must_be_nodiscard(line, whole, is_inside_detail):
    """The name of the function that this line declares, if it has to be [[nodiscard]] and is not."""
    indent = len(line) - len(line.lstrip())
    match = DECLARATION.match(line.strip())
    if indent not in (0, 2) or not match or match["type"] in NO_TYPES or is_inside_detail:
        return None
    name = match["name"] or match["guarded"]
    if "=" in line.split("(")[0] and not name.startswith("operator"):
        return None
    if match["handle"].strip() or "nodiscard" in match["attributes"] or "noreturn" in match["attributes"]:
        return None
    if name in CHANGE_SOMETHING or "= delete" in whole:
        return None
    if indent == 0:
        return name
    is_const = re.search(r"\)\s*const\b", whole)
    return name if name in RESULTS or (match["type"] in VALUES and (is_const or name == "gradient")) else None


def check_beginning(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"\A(#pragma once|#ifndef \w+\n#define \w+)\s*", "", file.read())
    return [] if text.startswith(("//", "/*")) else [f"{path}:1: does not begin with what the header is for"]


def check(path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    mistakes = []
    options, in_detail, opener = None, False, ""
    for at, line in enumerate(lines):
        if line.endswith("{") and not line.startswith(" "):
            opener = line
        ends = line.startswith("}  // namespace") or (line == "}" and opener.startswith("namespace"))
        in_detail = line.startswith("namespace detail") or (in_detail and not ends)
        whole = line
        for more in lines[at + 1:at + 8]:
            if ";" in whole or "{" in whole:
                break
            whole += " " + more.strip()
        before = lines[at - 1].strip()
        if not before.endswith("(") and not before.endswith(","):
            name = must_be_nodiscard(line, whole, in_detail)
            if name:
                mistakes.append(f"{path}:{at + 1}: {name}() must be [[nodiscard]]")
        opened = re.match(r"^struct (\w*Options) \{", line)
        if opened:
            options = opened[1]
        elif line.startswith("};"):
            options = None
        elif options and re.match(r"^  [A-Za-z_:][^()]* [\w\s=.,:<>{}\-/+e*\"'()\[\]]*;", line.split("//")[0]):
            if "///<" not in line and not before.startswith("///") and not lines[at + 1].strip().startswith("///<"):
                field = re.sub(r" *[={].*", "", line.split(";")[0]).strip()
                mistakes.append(f"{path}:{at + 1}: the field `{field}` of {options} has no comment")
    return mistakes


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] == ["--help"]:
        sys.exit(__doc__)
    lib = sys.argv[1] if len(sys.argv) == 2 else os.path.join(os.path.dirname(__file__), "..", "lib")
    headers = public_headers(lib)
    mistakes = []
    for folder, _, names in sorted(os.walk(lib)):
        for name in sorted(names):
            if name.endswith(".h"):
                mistakes += check_beginning(os.path.join(folder, name))
    mistakes += [mistake for header in headers for mistake in check(os.path.join(lib, header))]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{len(headers)} public headers")


main()
