#!/usr/bin/env python3
"""The files of the project, and what the checks share.

As a program: tree.py [--root DIR] [-0] PATTERN...   prints the project's files that match, e.g. '*.c' '*.h'.
The files are what git tracks plus what it would track (not ignored); without git, all but build/ and hidden folders.
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys

# The root a check works on unless --root says otherwise: two folders up from here.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files(root, patterns=("*",)):
    """Sorted paths relative to root, '/' between; '*' in a pattern matches '/' too."""
    found = _files_of_git(root)
    if found is None:
        found = _files_of_folder(root)
    return sorted(
        name
        for name in found
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
        and os.path.isfile(os.path.join(root, name))  # tracked, but removed from the tree
    )


def _files_of_git(root):
    # safe.directory: a build server's clone may belong to another user.
    git = ["git", "-c", "safe.directory=*", "-C", root]
    try:
        top = subprocess.run(git + ["rev-parse", "--show-toplevel"], capture_output=True, text=True)
        if top.returncode != 0 or os.path.realpath(top.stdout.rstrip("\n")) != os.path.realpath(root):
            return None
        out = subprocess.run(
            git + ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return {os.fsdecode(name) for name in out.split(b"\0") if name}


def _files_of_folder(root):
    found = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f != "build" and f != "__pycache__" and not f.startswith(".")]
        for name in names:
            found.add(os.path.relpath(os.path.join(folder, name), root))
    return found


def table(path):
    """Lines of a table file as (line number, text), without comments ('#' at the start or after a blank)."""
    rows = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            line = re.sub(r"(^|\s)#.*", "", line).strip()
            if line:
                rows.append((number, line))
    return rows


_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def without_comments(text):
    """C text with its comments blanked, every line still where it was."""

    def blank(match):
        token = match.group(0)
        return re.sub(r"[^\n]", " ", token) if token.startswith("/") else token

    return _TOKEN.sub(blank, text)


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def parser(doc):
    """The options every check has."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--root", default=ROOT, help="the tree to check (default: the one this program lies in)")
    return options


def finish(check, problems, checked):
    """Prints what was found and returns the exit status."""
    for problem in problems:
        print(problem)
    print(f"{check}: {len(problems)} problem(s) in {checked}")
    return 1 if problems else 0


def main():
    options = parser(__doc__)
    options.add_argument("-0", dest="nul", action="store_true", help="end each name with a NUL")
    options.add_argument("patterns", nargs="*", default=["*"])
    args = options.parse_args()
    end = "\0" if args.nul else "\n"
    sys.stdout.write("".join(name + end for name in files(args.root, args.patterns)))


if __name__ == "__main__":
    main()
