"""The C interface gives the bits of the Python package, and says what is wrong with what it is given."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from c_interface import (
    CHANNELS,
    DTYPES,
    INCLUDE,
    KIND_OF,
    OPERATIONS,
    C,
    Call,
    check_refused,
    data,
    fields_of,
    numbers_in,
    status_names,
)
from test_ranks import run_ranks

import unitvar
from unitvar import phases

ACTIVATIONS = ("identity", "leaky_relu", "clip", "hard_swish", "silu")
#: Pointers that may be null, but are not marked as optional: they are needed for some calls.
SOMETIMES = {("batch_norm_act_backward", "mask"), ("batch_norm_frozen_backward", "x")}
CASES = [
    pytest.param(name, act, id=f"{name}-{act}" if "_act_" in name else name)
    for name in KIND_OF
    for act in (ACTIVATIONS if "_act_" in name else ("silu",))
]
each_operation = pytest.mark.parametrize("name", list(KIND_OF))
each_dtype = pytest.mark.parametrize("dtype", list(DTYPES))


@each_dtype
@pytest.mark.parametrize(("name", "act"), CASES)
def test_an_operation_has_the_bits_of_python(name: str, act: str, dtype: str) -> None:
    counts = C.struct("precision_counts")
    options = C.struct("options", threads=1, isa=C.numbers["UNITVAR_ISA_PORTABLE"], counts=ctypes.addressof(counts),
                       walk=C.numbers["UNITVAR_WALK_STREAMED"])  # fmt: skip
    optional = [f for f in fields_of(name) if f.optional]
    inputs, outputs = (frozenset(f.name for f in optional if getattr(f, kind)) for kind in ("is_input", "is_output"))
    for absent, with_options in [(frozenset(), None), (frozenset(), options), (inputs, None)]:
        call = Call(name, dtype, act, absent)
        assert call.run(options=with_options) == 0, C.last_error()
        call.check_bits()
    for one in outputs:
        call = Call(name, dtype, act, frozenset([one]))
        assert call.run() == 0, C.last_error()
        call.check_bits()
    assert name != "batch_norm_forward" or counts.sums > 0 < counts.maps


def extent_path(args: Any) -> Any:
    """The part of a call's extent that has `channels`, or `length`."""
    own = args.groups if hasattr(args, "groups") else args.extent
    return getattr(own, "block", getattr(own, "extent", own))


def set_in(value: Any, **fields: Any) -> None:
    for name, field in fields.items():
        if hasattr(value, name):
            setattr(value, name, field)


REFUSALS: dict[str, tuple[Callable[[Any], None], str, tuple[str, ...]]] = {
    "unknown dtype": (lambda a: set_in(a, dtype=77), "bad_argument", ("dtype is 77",)),
    "small struct": (lambda a: set_in(a, struct_size=a.struct_size - 8), "bad_argument", ("struct_size is ",)),
    "no struct size": (lambda a: set_in(a, struct_size=0), "bad_argument", ("struct_size is 0",)),
    "negative": (lambda a: set_in(extent_path(a), channels=-3, length=-3), "bad_extent", ("-3",)),
    "nothing": (lambda a: set_in(extent_path(a), channels=0, length=0), "bad_extent", ("0",)),
    "huge": (lambda a: set_in(extent_path(a), channels=2**61, length=2**61), "overflow", (str(2**61),)),
    "misaligned": (lambda a: set_in(a, x=a.x + 1), "bad_argument", ("x is misaligned", "plus 1")),
    "eps is NaN": (lambda a: set_in(a, eps=float("nan")), "bad_epsilon", ("nan",)),
    "activation": (lambda a: set_in(a.activation, kind=9), "bad_argument", ("activation.kind is 9",)),
}
NEEDS = {"eps is NaN": "eps", "activation": "activation", "misaligned": "x"}


@each_operation
def test_wrong_arguments_are_named_and_nothing_is_written(name: str) -> None:
    call = Call(name, "F32")
    call.check_refused(int(C[name](None, *[None][: len(C.parameters[name]) - 1])), "null_data", name, "address 0")
    names = [f.name for f in fields_of(name)]
    for what, (spoil, status, seen) in REFUSALS.items():
        if NEEDS.get(what, "dtype") in names:
            call = Call(name, "F32")
            spoil(call.args)
            call.check_refused(call.run(), status, name, *seen)
    for field in fields_of(name):
        if field.declared.endswith("*") and not field.optional and (name, field.name) not in SOMETIMES:
            call = Call(name, "F32")
            if getattr(call.args, field.name) is not None:
                setattr(call.args, field.name, None)
                call.check_refused(call.run(), "null_data", name, field.name)


