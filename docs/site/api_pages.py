"""Writes the pages of the C++ headers and of the Python modules, in the order of the sources.

The C++ pages come from doxygen's XML. The Python pages come from the modules' docstrings and `__all__`. A header or a
module that no page names is an error, so nothing public is forgotten.
"""

from __future__ import annotations

import ast
import importlib
import xml.etree.ElementTree as ET
from pathlib import Path

from doxygen_filter import group_of

#: Page, title, headers.
CPP_PAGES = (
    ("batch_norm", "Batch normalization", ("batch_norm", "frozen", "running_statistics", "batch_norm_layer")),
    ("variants", "Variants of batch normalization",
     ("activation", "in_place", "weighted", "ghost", "renorm", "fold")),
    ("relatives", "Layer, RMS, group and instance normalization", ("layer_norm", "layer_norm_add", "group_norm")),
    ("derivatives", "Derivatives beyond the first", ("derivatives",)),
    ("phases", "Phases, merge and accumulators", ("phases", "accumulator")),
    ("ranks", "Ranks", ("communicator", "thread_group", "mpi")),
    ("types", "Extents, types, options, errors",
     ("extent", "row_extent", "dtype", "half", "options", "isa", "schedule", "error", "version")),
    ("reference", "The mathematics, executable",
     ("reference", "reference/forward", "reference/statistics", "reference/closed_forms", "reference/staged",
      "reference/calculus", "reference/activation", "reference/weighted", "reference/variants",
      "reference/derivatives", "reference/group_norm", "reference/layer_norm")),
    ("gradcheck", "Your own layer, numeric differentiation", ("diagnose", "gradcheck")),
)
#: Headers without a page: one has macros alone, the other includes the rest.
CPP_WITHOUT_PAGE = ("api", "unitvar")

DIRECTIVES = {"function": "doxygenfunction", "enum": "doxygenenum", "typedef": "doxygentypedef",
              "variable": "doxygenvariable", "define": "doxygendefine", "struct": "doxygenstruct",
              "class": "doxygenclass", "concept": "doxygenconcept"}

