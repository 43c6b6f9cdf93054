"""The C interface by ctypes, made of the headers' text, and calls of it beside those of the Python package."""

from __future__ import annotations

import ctypes
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

import unitvar
from unitvar import phases

INCLUDE = Path(__file__).resolve().parents[2] / "include"

_DECLARATION = re.compile(
    r"typedef struct (?P<struct>\w+) \{(?P<body>[^}]*)\} (?P=struct);"
    r"|typedef struct (?P<opaque>\w+) (?P=opaque);"
    r"|typedef (?P<of>\w+) (?P<alias>\w+);"
    r"|enum \{(?P<numbers>[^}]*)\};"
    r"|UNITVAR_C_API (?P<result>[\w ]+\*?) ?(?P<function>unitvar_\w+)\s*\((?P<parameters>[^)]*)\) UNITVAR_C_NOEXCEPT;"
)
_CALLBACK = re.compile(r"(?P<result>\w+) \(\*(?P<name>\w+)\)\((?P<parameters>[^)]*)\)")


class Field(NamedTuple):
    """A field of a struct."""

    name: str
    #: "const void*"
    declared: str
    #: whether its comment says so
    optional: bool

    @property
    def is_input(self) -> bool:
        """A pointer to what is read."""
        return self.declared.startswith("const ") and self.declared.endswith("*")

    @property
    def is_output(self) -> bool:
        """A pointer to what is written."""
        return self.declared.endswith("*") and not self.is_input


def _plain(argument: Any) -> Any:
    """An argument as ctypes takes it: arrays and structs by their address."""
    if isinstance(argument, np.ndarray):
        return argument.ctypes.data
    return ctypes.byref(argument) if isinstance(argument, ctypes.Structure) else argument