@each_operation
def test_a_later_struct_is_taken_unless_what_is_new_is_used(name: str) -> None:
    for last, fits in ((b"\0", True), (b"\1", False)):
        call = Call(name, "F32")
        size = ctypes.sizeof(call.args)
        call.args.struct_size = size + 24
        longer = ctypes.create_string_buffer(bytes(call.args) + b"\0" * 23 + last, size + 24)
        status = call.run(ctypes.byref(longer))
        if fits:
            assert status == 0, C.last_error()
            call.check_bits()
        else:
            call.check_refused(status, "bad_argument", name, f"struct_size is {size + 24}", str(size))


OPTIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "isa": ({"isa": 6}, "bad_argument", "isa is 6"),
    "walk": ({"walk": -1}, "bad_argument", "walk is -1"),
    "threads": ({"threads": -2}, "bad_argument", "-2"),
    "struct_size": ({"struct_size": 4}, "bad_argument", "struct_size is 4"),
}


@pytest.mark.parametrize("what", list(OPTIONS))
def test_wrong_options_are_named(what: str) -> None:
    values, status, seen = OPTIONS[what]
    call = Call("batch_norm_forward", "F64")
    call.check_refused(call.run(options=C.struct("options", **values)), status, seen)


def test_memory_is_shared_or_absent_where_the_header_says_so() -> None:
    call = Call("batch_norm_backward", "F16")
    call.outputs["dx"] = call.given["dy"]
    call.args.dx = call.args.dy
    assert call.run() == 0
    call.check_bits()
    call = Call("batch_norm_frozen_backward", "F16", absent=frozenset(["dgamma"]))
    call.args.x = None
    assert call.run() == 0
    call.check_bits()
    call = Call("batch_norm_frozen_backward", "F16")
    call.args.x = None
    assert call.run() != 0 and b" x " in C.last_error() and not call.changed()
    call = Call("batch_norm_forward", "F16")
    call.args.y = call.args.x
    call.check_refused(call.run(), "overlap", "y overlaps x")


EXTENTS: dict[str, tuple[str, tuple[int, ...], list[int], str]] = {
    "channels_first": ("extent", (2, 3, 4, 5), [], "2 3 20"),
    "channels_last": ("extent", (2, 4, 5, 3), [], "40 3 1"),
    "groups_channels_first": ("groups", (2, 6, 5), [3], "2 6 5 1 3"),
    "groups_channels_last": ("groups", (2, 5, 6), [3], "10 6 1 5 3"),
    "rows_from_axis": ("row_extent", (2, 3, 4), [-2], "2 12"),
    "convolution_weights": ("weight_extent", (4, 3, 2), [], "1 1 4 6"),
    "convolution_output_last_weights": ("weight_extent", (2, 3, 4), [], "1 6 4 1"),
    "transposed_convolution_weights": ("weight_extent", (4, 3, 5), [2], "2 2 3 5"),
}


@pytest.mark.parametrize("name", list(EXTENTS))
def test_extents_of_shapes(name: str) -> None:
    struct, shape, rest, numbers = EXTENTS[name]
    made, axes = C.struct(struct), np.array(shape, np.int64)
    assert C[name](axes, len(shape), *rest, made) == 0 and numbers_in(made) == list(map(int, numbers.split()))
    check_refused(C[name](None, 3, *rest, made), "null_data", name, "address 0")
    check_refused(C[name](axes, -1, *rest, made), "bad_argument", "rank is -1")
    check_refused(C[name](axes, len(shape), *rest, None), "null_data", name)
    assert C[name](-axes, len(shape), *rest, made) == C.numbers["UNITVAR_BAD_EXTENT"]
    assert C[name](axes, 0, *rest, made) != 0 and numbers_in(made) == list(map(int, numbers.split()))


