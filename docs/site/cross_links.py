"""Links that the documents do not write, since they are read on other pages than these, too.

- Each equation of docs/derivation.md gets an anchor. B27 becomes a link to the equation, and docs/numerics.md in the
  functions' documentation one to the document.
- In the documents, `batch_norm_forward` in code marks becomes a link to the function.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)

DERIVATION = "docs/derivation"
TAG = re.compile(r"\\tag\{(B\d+)\}")
CITATION = re.compile(r"\b(B\d+)\b|\b(docs/[a-z_-]+)\.md\b")
#: The pages made from headers and docstrings.
GENERATED = ("cpp/", "py/")
#: Names in code marks are Python's there, and C++'s elsewhere.
PYTHON_DOCUMENTS = ("docs/python", "python/README")
#: A name, alone or with its arguments behind it.
CALLED = re.compile(r"([A-Za-z_][\w:.]*)(?:\(.*)?$")
#: What is a function, and has to be found, in the tables of docs/site.
FUNCTION = re.compile(r"[a-z]_norm|::")


def mark_long_code(app: Any, doctree: nodes.document) -> None:
    """Long names may break at any letter: site.css."""
    for literal in doctree.findall(nodes.literal):
        if len(literal.astext()) > 40:
            literal["classes"].append("long")


def name_equations(app: Any, doctree: nodes.document) -> None:
    """Anchors b1, b2, ... from the formulas' tags."""
    if app.env.docname != DERIVATION:
        return
    for formula in doctree.findall(nodes.math_block):
        tag = TAG.search(formula.astext())
        if tag:
            formula["ids"].append(tag[1].lower())


def linked(app: Any, docname: str, text: str) -> list[nodes.Node]:
    """The text, cut at its citations."""
    parts: list[nodes.Node] = []
    end = 0
    for match in CITATION.finditer(text):
        target = DERIVATION if match[1] else match[2]
        if target not in app.env.found_docs:
            continue
        uri = app.builder.get_relative_uri(docname, target) + (f"#{match[1].lower()}" if match[1] else "")
        parts += [nodes.Text(text[end : match.start()]), nodes.reference("", match[0], refuri=uri, internal=True)]
        end = match.end()
    return [*parts, nodes.Text(text[end:])]


def is_plain(node: nodes.Node) -> bool:
    """Whether no parent is code, a link or a title."""
    parent = node.parent
    while parent is not None:
        if isinstance(parent, (nodes.literal, nodes.literal_block, nodes.reference, nodes.title, nodes.math)):
            return False
        if parent.tagname.startswith("desc_sig"):
            return False
        parent = parent.parent
    return True


def link_citations(app: Any, doctree: nodes.document, docname: str) -> None:
    for text in list(doctree.findall(nodes.Text)):
        if CITATION.search(text) and is_plain(text):
            text.parent.replace(text, linked(app, docname, text.astext()))


def targets_of(app: Any) -> dict[str, dict[str, tuple[str, str]]]:
    """For each language, the page and the anchor of each name."""
    targets: dict[str, dict[str, tuple[str, str]]] = {"cpp": {}, "py": {}}
    for language, prefix in (("cpp", "unitvar::"), ("py", "unitvar.")):
        for full, _, kind, page, anchor, _ in app.env.domains[language].get_objects():
            if kind not in ("templateParam", "functionParam", "module") and full.startswith(prefix):
                targets[language].setdefault(full, (page, anchor))
                targets[language].setdefault(full.removeprefix(prefix), (page, anchor))
    return targets


def language_of(literal: nodes.Node, docname: str) -> str:
    """Of a table's column if its head says so, else of the document."""
    cell = literal.parent
    while cell is not None and not isinstance(cell, nodes.entry):
        cell = cell.parent
    if cell is not None:
        table = cell.parent.parent.parent
        heads = [entry.astext() for row in table.findall(nodes.thead) for entry in row.findall(nodes.entry)]
        column = cell.parent.index(cell)
        if column < len(heads) and heads[column] in ("C++", "Python"):
            return "py" if heads[column] == "Python" else "cpp"
    return "py" if docname in PYTHON_DOCUMENTS else "cpp"


def link_code(app: Any, doctree: nodes.document, docname: str) -> None:
    if docname.startswith(GENERATED):
        return
    targets = targets_of(app)
    for literal in list(doctree.findall(nodes.literal)):
        if not is_plain(literal):
            continue
        name = CALLED.match(literal.astext())
        found = name and targets[language_of(literal, docname)].get(name[1])
        if found:
            uri = app.builder.get_relative_uri(docname, found[0]) + "#" + found[1]
            literal.parent.replace(literal, nodes.reference("", "", literal.deepcopy(), refuri=uri, internal=True))
        elif name and docname.startswith("docs/site/") and FUNCTION.search(name[1]):
            LOGGER.warning("%s is not documented as a function", name[1], location=literal)


def setup(app: Any) -> dict[str, Any]:
    app.connect("doctree-read", mark_long_code)
    app.connect("doctree-read", name_equations)
    app.connect("doctree-resolved", link_citations)
    app.connect("doctree-resolved", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
