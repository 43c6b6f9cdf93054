"""The forward of one module as a graph, and a module with another forward in its place."""

from __future__ import annotations

import importlib
import inspect
import itertools
import linecache
import operator
import sys
from types import ModuleType
from typing import Any

from torch import Tensor, fx, nn

_SERIAL = itertools.count()


class Unsafe(Exception):
    """Why a module's forward is not rewritten."""


class _Proxy(fx.Proxy):
    """A value of a traced forward that notices when the forward asks for its type."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        tracer: Any = self.tracer
        if caller.startswith(("torch.", "unitvar.")):
            return _Proxy
        tracer.asked = True
        return Tensor if tracer.as_tensor else _Proxy


def _in_place(name: str) -> Any:
    """`a += b` and the like as they are: fx itself traces a = a + b, which leaves other names of a unchanged."""
    function = getattr(operator, name)

    def traced(self: fx.Proxy, other: Any) -> fx.Proxy:
        return self.tracer.create_proxy("call_function", function, (self, other), {})

    return traced


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor"):
    setattr(_Proxy, f"__{_name}__", _in_place(_name))


class _Tracer(fx.Tracer):
    """Traces a module's own forward: calls of its children are nodes."""

    def __init__(self, as_tensor: bool) -> None:
        super().__init__()
        self.as_tensor, self.asked = as_tensor, False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return True

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)


def _trace(module: nn.Module, training: bool, as_tensor: bool) -> tuple[fx.Graph, bool]:
    """The graph, and whether the forward asked for the type of a value."""
    flags, attributes = [(child, child.training) for child in module.modules()], set(vars(module))
    tracer = _Tracer(as_tensor)
    try:
        for child, _ in flags:
            child.training = training
        graph = tracer.trace(module)
    except Exception as problem:
        first = (str(problem).splitlines() or [""])[0]
        raise Unsafe(f"torch.fx cannot trace {type(module).__name__}.forward: {first}") from problem
    finally:
        for child, flag in flags:
            child.training = flag
    constants = set(vars(module)) - attributes
    for name in constants:
        delattr(module, name)
    if constants:
        raise Unsafe(f"{type(module).__name__}.forward makes tensors of its own")
    return graph, tracer.asked


def own_graphs(module: nn.Module) -> list[fx.Graph]:
    """The graphs that a module's forward may have: one, or several if it depends on what tracing cannot see.

    Raises Unsafe where it cannot be traced, or where an optional argument may change it.
    """
    for parameter in inspect.signature(type(module).forward).parameters.values():
        if (
            parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            or parameter.default is not parameter.empty
        ):
            raise Unsafe(f"{type(module).__name__}.forward has the optional argument {parameter.name}")
    first, asked = _trace(module, True, False)
    others = [_trace(module, training, tensor)[0] for training, tensor in ((False, False), (True, True), (False, True))]
    return [first, *(others if asked else others[:1])]


def same_code(graphs: list[fx.Graph]) -> bool:
    """Whether all graphs say the same."""
    codes = {graph.python_code("self").src for graph in graphs}
    return len(codes) == 1


def _named(value: Any) -> Any:
    return ("module", value.__name__) if isinstance(value, ModuleType) else value


def _value(named: Any) -> Any:
    return importlib.import_module(named[1]) if isinstance(named, tuple) and named[:1] == ("module",) else named


def _derived(base: type, source: str, names: dict[str, Any]) -> type:
    """A subclass of base, of the same name, with the forward of a source text."""
    file = f"<unitvar.torch.convert {next(_SERIAL)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace = {name: _value(value) for name, value in names.items()}
    exec(compile(source, file, "exec"), namespace)
    members = {
        "forward": namespace["forward"],
        "__reduce_ex__": _reduce,
        "__module__": base.__module__,
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "_unitvar_origin": (base, source, names),
    }
    return type(base.__name__, (base,), members)


def _reduce(self: Any, protocol: Any) -> Any:
    """How a module with a written forward is copied and pickled: class, text, and what the text names."""
    state = object.__reduce_ex__(self, 4)[2]
    return _rebuilt, self._unitvar_origin, state


def _rebuilt(base: type, source: str, names: dict[str, Any]) -> nn.Module:
    module: Any = object.__new__(base)
    module.__class__ = _derived(base, source, names)
    return module


def set_forward(module: nn.Module, graph: fx.Graph) -> None:
    """Gives a module the forward of a graph. It stays an instance of its class, with all attributes."""
    code = graph.python_code("self")
    names = {name: _named(value) for name, value in code.globals.items()}
    module.__class__ = _derived(type(module), code.src, names)


def has_set_forward(module: nn.Module) -> bool:
    """Whether set_forward was here."""
    return hasattr(type(module), "_unitvar_origin")


def reset_forward(module: nn.Module) -> None:
    """Takes it back."""
    origin: Any = type(module)
    module.__class__ = origin._unitvar_origin[0]


def hooks_of(module: nn.Module) -> bool:
    """Whether something watches what goes into the module or comes out of it."""
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in names)


def is_plain_forward(module: nn.Module) -> bool:
    """Whether the class's forward is the one that runs."""
    return "forward" not in vars(module) and type(module).__call__ is nn.Module.__call__