def test_versions_names_and_instruction_sets() -> None:
    assert C.version().decode() == unitvar.__version__ and C.abi_version() == C.numbers["UNITVAR_ABI_VERSION"]
    assert [C.status_name(n).decode() for n in sorted(status_names())] == list(status_names().values())
    assert C.status_name(-1) == C.status_name(len(status_names())) == b"unknown"
    isas = np.full(8, -1, np.int32)
    count = C.supported_isas(isas, 8)
    assert [C.isa_name(n).decode() for n in isas[:count]] == unitvar.supported_isas()
    assert C.supported_isas(None, 0) == count and (isas[count:] == -1).all()
    first = np.full(8, -1, np.int32)
    assert C.supported_isas(first, 1) == count and first[0] == isas[0] and (first[1:] == -1).all()
    selected = np.zeros(1, np.int32)
    assert C.selected_isa(0, selected) == 0 and C.isa_name(selected[0]).decode() == unitvar.selected_isa()
    assert C.isa_name(6) is None and C.isa_name(-1) is None
    for isa in set(range(1, 6)) - set(isas.tolist()):
        check_refused(C.selected_isa(isa, selected), "unsupported_isa", C.isa_name(isa).decode())
    check_refused(C.selected_isa(0, None), "null_data")


def test_statistics() -> None:
    a, b, c, d = np.random.default_rng(3).random((4, CHANNELS)) + 0.5
    e, merged, m, m2 = phases.merge_moments(5, a, b, 7, c, d), np.zeros(1), a.copy(), b.copy()
    assert C.merge_moments(CHANNELS, 5.0, m, m2, 7.0, c, d, merged) == 0
    assert merged[0] == e.n and m.tobytes() == e.mean.tobytes() and m2.tobytes() == e.m2.tobytes()
    var, rstd = np.zeros((2, CHANNELS))
    assert C.finish_moments(CHANNELS, 12.0, m2, 1e-3, var, rstd) == 0
    assert [v.tobytes() for v in (var, rstd)] == [v.tobytes() for v in phases.finish_moments(12, e.m2, eps=1e-3)]
    for status in (
        C.merge_moments(-2, 5.0, m, m2, 7.0, c, d, None), C.finish_moments(-2, 12.0, m2, 1e-3, var, rstd),
        C.batch_norm_scale_and_shift(0, -2, a, b, None, None, 1e-3, var, rstd),
    ):  # fmt: skip
        assert status == C.numbers["UNITVAR_BAD_EXTENT"]
    check_refused(C.merge_moments(CHANNELS, 5.0, None, m2, 7.0, c, d, merged), "null_data", "mean_a")
    check_refused(C.finish_moments(CHANNELS, 12.0, m2, float("nan"), var, rstd), "bad_epsilon", "nan")
    assert merged[0] == e.n and var.tobytes() == phases.finish_moments(12, e.m2, eps=1e-3).var.tobytes()
    for dtype, own in (("F64", np.float64), ("F32", np.float32), ("BF16", np.float32)):
        gamma, beta, (scale, shift) = c.astype(own), d.astype(own), np.zeros((2, CHANNELS), own)
        assert C.batch_norm_scale_and_shift(C.numbers[f"UNITVAR_{dtype}"], CHANNELS, a, b, gamma, beta, 1e-3, scale,
                                            shift) == 0  # fmt: skip
        both = unitvar.batch_norm_scale_and_shift(a, b, gamma, beta, eps=1e-3, dtype=own)
        assert scale.tobytes() == both.scale.tobytes() and shift.tobytes() == both.shift.tobytes()


POLICIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as PyTorch": ({"momentum": 0.1}, {}),
    "as ONNX": ({"momentum": 0.9, "weight_of_old": 1, "biased": 1},
                {"momentum": 0.9, "momentum_sense": "weight_of_old", "running_variance": "biased"}),
    "cumulative": ({"cumulative": 1}, {"momentum": None, "batches_tracked": 4}),
}  # fmt: skip


