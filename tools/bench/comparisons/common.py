"""What all comparisons need: running programs, reading what they print, and tables."""
import csv
import os
import statistics
import subprocess
import sys

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PEERS = os.path.join(BENCH, "peers")


def run(command, env=None, quiet=False):
    """What the command prints. Its failure ends the comparison, and says which command it was."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True,
                          env={**os.environ, **(env or {})}, check=False)
    if done.returncode != 0:
        sys.exit(f"compare.py: failed with {done.returncode}: {' '.join(command)}")
    return done.stdout


def rows(text):
    return list(csv.DictReader(text.splitlines()))


def say(text):
    """Progress: not a part of the tables."""
    print(text, file=sys.stderr, flush=True)


def table(title, columns, lines):
    """Prints a table of Markdown, every cell a text."""
    print(f"\n{title}\n" if title else "")
    print("| " + " | ".join(columns) + " |")
    print("|---" * len(columns) + "|")
    for line in lines:
        print("| " + " | ".join(line) + " |")
    sys.stdout.flush()


def number(value, digits=0):
    """A number for a table; a dash where nothing was measured."""
    return "-" if value is None else f"{value:,.{digits}f}"


def ratio(one, other):
    return one / other if one is not None and other else None


def geometric_mean(values):
    values = list(values)
    return statistics.geometric_mean(values) if values else None
