#!/usr/bin/env python3
"""Puts the playground's page, its style, its scripts and its WebAssembly into one HTML file.

usage: make_page.py GLUE.js CODE.wasm PAGE.html
"""

import base64
import gzip
import pathlib
import re
import sys

here = pathlib.Path(__file__).parent


def main():
    glue, wasm, page = map(pathlib.Path, sys.argv[1:])
    parts = {
        "glue": glue.read_text().strip(),
        "wasm": base64.b64encode(gzip.compress(wasm.read_bytes(), 9, mtime=0)).decode(),
    }

    def part(match):
        name = match[1]
        text = parts.get(name) or (here / name).read_text().strip()
        if name != "wasm" and "</script" in text:
            sys.exit(f"make_page.py: {name} must not contain </script")
        return text

    text = re.sub(r"^@([\w.]+)@$|(?<=>)@(wasm)@(?=<)", lambda m: part(m) if m[1] else parts[m[2]], (here / "page.html").read_text(), flags=re.M)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text)


if __name__ == "__main__":
    main()