class Interface:
    """A loaded library. Its functions are attributes, without their prefix: C.version()."""

    def __init__(self, path: str) -> None:
        self.library = ctypes.CDLL(path)
        #: "UNITVAR_OK" and so on
        self.numbers: dict[str, int] = {}
        #: of each struct, by its name without the prefix
        self.fields: dict[str, list[Field]] = {}
        #: of each function, by its name without the prefix: the types of the parameters as they are written
        self.parameters: dict[str, list[str]] = {}
        self.headers: set[str] = set()
        #: what is in the headers and was not understood
        self.rest = ""
        self._functions: dict[str, Callable[..., Any]] = {}
        self._types: dict[str, Any] = {
            "void": None, "char": ctypes.c_char, "int": ctypes.c_int, "double": ctypes.c_double,
            "size_t": ctypes.c_size_t, "uint8_t": ctypes.c_uint8, "int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64,
        }  # fmt: skip
        self._read("unitvar/unitvar.h")

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = self._functions["unitvar_" + name]
        return lambda *arguments: function(*map(_plain, arguments))

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.__getattr__(name)

    def struct(self, name: str, **values: Any) -> Any:
        """A struct with these values, its struct_size, and zeros in all else. It keeps arrays alive."""
        made = self._types["unitvar_" + name]()
        if hasattr(made, "struct_size"):
            made.struct_size = ctypes.sizeof(made)
        made.kept = values
        for field, value in values.items():
            if isinstance(value, np.ndarray):
                value = value.ctypes.data if value.size else None
            setattr(made, field, value)
        return made

    def create(self, name: str, *arguments: Any) -> Any:
        """The handle that a function gives through its last parameter."""
        handle = ctypes.c_void_p()
        assert self[name](*arguments, ctypes.byref(handle)) == 0, self.last_error()
        return handle

    def _read(self, header: str) -> None:
        if header in self.headers:
            return
        self.headers.add(header)
        text = (INCLUDE / header).read_text()
        for included in re.findall(r'#include "([^"]*)"', text):
            self._read(included)
        self.numbers |= {name: int(n) for name, n in re.findall(r"#define (\w+) (\d+)$", text, re.MULTILINE)}
        text = re.sub(r"/\*.*?\*/", lambda c: "@" if re.search(r"\boptional\b", c[0]) else "", text, flags=re.DOTALL)
        text = re.sub(r"^#.*$", "", text, flags=re.MULTILINE).replace('extern "C" {', "")
        text = re.sub(r"\s+", " ", text)
        for declaration in _DECLARATION.finditer(text):
            self._declare(declaration)
        self.rest += re.sub(r"[@}\s]", "", _DECLARATION.sub("", text))

    def _declare(self, found: re.Match[str]) -> None:
        if name := found["struct"]:
            self._types[name] = self._struct(name, found["body"])
        elif name := found["opaque"]:
            self._types[name] = None
        elif name := found["alias"]:
            self._types[name] = self._types[found["of"]]
        elif found["numbers"]:
            pairs = (pair.split("=") for pair in found["numbers"].replace("@", "").split(","))
            self.numbers |= {name.strip(): int(number) for name, number in pairs}
        else:
            self._function(found["function"], found["result"], found["parameters"])

    def _function(self, name: str, result: str, parameters: str) -> None:
        declared = [p.strip().rpartition(" ")[0] for p in parameters.split(",") if p.strip() != "void"]
        self.parameters[name.removeprefix("unitvar_")] = declared
        function = getattr(self.library, name, None)
        if function is not None:
            function.restype = ctypes.c_char_p if result == "const char*" else self._type(result)
            function.argtypes = [self._type(p) for p in declared]
            self._functions[name] = function

    def _type(self, declared: str) -> Any:
        return ctypes.c_void_p if declared.endswith("*") else self._types[declared.removeprefix("const ").strip()]

    def _struct(self, name: str, body: str) -> type[ctypes.Structure]:
        types: list[tuple[str, Any]] = []
        fields = self.fields[name.removeprefix("unitvar_")] = []
        for text, optional in re.findall(r"([^;@]+);\s*(@?)", body):
            if callback := _CALLBACK.search(text):
                parameters = [p.strip().rpartition(" ")[0] for p in callback["parameters"].split(",")]
                kind = ctypes.CFUNCTYPE(self._type(callback["result"]), *map(self._type, parameters))
                types.append((callback["name"], kind))
                continue
            first, *others = text.split(",")
            declared, _, first = first.strip().rpartition(" ")
            for item in (first, *map(str.strip, others)):
                field, _, length = item.rstrip("]").partition("[")
                types.append((field, self._type(declared) * int(length) if length else self._type(declared)))
                fields.append(Field(field, declared, bool(optional)))
        return type(name, (ctypes.Structure,), {"_fields_": types})


LIBRARY = os.environ.get("UNITVAR_C_LIBRARY")
if not LIBRARY:
    pytest.skip("UNITVAR_C_LIBRARY is not set: it names a shared library of unitvar", allow_module_level=True)
C = Interface(LIBRARY)

