"""The HTML documentation. script/docs copies the documents to build/docs/source and runs Sphinx there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.ext.napoleon import Config, GoogleDocstring

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
XML = ROOT / "build" / "docs" / "xml"
PACKAGE = ROOT / "python" / "src" / "unitvar"
sys.path[:0] = [str(HERE), str(PACKAGE.parent)]

import api_pages  # noqa: E402

project = "unitvar"
author = "the unitvar authors"
copyright = "the unitvar authors, Apache License 2.0"
release = re.findall(r"project\(unitvar VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text(encoding="utf-8"))[0]
version = release

extensions = ["breathe", "myst_parser", "sphinx.ext.autodoc", "cross_links", "formulas"]
exclude_patterns = ["docs/site/index.md"]
root_doc = "index"
# Every type in a signature leads to its page, except for these.
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"Array"),  # _arrays.Array, which is Any
    ("py:class", r"(np|numpy|onnx|collections)\..*|ModelProto"),
    ("py:class", r"unitvar\.cs231n\.\w+Cache"),  # of the module's own use
    ("py:class", r"unitvar\._core\..*"),  # before the compiled module is built
    ("cpp:identifier", r"unitvar|unitvar::reference|cpu|cpu::.*"),  # namespaces; what users never name
    ("cpp:identifier", r"MPI_Comm|ExactInDouble|DtypeTraits<T>.*"),
]

# Markdown as GitHub shows it: anchors of headings, $formulas$.
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 6
myst_dmath_double_inline = True

breathe_projects = {"unitvar": str(XML)}
breathe_default_project = "unitvar"
breathe_show_include = False
primary_domain = "cpp"
highlight_language = "none"

html_math_renderer = "formulas"
katex_module = "/usr/share/javascript/katex/katex.min.js"

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autoclass_content = "both"
autodoc_type_aliases = {"Array": "Array"}
toc_object_entries_show_parents = "hide"
# Not there, and not needed for docstrings: the compiled module before it is built, and what users bring.
autodoc_mock_imports = [name for name in ("mpi4py", "onnx") if importlib.util.find_spec(name) is None]
if not api_pages.is_compiled(PACKAGE):
    autodoc_mock_imports.append("unitvar._core")

html_theme = "furo"
html_title = f"unitvar {release}"
html_static_path = ["_static", str(ROOT / "build" / "docs" / "static")]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}


WRITTEN_BY_ITSELF = re.compile(r"Alias for field number|Create new instance of|\(self\) -> ")


def adapt_docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Bars outside of ``code`` are text: |mean| is no substitution. Lines that nobody wrote are left out."""
    lines[:] = [line for line in lines if not WRITTEN_BY_ITSELF.match(line)]
    for at, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[at] = "``".join(parts)
    # Napoleon would take an attribute's words before a colon for a type.
    if what != "attribute":
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()


def name_aliases(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Array, where it stands in a union, as Array."""
    return signature and re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", signature), returns


def write_pages(app: Any, config: Any) -> None:
    source = Path(app.srcdir)
    api_pages.write_cpp(XML, source / "cpp")
    api_pages.write_python(PACKAGE, source / "py")


def setup(app: Any) -> None:
    app.connect("config-inited", write_pages)
    app.connect("autodoc-process-docstring", adapt_docstring)
    app.connect("autodoc-process-signature", name_aliases)
