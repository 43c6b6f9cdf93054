"""Joins BatchNorm2d with the activation behind it, and the addition of a residual between them."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ._act import activated, activation_of
from ._own_forward import Unsafe, has_set_forward, hooks_of, is_plain_forward, own_graphs, same_code, set_forward


class Activation(NamedTuple):
    """What BatchNormAct2d takes for an activation."""

    name: str
    negative_slope: float = 0.01
    low: float = 0.0
    high: float = 6.0


#: Of a residual alone.
_IDENTITY = Activation("identity")
#: Activations that are modules: their parameters decide.
_MODULES: dict[type, Callable[[Any], Activation]] = {
    nn.ReLU: lambda m: Activation("relu"),
    nn.LeakyReLU: lambda m: Activation("leaky_relu", m.negative_slope),
    nn.ReLU6: lambda m: Activation("relu6"),
    nn.Hardtanh: lambda m: Activation("clip", low=m.min_val, high=m.max_val),
    nn.Hardswish: lambda m: Activation("hard_swish"),
    nn.SiLU: lambda m: Activation("silu"),
}
#: Those that are functions or methods of a tensor, with one argument or with inplace.
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu", F.relu_: "relu", torch.relu: "relu", torch.relu_: "relu", "relu": "relu", "relu_": "relu",
    F.relu6: "relu6", F.hardswish: "hard_swish", F.silu: "silu",
}  # fmt: skip
#: Functions with numbers: torch's names of these and their defaults, and this package's names.
_WITH_NUMBERS: dict[Any, tuple[str, dict[str, float], tuple[str, ...]]] = {
    **dict.fromkeys((F.leaky_relu, F.leaky_relu_), ("leaky_relu", {"negative_slope": 0.01}, ("negative_slope",))),
    **dict.fromkeys((F.hardtanh, F.hardtanh_), ("clip", {"min_val": -1.0, "max_val": 1.0}, ("low", "high"))),
}
_ADDS = (operator.add, operator.iadd, torch.add, "add", "add_")
#: Attribute of a Sequential whose children another module calls.
OPENED = "_unitvar_opened"
_DIFFERS = "the module's forward differs between training and evaluation, or by its input's type"
_BOXES = (nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Join:
    """A normalization and what was joined to it."""

    name: str
    activation: str
    residual: bool

    def __str__(self) -> str:
        names = ["+ residual"] * self.residual + [self.activation] * (self.activation != "identity")
        return f"{self.name}: {', '.join(names)}"


class Joined(nn.Module):
    """Where an activation was that the normalization before it now has. It gives back its input."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.train(activation.training)

    def forward(self, x: Tensor) -> Tensor:
        return x


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is its children, one after the other, and nothing watches them."""
    forward = type(module).forward is nn.Sequential.forward
    return forward and is_plain_forward(module) and not has_set_forward(module) and not hooks_of(module)


def _last(module: nn.Module) -> tuple[str, nn.Module]:
    """The last module of a plain Sequential, or of one in its end, and its name there; else the module, named ""."""
    if not isinstance(module, nn.Sequential) or not len(module) or not _is_plain(module):
        return "", module
    name = next(reversed(module._modules))
    more, last = _last(module[-1])
    return f".{name}{more}", last


def _open(module: Any) -> None:
    """Marks what joined() runs child by child: another forward of it would be passed over."""
    while isinstance(module, nn.Sequential):
        vars(module)[OPENED] = True
        module = module[-1]


def joined(norm: Any, x: Tensor, residual: Any) -> Tensor:
    """norm, or a Sequential that ends in it, with a residual like x.

    Another one is added behind torch's normalization, as torch broadcasts it.
    """
    while isinstance(norm, nn.Sequential):
        *before, norm = norm
        for module in before:
            x = module(x)
    if isinstance(residual, Tensor) and residual.shape == x.shape and residual.dtype is x.dtype:
        y: Tensor = norm(x, residual)
        return y
    act = activation_of(norm.act, norm.negative_slope, norm.low, norm.high)
    return activated(nn.BatchNorm2d.forward(norm, x) + residual, act)


@dataclass(frozen=True)
class _Found:
    """A place in a graph: the normalization's node, what adds, and the activation's node, or again what adds."""

    norm: fx.Node
    add: fx.Node | None
    end: fx.Node
    activation: Activation

    @property
    def key(self) -> tuple[Any, ...]:
        return self.norm.target, self.end.op, str(self.end.target), self.add is not None, self.activation


def _ends(name: str) -> list[int]:
    """Where the names of the modules on the way to ".a.b" end."""
    return [k for k in range(1, len(name) + 1) if k == len(name) or name[k] == "."]


def _with_numbers(node: fx.Node) -> Activation | None:
    """An activation whose numbers are given by place or by name. None if one is no number."""
    name, numbers, ours = _WITH_NUMBERS[node.target]
    given: dict[str, Any] = dict(zip(numbers, node.args[1:])) | dict(node.kwargs)
    values = [given.get(key, default) for key, default in numbers.items()]
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    by_name: dict[str, Any] = dict(zip(ours, map(float, values)))
    found = Activation(name, **by_name)
    return found if found.low < found.high else None


class _Reader:
    """Reads the graphs of a module whose children are nodes."""

    def __init__(self, module: nn.Module, uses: Counter[int], is_norm: Callable[[nn.Module], bool]) -> None:
        self.module, self.uses, self.is_norm = module, uses, is_norm

    def child(self, node: fx.Node) -> nn.Module | None:
        return self.module.get_submodule(str(node.target)) if node.op == "call_module" else None

    def last(self, node: fx.Node) -> tuple[str, nn.Module]:
        """The normalization of a node, and its name in what the node calls: a Sequential may end in it."""
        child = self.child(node)
        assert child is not None
        return _last(child)

    def norms(self, graph: fx.Graph) -> Iterator[fx.Node]:
        for node in graph.nodes:
            if node.op == "call_module" and self.is_norm(self.last(node)[1]):
                yield node

    def calls(self, graph: fx.Graph, child: nn.Module) -> int:
        return sum(self.child(node) is child for node in graph.nodes)

    def activation(self, node: fx.Node) -> Activation | None:
        child = self.child(node)
        if child is not None:
            known = _MODULES.get(type(child))
            return None if known is None else known(child)
        if node.op not in ("call_function", "call_method"):
            return None
        if node.target in _WITH_NUMBERS:
            return _with_numbers(node)
        name = _FUNCTIONS.get(node.target)
        plain = len(node.args) == 1 and set(node.kwargs) <= {"inplace"}
        return Activation(name) if name is not None and plain else None

    def _next(self, node: fx.Node) -> fx.Node:
        """The one user of a value, behind modules that do nothing."""
        while True:
            if len(node.users) != 1:
                raise Unsafe(f"its result is used {len(node.users)} times")
            (user,) = node.users
            child = self.child(user)
            if type(child) is not nn.Identity or hooks_of(child):
                return user
            node = user

    def find(self, norm: fx.Node, graph: fx.Graph) -> _Found:
        """What can be joined to a normalization. Unsafe says why nothing can."""
        child = self.child(norm)
        assert child is not None
        if not self._is_own(str(norm.target)):
            raise Unsafe("it belongs to another module, which has a forward of its own")
        own, last = self.last(norm)
        places = [child, *(child.get_submodule(own[1:end]) for end in _ends(own))]
        if any(self.uses[id(place)] > 1 for place in places) or self.calls(graph, child) > 1:
            raise Unsafe("the module is used in several places")
        if hooks_of(last):
            raise Unsafe("the module has hooks")
        if len(norm.args) != 1 or norm.kwargs:
            raise Unsafe("it is called with other arguments than x")
        end, add = self._next(norm), None
        if end.target in _ADDS and end.op in ("call_function", "call_method"):
            self._check_add(end, norm)
            add = end
            end, activation = self._behind_sum(add)
        else:
            activation = self._activation_at(end)
        if add is not None:
            self._check_move(norm, end, graph)
        return _Found(norm, add, end, activation)

    def _activation_at(self, node: fx.Node) -> Activation:
        activation, child = self.activation(node), self.child(node)
        if activation is None:
            raise Unsafe(f"its result goes to {self._describe(node)}")
        if child is not None and hooks_of(child):
            raise Unsafe("the activation has hooks")
        return activation

    def _behind_sum(self, add: fx.Node) -> tuple[fx.Node, Activation]:
        """The activation of a sum, or the sum itself: a residual can be joined alone."""
        try:
            end = self._next(add)
            return end, self._activation_at(end)
        except Unsafe:
            return add, _IDENTITY

    def _check_move(self, norm: fx.Node, end: fx.Node, graph: fx.Graph) -> None:
        """Where a residual is added, the normalization moves to the activation: x may not change in between."""
        order = list(graph.nodes)
        between = set(order[order.index(norm) + 1 : order.index(end)]) - set(_chain(norm, end))
        x = norm.args[0]
        own = isinstance(x, fx.Node) and x.op == "call_module" and len(x.users) == 1
        if between and (not own or isinstance(self.child(norm), nn.Sequential)):
            raise Unsafe("x may change between the normalization and the activation")

    def _is_own(self, target: str) -> bool:
        """Whether what stands between the module and its grandchild are boxes without a forward."""
        names = target.split(".")[:-1]
        boxes = (self.module.get_submodule(".".join(names[: n + 1])) for n in range(len(names)))
        return all(type(box) in _BOXES for box in boxes)

    def _check_add(self, add: fx.Node, norm: fx.Node) -> None:
        if len(add.args) != 2 or add.kwargs or not all(isinstance(a, fx.Node) for a in add.args):
            raise Unsafe("its result is added to something else than one tensor")
        if add.target in (operator.iadd, "add_") and not self._comes_from(add.args[0], norm):
            raise Unsafe("it is added in place to another tensor")

    def _comes_from(self, node: Any, norm: fx.Node) -> bool:
        while node is not norm and type(self.child(node)) is nn.Identity:
            node = node.args[0]
        return node is norm

    def _describe(self, node: fx.Node) -> str:
        child = self.child(node)
        if child is not None:
            return f"{node.target}, a {type(child).__name__}"
        if node.op == "output":
            return "the caller of the module that has it"
        return getattr(node.target, "__name__", str(node.target))

    def residual_of(self, found: _Found) -> fx.Node:
        """The other tensor that is added."""
        assert found.add is not None
        first, second = found.add.args
        other = second if self._comes_from(first, found.norm) else first
        assert isinstance(other, fx.Node)
        return other


def _rewrite(reader: _Reader, graph: fx.Graph, found: _Found) -> None:
    """The activation's result comes from the normalization."""
    norm, end = found.norm, found.end
    if found.add is None:
        (before,) = end.all_input_nodes
        end.replace_all_uses_with(before)
        graph.erase_node(end)
        return
    residual = reader.residual_of(found)
    with graph.inserting_before(end):
        made = graph.call_function(joined, (graph.get_attr(str(norm.target)), norm.args[0], residual))
    end.replace_all_uses_with(made)
    for node in _chain(norm, end):
        graph.erase_node(node)


