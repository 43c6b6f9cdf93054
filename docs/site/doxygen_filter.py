#!/usr/bin/env python3
"""What doxygen reads in place of a header: the same lines, with marks that doxygen needs and readers do not.

Formulas and examples in the headers stand indented behind an empty comment line. Doxygen sees no code block there until
the indent is four, so this marks them. A comment that introduces a header stands before `namespace`. It becomes a group
of the header's name, since doxygen would join those of all headers into one text about the namespace.
"""

from __future__ import annotations

import re
import sys

COMMENT = re.compile(r"^(\s*)///( ?)(.*)$")
CODE = re.compile(r"[;{]|unitvar::")
INTRODUCED = re.compile(r"^(#include|namespace )")


def group_of(header: str) -> str:
    """The group of a header, named by its path below include/unitvar."""
    return "header_" + header.removesuffix(".hpp").replace("/", "_")


def marked_block(lines: list[str]) -> list[str]:
    """The lines of one comment, with marks around indented blocks that follow an empty line."""
    texts = [match.group(3) for line in lines if (match := COMMENT.match(line))]
    prefix = re.match(r"\s*", lines[0]).group(0) + "/// "  # type: ignore[union-attr]
    out: list[str] = []
    at = 0
    while at < len(texts):
        begins = texts[at].startswith("  ") and (at == 0 or texts[at - 1] == "")
        if not begins:
            out.append(prefix + texts[at])
            at += 1
            continue
        end = at
        while end < len(texts) and texts[end].startswith("  "):
            end += 1
        code = any(CODE.search(text) for text in texts[at:end])
        out.append(prefix + ("@code{.cpp}" if code else "@code{.unparsed}"))
        out += [prefix + text[2:] for text in texts[at:end]]
        out.append(prefix + "@endcode")
        at = end
    return out


def filtered(source: str, header: str) -> str:
    """The whole header, named by its path below include/unitvar."""
    out: list[str] = []
    block: list[str] = []
    introduced = False
    for line in source.split("\n"):
        match = COMMENT.match(line)
        if match and not match.group(3).startswith("<"):
            block.append(line)
            continue
        if block:
            marked = marked_block(block)
            if INTRODUCED.match(line) and not introduced:
                introduced = True
                marked.insert(0, f"/// @defgroup {group_of(header)} unitvar/{header}")
                marked.append("")
            out += marked
            block = []
        out.append(line)
    return "\n".join(out)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        sys.stdout.write(filtered(file.read(), sys.argv[1].rpartition("include/unitvar/")[2]))
