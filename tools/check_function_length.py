#!/usr/bin/env python3
"""Names the functions of lib/ that are longer than 60 lines, from signature to closing brace, and fails if there is one.

usage: check_function_length.py [FILE...]
"""

import pathlib
import re
import sys

MOST = 60
NO_FUNCTION = re.compile(r"^\s*(namespace|inline namespace|class|struct|enum|union|extern)\b")


def without_text(source):
    """The source with comments, strings and character literals blanked, line by line as before."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\'', re.S)
    return pattern.sub(lambda match: "\n" * match.group().count("\n"), source)


def functions(source):
    """(name, first line, number of lines) of each function at namespace or class scope."""
    blocks = []  # of each open brace: its head, the line where that begins, and whether functions may stand inside
    head, head_line, parentheses = "", 1, 0
    for number, line in enumerate(without_text(source).split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        for character in line:
            if character == "{" and parentheses == 0:
                outer = not blocks or blocks[-1][2]
                text = head.strip()
                scope = outer and (bool(NO_FUNCTION.match(re.sub(r"^template\s*<.*?>\s*(?=class|struct)", "", text))))
                blocks.append((text, head_line, scope, outer))
                head = ""
            elif character == "}" and parentheses == 0:
                if blocks:
                    text, first, scope, outer = blocks.pop()
                    if outer and not scope and "(" in text:
                        yield re.sub(r"\s+", " ", text.split("(")[0]).split(" ")[-1], first, number - first + 1
                head = ""
            elif character == ";" and parentheses == 0:
                head = ""
            else:
                parentheses += {"(": 1, ")": -1}.get(character, 0)
                if not head.strip() and not character.isspace():
                    head_line = number
                head += character
        head += " "
        if re.match(r"^\s*(public|private|protected):\s*$", line):
            head = ""


def main():
    files = sys.argv[1:] or sorted(
        str(path) for path in (pathlib.Path(__file__).parent.parent / "lib").rglob("*") if path.suffix in (".h", ".cpp"))
    count = long = 0
    for file in files:
        for name, first, lines in functions(pathlib.Path(file).read_text()):
            count += 1
            if lines > MOST:
                long += 1
                print(f"{file}:{first}: {name}() has {lines} lines, at most {MOST} are allowed")
    if count < len(files):
        sys.exit(f"only {count} functions were found in {len(files)} files: this check is broken")
    print(f"{count} functions, {long} of them longer than {MOST} lines")
    sys.exit(1 if long else 0)


main()