def _chain(norm: fx.Node, end: fx.Node) -> list[fx.Node]:
    """The nodes from the activation back to the normalization."""
    chain = [norm]
    while chain[-1] is not end:
        (user,) = chain[-1].users
        chain.append(user)
    return chain[::-1]


def uses_of(model: nn.Module) -> Counter[int]:
    """In how many places of a model each module stands."""
    places = (child for parent in model.modules() for child in parent._modules.values())
    return Counter(id(child) for child in places if child is not None)


class Fuser:
    """Joins what can be joined in a model; make_act turns a normalization into one with an activation."""

    def __init__(
        self, model: nn.Module, is_norm: Callable[[nn.Module], bool], make_act: Callable[[nn.Module, Activation], None]
    ) -> None:
        self.model, self.is_norm, self.make_act = model, is_norm, make_act
        self.uses = uses_of(model)
        self.joins: list[Join] = []
        self.left: list[tuple[str, str]] = []

    def run(self) -> None:
        """Every module's own forward, in the order of the model."""
        for name, module in list(self.model.named_modules()):
            if any(self.is_norm(_last(child)[1]) for child in module.children()) or self._reaches(module):
                self._module(f"{name}." if name else "", module)

    def _reaches(self, module: nn.Module) -> bool:
        """Whether a container of the module, which has no forward, holds a normalization."""
        boxes = (c for c in module.children() if type(c) in _BOXES)
        return any(self.is_norm(grandchild) for box in boxes for grandchild in box.children())

    def _module(self, prefix: str, module: nn.Module) -> None:
        if type(module) in _BOXES:
            return
        try:
            if has_set_forward(module) or not is_plain_forward(module):
                raise Unsafe("the module's forward was replaced")
            graphs = own_graphs(module)
        except Unsafe as reason:
            self.left += [(prefix + name, str(reason)) for name, c in module.named_children() if self.is_norm(c)]
            return
        reader = _Reader(module, self.uses, self.is_norm)
        same = same_code(graphs)
        seen = [self._found_in(reader, graph) for graph in graphs]
        rewritten, taken = False, set[fx.Node]()
        unseen = [name for name, c in module.named_children() if self.is_norm(c) and name not in seen[0]]
        self.left += [(prefix + name, "the module's forward does not call it") for name in unseen]
        for target, found in seen[0].items():
            places = [found, *(other.get(target) for other in seen[1:])]
            try:
                if isinstance(found, _Found) and found.end in taken:
                    raise Unsafe("what follows is joined to the other normalization that is added")
                rewritten |= self._join(prefix, reader, graphs, places, same)
                taken.add(found.end)  # type: ignore[union-attr]
            except Unsafe as reason:
                if self.is_norm(reader.module.get_submodule(target)):  # else its Sequential says why
                    self.left.append((prefix + target, str(reason)))
        if rewritten:
            set_forward(module, graphs[0])

    def _found_in(self, reader: _Reader, graph: fx.Graph) -> dict[str, _Found | Unsafe]:
        found: dict[str, _Found | Unsafe] = {}
        for node in reader.norms(graph):
            try:
                found[str(node.target)] = reader.find(node, graph)
            except Unsafe as reason:
                found[str(node.target)] = reason
        return found

    def _join(self, prefix: str, reader: _Reader, graphs: list[fx.Graph], places: list[Any], same: bool) -> bool:
        """Joins at one place, which stands in each graph. Whether graphs[0] was changed."""
        first = places[0]
        if len({place.key if isinstance(place, _Found) else str(place) for place in places}) > 1:
            raise Unsafe(_DIFFERS)
        if isinstance(first, Unsafe):
            raise first
        (own, norm), end = reader.last(first.norm), reader.child(first.end)
        alone = end is not None and self.uses[id(end)] == 1 and all(reader.calls(g, end) == 1 for g in graphs)
        in_place = alone and first.add is None
        if not in_place and not same:
            raise Unsafe(_DIFFERS)
        if not in_place and OPENED in vars(reader.module):
            raise Unsafe("another module calls the children of its Sequential one by one")
        name = str(first.norm.target) + own
        self.make_act(norm, first.activation)
        self.joins.append(Join(prefix + name, first.activation[0], first.add is not None))
        if in_place:
            parent, _, last = str(first.end.target).rpartition(".")
            reader.module.get_submodule(parent)._modules[last] = Joined(end)  # type: ignore[arg-type]
            return False
        _rewrite(reader, graphs[0], first)
        if first.add is not None:
            _open(reader.child(first.norm))
        return True