#: Page, title, modules. "_*" takes the modules without a page whose names are the package's, "*" the others.
PYTHON_PAGES = (
    ("batch_norm", "Batch normalization", ("_batch_norm", "layer")),
    ("variants", "Variants of batch normalization", ("_*",)),
    ("derivatives", "Derivatives beyond the first", ("_derivatives",)),
    ("check", "Your own layer", ("_check",)),
    ("relatives", "Layer, RMS, group and instance normalization", ("_relatives", "_row_add")),
    ("options", "Options, schedules, errors", ("__init__", "schedule")),
    ("modules", "Modules", ("*",)),
)
#: Modules that hold nothing public; and those that need a framework of 3 GB to be imported, which docs/python.md describes.
PYTHON_WITHOUT_PAGE = ("_arrays", "torch", "jax")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def heading(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n\n"


def index_page(title: str, text: str, pages: tuple[str, ...]) -> str:
    lines = "".join(f"   {page}\n" for page in pages)
    return heading(title, "=") + text + "\n\n.. toctree::\n   :maxdepth: 2\n\n" + lines


def place_of(node: ET.Element) -> tuple[str, int]:
    """The header that declares something, by its path below include/unitvar without its ending, and the line."""
    location = node.find("location")
    assert location is not None
    return location.get("file", "").removeprefix("unitvar/").removesuffix(".hpp"), int(location.get("line", "0"))


class Headers:
    """The files, classes and functions in doxygen's XML."""

    def __init__(self, xml: Path) -> None:
        self.xml = xml
        self.files: dict[str, ET.Element] = {}
        self.groups: set[str] = set()
        self.members: list[ET.Element] = []
        for compound in ET.parse(xml / "index.xml").getroot().iter("compound"):
            if compound.get("kind") not in ("file", "group", "namespace"):
                continue
            root = self._compound(compound.get("refid", ""))
            self.members += root.iter("memberdef")
            if compound.get("kind") == "file":
                self.files[place_of(root)[0]] = root
            elif compound.get("kind") == "group":
                self.groups.add(compound.findtext("name", ""))
        names = [member.findtext("qualifiedname") for member in self.members]
        self.overloaded = {name for name in names if names.count(name) > 1}

    def _compound(self, refid: str) -> ET.Element:
        root = ET.parse(self.xml / f"{refid}.xml").getroot().find("compounddef")
        assert root is not None
        return root

    def _classes(self, file: ET.Element) -> list[tuple[int, str]]:
        """Public classes and concepts of a file that stand in no other class: line and directive."""
        found = []
        for inner in [*file.findall("innerclass"), *file.findall("innerconcept")]:
            root = self._compound(inner.get("refid", ""))
            name, kind = root.findtext("compoundname", ""), root.get("kind", "")
            if self._is_nested(name) or inner.get("prot") == "private":
                continue
            text = f".. {DIRECTIVES[kind]}:: {name}\n"
            if kind != "concept":
                text += "   :members:\n   :undoc-members:\n"
            if kind == "class":
                text += "   :protected-members:\n"
            found.append((place_of(root)[1], text))
        return found

    def _is_nested(self, name: str) -> bool:
        outer = name.split("<")[0].rpartition("::")[0]
        return any((self.xml / f"{kind}{outer.replace('::', '_1_1')}.xml").exists() for kind in ("class", "struct"))

    def _members(self, header: str) -> list[tuple[int, str]]:
        """Functions, enums and the like of a header: line and directive."""
        found = []
        for member in self.members:
            declared_in, line = place_of(member)
            if declared_in != header:
                continue
            name = member.findtext("qualifiedname") or member.findtext("name", "")
            signature = member.findtext("argsstring", "") if name in self.overloaded else ""
            found.append((line, f".. {DIRECTIVES[member.get('kind', '')]}:: {name}{signature}\n"))
        return found

    def section(self, header: str) -> str:
        """A header: its introduction, then all that it declares, in its order."""
        file = self.files[header]
        title = f"unitvar/{header}.hpp"
        # The label that doxygen gives to a header that a text names.
        text = f".. _{file.get('id')}_source:\n\n" + heading(title, "-")
        group = group_of(header)
        if group in self.groups:
            text += f".. doxygengroup:: {group}\n   :desc-only:\n\n"
        items = sorted(self._classes(file) + self._members(header))
        return text + "\n".join(item for _, item in items) + "\n"


def write_cpp(xml: Path, folder: Path) -> None:
    headers = Headers(xml)
    listed = {header for _, _, names in CPP_PAGES for header in names}
    wanted = set(headers.files) - set(CPP_WITHOUT_PAGE)
    if listed != wanted:
        raise ValueError(f"CPP_PAGES differ from the headers in: {', '.join(sorted(listed ^ wanted))}")
    for page, title, names in CPP_PAGES:
        write(folder / f"{page}.rst", heading(title, "=") + "\n".join(headers.section(name) for name in names))
    text = "The public headers, by subject. ``#include <unitvar/unitvar.hpp>`` has all but the last two."
    write(folder / "index.rst", index_page("C++ functions", text, tuple(page for page, _, _ in CPP_PAGES)))


def is_compiled(package: Path) -> bool:
    """Whether the compiled module lies beside the package's sources."""
    return any(package.glob("_core*.so"))


def names_in_all(tree: ast.Module) -> list[str]:
    """The names in a module's `__all__`, if it is a list of strings."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


class Package:
    """The Python package, by its sources alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = [path.stem for path in folder.glob("*.py")]
        found += [path.parent.name for path in folder.glob("*/__init__.py")]
        self.modules = sorted(set(found) - set(PYTHON_WITHOUT_PAGE))
        imports = [node for node in self._tree("__init__").body if isinstance(node, ast.ImportFrom)]
        #: Modules whose names are the package's.
        self.joined = {node.module for node in imports if node.names[0].name == "*"}
        #: What the package takes from the compiled module.
        self.compiled = [alias.name for node in imports if node.module == "_core" for alias in node.names]

    def _tree(self, module: str) -> ast.Module:
        path = self.folder / f"{module}.py"
        return ast.parse((path if path.exists() else self.folder / module / "__init__.py").read_text(encoding="utf-8"))

    def section(self, module: str) -> str:
        """The names of a module, in the order of its source."""
        if module == "__init__":
            return self._compiled_section()
        if module not in self.joined:
            name = f"unitvar.{module}"
            return heading(name, "-") + f".. automodule:: {name}\n   :members:\n   :undoc-members:\n\n"
        tree = self._tree(module)
        kinds = {node.name: "autofunction" for node in tree.body if isinstance(node, ast.FunctionDef)}
        kinds |= {node.name: "autoclass" for node in tree.body if isinstance(node, ast.ClassDef)}
        order = [node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
        return "".join(directive(kinds[name], name) for name in sorted(names_in_all(tree), key=order.index))

    def _compiled_section(self) -> str:
        """Nothing if the compiled module is not built."""
        if not is_compiled(self.folder):
            return ""
        core = importlib.import_module("unitvar._core")
        text = ""
        for name in self.compiled:
            if isinstance(getattr(core, name), type):
                text += directive("autoclass", name)
            elif callable(getattr(core, name)):
                text += directive("autofunction", name)
        return text

    def pages(self) -> list[tuple[str, str, list[str]]]:
        """Name, title and modules of each page that has any."""
        named = {module for _, _, modules in PYTHON_PAGES for module in modules}
        pages = []
        for page, title, modules in PYTHON_PAGES:
            taken = [module for module in modules if module in self.modules]
            if modules[0] in ("_*", "*"):
                rest = [module for module in self.modules if module not in named]
                taken = [module for module in rest if (module in self.joined) == (modules[0] == "_*")]
            if taken:
                pages.append((page, title, taken))
        return pages


def directive(kind: str, name: str) -> str:
    members = "   :members:\n   :undoc-members:\n" if kind == "autoclass" else ""
    return f".. {kind}:: unitvar.{name}\n{members}\n"


def write_python(folder: Path, target: Path) -> None:
    package = Package(folder)
    for page, title, modules in package.pages():
        write(target / f"{page}.rst", heading(title, "=") + "".join(map(package.section, modules)))
    text = "The package ``unitvar``, from its docstrings. The :doc:`guide </docs/python>` introduces it."
    write(target / "index.rst", index_page("Python functions", text, tuple(page for page, _, _ in package.pages())))
