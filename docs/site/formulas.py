"""Formulas become HTML when the pages are written, by KaTeX in node: the pages need no script and no network."""

from __future__ import annotations

import html
import json
import subprocess
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)


class Katex:
    """A process of node, which lives as long as the build. Formulas that came before are remembered."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._known: dict[tuple[str, bool], dict[str, str]] = {}

    def start(self, app: Any) -> None:
        command = ["/usr/bin/node", str(Path(__file__).with_name("formulas.js")), app.config.katex_module]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self, *_: Any) -> None:
        if self._process:
            self._process.communicate()
            self._process = None

    def render(self, node: nodes.Element, display: bool) -> str:
        """The HTML; a formula with an error is a warning, and stays as it was written."""
        key = (node.astext(), display)
        if key not in self._known:
            assert self._process and self._process.stdin and self._process.stdout
            print(json.dumps({"tex": key[0], "display": display}), file=self._process.stdin, flush=True)
            self._known[key] = json.loads(self._process.stdout.readline())
        if "error" in self._known[key]:
            LOGGER.warning("%s", self._known[key]["error"], location=node)
            return f"<code>{html.escape(key[0])}</code>"
        return self._known[key]["html"]


KATEX = Katex()


def visit_math(writer: Any, node: nodes.math) -> None:
    writer.body.append(writer.starttag(node, "span", "", CLASS="math") + KATEX.render(node, False) + "</span>")
    raise nodes.SkipNode


def visit_math_block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(writer.starttag(node, "div", "", CLASS="math") + KATEX.render(node, True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, Any]:
    app.add_config_value("katex_module", "katex", "html")
    app.add_html_math_renderer("formulas", (visit_math, None), (visit_math_block, None))
    app.add_css_file("katex/katex.min.css")
    app.connect("builder-inited", KATEX.start)
    app.connect("build-finished", KATEX.stop)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