@pytest.mark.parametrize("what", list(POLICIES))
def test_running_statistics(what: str) -> None:
    own, python = POLICIES[what]
    policy, (a, b, c, d) = C.struct("running_policy", **own), np.random.default_rng(3).random((4, CHANNELS)) + 0.5
    m, v, tracked, skipped, outcome = a.copy(), b.copy(), np.array([4]), np.zeros(1, np.int64), np.zeros(1, np.int32)
    assert C.update_running_statistics(CHANNELS, m, v, tracked, skipped, 9.0, c, d, policy, outcome) == 0
    assert outcome[0] == C.numbers["UNITVAR_UPDATED"] and tracked[0] == 5 and skipped[0] == 0
    assert unitvar.update_running_statistics(a, b, 9, c, d, **python) == "updated"
    assert m.tobytes() == a.tobytes() and v.tobytes() == b.tobytes()
    policy.skip_nonfinite = 1
    assert C.update_running_statistics(CHANNELS, m, v, tracked, skipped, 9.0, c * np.nan, d, policy, outcome) == 0
    assert outcome[0] == C.numbers["UNITVAR_SKIPPED"] and tracked[0] == 5 and skipped[0] == 1
    assert C.update_running_statistics(CHANNELS, m, v, tracked, None, 0.0, c, d, policy, outcome) == 0
    assert outcome[0] == C.numbers["UNITVAR_EMPTY"] and m.tobytes() == a.tobytes() and v.tobytes() == b.tobytes()
    check_refused(C.update_running_statistics(CHANNELS, m, v, tracked, None, 9.0, c, d, None, None), "null_data")


def test_masks_of_activations() -> None:
    extent, size = Call("normalize", "F32").extent, np.zeros(1, np.int64)
    for act in ACTIVATIONS:
        activation = C.struct("activation", kind=C.numbers[f"UNITVAR_{act.upper()}"], low=-0.5, high=0.7)
        assert C.batch_norm_act_mask_bytes(extent, activation, size) == 0
        assert size[0] == data("channels", "F32", act)["mask"].bits.size
    activation.kind = 9
    check_refused(C.batch_norm_act_mask_bytes(extent, activation, size), "bad_argument", "activation.kind is 9")


@pytest.mark.parametrize(("function", "kind"), [("explain", "channels"), ("explain_groups", "groups"),
                                                ("explain_rows", "rows")])  # fmt: skip
def test_explanations(function: str, kind: str) -> None:
    extent, out = Call(OPERATIONS[kind][0], "F32").extent, C.struct("explanation")
    for of in ("FORWARD", "BACKWARD", "INFERENCE"):
        status = C[function](extent, 0, C.numbers[f"UNITVAR_{of}"], None, out)
        if of == "INFERENCE" and kind != "channels":
            check_refused(status, "bad_argument", "pass is inference")
        assert status == 0 or of == "INFERENCE", C.last_error()
        assert out.text and out.threads >= 1 and out.reads >= 1 and out.writes >= 1 and 0 < out.largest_share <= 1
    check_refused(C[function](extent, 0, 3, None, out), "bad_argument", "pass is 3")
    check_refused(C[function](extent, -1, 0, None, out), "bad_argument", "dtype is -1")
    check_refused(C[function](None, 0, 0, None, out), "null_data")
    out.struct_size = 16
    check_refused(C[function](extent, 0, 0, None, out), "bad_argument", "struct_size is 16")


def test_errors_belong_to_a_thread() -> None:
    check_refused(C.selected_isa(0, None), "null_data", "selected_isa")
    assert run_ranks(1, lambda rank: C.last_error()) == [b""]


#: Functions that nothing here calls, and why.
NOT_CALLED: dict[str, str] = {}


def test_every_function_of_the_headers_is_in_the_library_and_called_here() -> None:
    assert C.rest == "" and C.headers == {str(p.relative_to(INCLUDE)) for p in INCLUDE.rglob("*.h")}
    assert [name for name in C.parameters if not hasattr(C.library, f"unitvar_{name}")] == []
    assert set(KIND_OF) == {name for name, types in C.parameters.items() if types and types[0].endswith("_args*")}
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_c_*.py"))
    named = set(re.findall(r"\bC\.(\w+)\(", source)) | set(re.findall(r'handles\("\w+", "(\w+)"', source))
    destroyed = {f"{kind}_destroy" for kind in re.findall(r'handles\("(\w+)"', source)}
    tables = set(KIND_OF) | set(EXTENTS) | {"explain", "explain_groups", "explain_rows"}
    assert set(C.parameters) - named - destroyed - tables == set(NOT_CALLED)