DTYPES = {"F32": np.float32, "F64": np.float64, "BF16": ml_dtypes.bfloat16, "F16": np.float16}
SAMPLES, CHANNELS, LENGTH, GROUPS, GHOST = 6, 6, 35, 3, 4
SHAPE = (SAMPLES, CHANNELS, LENGTH)
TENSORS = "x y dy residual h dh grad_dx grad_dresidual x_dot weight".split()
PARAMETERS = "gamma beta bias grad_dgamma grad_dbeta gamma_dot beta_dot".split()
STATISTICS = "mean var rstd dmean dvar r d running_mean running_var sum_dy sum_dy_xmu".split()
NUMBERS: dict[str, Any] = {
    "eps": 1e-3, "ghost": GHOST, "groups": GROUPS, "count": float(SAMPLES * LENGTH), "r_max": 1.5, "d_max": 0.3,
    "negative_slope": 0.1, "low": -0.5, "high": 0.7, "max_lost_digits": 2.0, "one_plus_gamma": True,
    "zero_unweighted": True, "need_dresidual": True,
}  # fmt: skip
#: The operations, by what they normalize over; a fold has the shape of weights.
OPERATIONS = {
    "channels": [
        "moments", "normalize", "gradient_sums", "input_gradient",
        *("batch_norm_" + name for name in (
            "forward", "inference", "backward", "frozen_backward", "statistics_backward", "double_backward",
            "frozen_double_backward", "jvp", "frozen_jvp", "act_forward", "act_inference", "act_backward",
            "act_double_backward", "act_frozen_double_backward", "in_place_forward", "in_place_backward",
            "renorm_forward", "renorm_backward", "weighted_forward", "weighted_backward",
        )),
    ],
    "ghosts": ["batch_norm_ghost_forward", "batch_norm_ghost_backward"],
    "groups": ["group_norm_forward", "group_norm_backward", "group_norm_double_backward"],
    "instances": ["instance_norm_forward", "instance_norm_backward", "instance_norm_double_backward"],
    "rows": [
        f"{norm}_norm_{name}" for norm in ("layer", "rms")
        for name in ("forward", "backward", "double_backward", "add_forward", "add_backward")
    ],
    "weights": ["batch_norm_fold"],
}  # fmt: skip
KIND_OF = {name: kind for kind, names in OPERATIONS.items() for name in names}
#: Of each kind: the extent's struct and function, the shape, that of statistics, that of parameters.
KINDS: dict[str, tuple[str, str, list[int], tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    "channels": ("extent", "channels_first", [], SHAPE, (CHANNELS,), (CHANNELS,)),
    "ghosts": ("extent", "channels_first", [], SHAPE, (-(-SAMPLES // GHOST), CHANNELS), (CHANNELS,)),
    "groups": ("groups", "groups_channels_first", [GROUPS], SHAPE, (SAMPLES, GROUPS), (CHANNELS,)),
    "instances": ("groups", "groups_channels_first", [0], SHAPE, (SAMPLES, CHANNELS), (CHANNELS,)),
    "rows": ("row_extent", "rows_from_axis", [-1], SHAPE, SHAPE[:2], (LENGTH,)),
    "weights": ("weight_extent", "convolution_weights", [], (CHANNELS, 4, 5), (CHANNELS,), (CHANNELS,)),
}
#: Results that have another name in C.
RENAMED: dict[str, dict[str, str]] = {
    "batch_norm_in_place_forward": {"y": "x"},
    "batch_norm_weighted_forward": {"total": "count"},
    "batch_norm_fold": {"weight": "folded_weight", "bias": "folded_bias"},
}
#: What a function gives that does not give a tuple; y for all others.
SINGLE = {"input_gradient": "dx", "batch_norm_frozen_jvp": "y_dot"}
#: The last bytes of a mask, which are not written.
MASK_END = 8


def data(kind: str, dtype: str, act: str = "silu") -> dict[str, Any]:
    """All arguments by their names, the same in each call."""
    _, _, _, shape, statistics, parameters = KINDS[kind]
    rng, parameter = np.random.default_rng(7), np.float64 if dtype == "F64" else np.float32
    of: dict[str, Any] = {name: rng.normal(size=shape).astype(DTYPES[dtype]) for name in TENSORS}
    of |= {name: (rng.normal(size=parameters) * 0.2).astype(parameter) for name in PARAMETERS}
    of |= {name: rng.random(statistics) + 0.5 for name in STATISTICS}
    of["gamma"] += 1
    if kind == "channels":
        of["weight"] = (rng.random((SAMPLES, LENGTH)) * (rng.random((SAMPLES, LENGTH)) < 0.7)).astype(parameter)
        mask = unitvar.batch_norm_act(of["x"], activation=act, low=-0.5, high=0.7).mask
        of |= {"activation": act, "mask": mask}
    return of | NUMBERS


def python_of(name: str) -> Callable[..., Any]:
    """The Python package's function."""
    own = name.removesuffix("_forward").replace("act_frozen", "act")
    function: Callable[..., Any] = getattr(unitvar, own, None) or getattr(phases, own)
    return function


def fields_of(name: str) -> list[Field]:
    """Of the struct of arguments."""
    return C.fields[C.parameters[name][0].removeprefix("const unitvar_").removesuffix("*")]


def expected(name: str, dtype: str, act: str, absent: set[str]) -> dict[str, np.ndarray]:
    """What the Python package gives, by the names in C."""
    function, given = python_of(name), data(KIND_OF[name], dtype, act) | {"frozen": "act_frozen" in name}
    wanted = inspect.signature(function).parameters.keys() - absent
    result = function(**{key: value for key, value in given.items() if key in wanted})
    results: dict[str, Any] = {SINGLE.get(name, "y"): result} if isinstance(result, np.ndarray) else result._asdict()
    if name == "batch_norm_forward":
        results["count"] = given["count"]
    if "mask" in results:
        results["mask"] = results["mask"].bits
    return {RENAMED.get(name, {}).get(key, key): np.asarray(value) for key, value in results.items()}


class Call:
    """A call of an operation that is about to be made."""

    def __init__(self, name: str, dtype: str, act: str = "silu", absent: frozenset[str] = frozenset()) -> None:
        """absent: inputs and outputs that are not given."""
        kind = KIND_OF[name]
        struct, extent, rest, shape, _, _ = KINDS[kind]
        self.name, self.given, fields = name, data(kind, dtype, act), fields_of(name)
        self.expected = expected(name, dtype, act, {f.name for f in fields if f.is_input and f.name in absent})
        self.extent, axes = C.struct(struct), np.array(shape, np.int64)
        assert C[extent](axes, len(shape), *rest, self.extent) == 0
        self.outputs: dict[str, np.ndarray] = {}
        values: dict[str, Any] = {"dtype": C.numbers[f"UNITVAR_{dtype}"]}
        for field in fields:
            if field.name in ("extent", "groups"):
                values[field.name] = self.extent
            elif field.name == "activation":
                own = {key: self.given[key] for key in ("negative_slope", "low", "high")}
                values["activation"] = C.struct("activation", kind=C.numbers[f"UNITVAR_{act.upper()}"], **own)
            elif field.is_output and field.name in self.expected and field.name not in absent:
                like = self.expected[field.name]
                memory = np.frombuffer(b"\x5a" * like.nbytes, like.dtype).reshape(like.shape).copy()
                values[field.name] = self.outputs[field.name] = self.given["x"] if field.name == "x" else memory
            elif field.is_input or field.name in self.given:
                value = None if field.is_output or field.name in absent else self.given[field.name]
                values[field.name] = getattr(value, "bits", value)
        self.args = C.struct(f"{C.parameters[name][0][14:-1]}", **values)
        self.before = {key: value.tobytes() for key, value in self.outputs.items()}

    def run(self, args: Any = None, options: Any = None) -> int:
        """The status."""
        own = self.args if args is None else args
        return int(C[self.name](own, *([options] if len(C.parameters[self.name]) == 2 else [])))

    def check_bits(self) -> None:
        """Asserts that outputs are as Python gives them."""
        for key, value in self.outputs.items():
            end = value.nbytes - (MASK_END if key == "mask" and value.size else 0)
            assert value.tobytes()[:end] == self.expected[key].tobytes()[:end], key

    def check_refused(self, status: int, name: str, *seen: str) -> None:
        """Asserts that the call failed with this status and message, and wrote nothing."""
        check_refused(status, name, *seen)
        assert not self.changed()

    def changed(self) -> bool:
        """Whether an output was written."""
        return {key: value.tobytes() for key, value in self.outputs.items()} != self.before


def check_refused(status: int, name: str, *seen: str) -> None:
    """Asserts that a status is the one of this name, and that the message has what was seen."""
    message = C.last_error().decode()
    assert C.status_name(status).decode() == name == status_names()[status], (status, message)
    for text in seen:
        assert text in message, (text, message)


def status_names() -> dict[int, str]:
    """As the header's enumeration has them."""
    own = C.numbers
    first, last = (list(own).index(f"UNITVAR_{name}") for name in ("OK", "INTERNAL"))
    return {own[key]: key.removeprefix("UNITVAR_").lower() for key in list(own)[first : last + 1]}


def numbers_in(struct: Any) -> list[Any]:
    values = (getattr(struct, name) for name, _ in struct._fields_)
    return [n for v in values for n in (numbers_in(v) if isinstance(v, ctypes.Structure) else [v])]
