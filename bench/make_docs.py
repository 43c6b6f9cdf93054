#!/usr/bin/env python3
"""Makes the tables and the chart of docs/performance.md from the files of bench/figures.

    bench/make_docs.py            rewrites what changed; needs gnuplot for the chart
    bench/make_docs.py --check    says what would change, and exits with 1 if anything would

It rewrites the blocks of docs/performance.md between `<!-- figures: NAME -->` and `<!-- /figures -->`, writes a page of
tables for each file, docs/performance/KIND.md, and draws docs/images/performance.svg.
"""

import argparse
import glob
import hashlib
import os
import re
import subprocess
import sys

import figure_chart
import figure_files
import figure_tables
from figure_files import Refused

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
DOCUMENT, PAGES = "docs/performance.md", "docs/performance"
SCRIPT, PICTURE = "docs/images/performance.gnuplot", "docs/images/performance.svg"
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


def read_all(root):
    """The figures of each kind of machine, by its name."""
    paths = sorted(glob.glob(os.path.join(root, "bench/figures/*.json")))
    return {os.path.basename(path)[:-len(".json")]: figure_files.read(path) for path in paths}


def filled(text, blocks):
    """The document with its blocks made anew."""
    def fill(block):
        begin, name, end = block.groups()
        if name not in blocks:
            raise Refused(f"{DOCUMENT}: the block is '{name}', want {', '.join(blocks)}")
        return begin + blocks[name] + end
    made = BLOCK.sub(fill, text)
    seen = {match.group(2) for match in BLOCK.finditer(text)}
    for name in blocks:
        if name not in seen:
            raise Refused(f"{DOCUMENT} has no block <!-- figures: {name} -->")
    return made


def read_text(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def signature(script):
    """Ends the picture, to say which script drew it: gnuplots differ in how they write the same picture."""
    return f"<!-- drawn by performance.gnuplot, SHA-256 {hashlib.sha256(script.encode()).hexdigest()} -->\n"


def draw(script):
    try:
        drawn = subprocess.run(["gnuplot"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise Refused(f"cannot run gnuplot: {error.strerror}") from error
    if drawn.returncode != 0 or not drawn.stdout.rstrip().endswith("</svg>"):
        raise Refused(f"gnuplot ended with {drawn.returncode}: {drawn.stderr.strip()[:200]}")
    return drawn.stdout.rstrip() + "\n" + signature(script)


def wanted_files(root, figures):
    """The text of each file, or nothing where there should be none; the picture's is not in it."""
    files = {DOCUMENT: filled(read_text(os.path.join(root, DOCUMENT)), figure_tables.blocks(figures))}
    for path in glob.glob(os.path.join(root, PAGES, "*.md")):
        if (read_text(path) or "").startswith(figure_tables.MADE):
            files[f"{PAGES}/{os.path.basename(path)}"] = None
    for kind, document in figures.items():
        files[f"{PAGES}/{kind}.md"] = figure_tables.page(kind, document)
    files[SCRIPT] = figure_chart.script(figures)
    return files


def stale(root, files):
    """The paths whose files are not as they should be."""
    paths = [path for path, text in files.items() if read_text(os.path.join(root, path)) != text]
    script, picture = files[SCRIPT], read_text(os.path.join(root, PICTURE))
    if (picture is not None) if script is None else not (picture or "").endswith(signature(script)):
        paths.append(PICTURE)
    return paths


def renew(root, files, paths):
    for path in paths:
        text = files[path] if path in files else files[SCRIPT] and draw(files[SCRIPT])
        if text is None:
            os.remove(os.path.join(root, path))
        else:
            figure_files.write(os.path.join(root, path), text)
        print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--root", default=ROOT, metavar="FOLDER", help="of the repository")
    arguments = parser.parse_args()
    files = wanted_files(arguments.root, read_all(arguments.root))
    paths = stale(arguments.root, files)
    if not arguments.check:
        renew(arguments.root, files, paths)
    elif paths:
        raise Refused(f"{', '.join(paths)}: not what bench/figures gives, want bench/make_docs.py run")


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"make_docs.py: {refusal}")
