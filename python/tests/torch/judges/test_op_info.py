"""torch's own samples of the normalization operators (OpInfo) and modules (ModuleInfo), on this package's functions."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("expecttest", reason="torch's samples need expecttest")

from closeness import assert_closer, converted, derivatives, first, leaves  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402
from torch.testing._internal.common_modules import module_db  # noqa: E402

import unitvar.torch as ours  # noqa: E402

Call = Callable[..., Any]


def native_batch_norm(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, m: Any, eps: Any) -> Any:
    return ours.batch_norm(x, mean, var, weight, bias, training, m, eps)


def native_legit(x: Tensor, weight: Any, bias: Any, *rest: Any) -> Any:
    """With running statistics, or without."""
    return native_batch_norm(x, weight, bias, *(rest if len(rest) == 5 else (None, None, *rest)))


def with_update(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float) -> Any:
    return ours.batch_norm(x, mean, var, weight, bias, True, momentum, eps)


def native_group_norm(x: Tensor, weight: Any, bias: Any, n: int, c: int, s: int, groups: int, eps: float) -> Any:
    return ours.group_norm(x, groups, weight, bias, eps)


#: Each operator of op_db, and what takes its place. Native ones give statistics, too, of which y alone is compared.
OPERATORS: dict[str, Call] = {
    "nn.functional.batch_norm": ours.batch_norm,
    "nn.functional.layer_norm": ours.layer_norm,
    "nn.functional.rms_norm": ours.rms_norm,
    "nn.functional.group_norm": ours.group_norm,
    "nn.functional.instance_norm": ours.instance_norm,
    "native_batch_norm": native_batch_norm,
    "_native_batch_norm_legit": native_legit,
    "_batch_norm_with_update": with_update,
    "native_layer_norm": ours.layer_norm,
    "native_group_norm": native_group_norm,
}
OPINFOS = [op for op in op_db if op.name in OPERATORS and not op.variant_test_name]


def test_every_normalization_of_torchs_operators_is_judged() -> None:
    families = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm")
    assert {op.name for op in op_db if any(family in op.name for family in families)} == set(OPERATORS)


def has_second(op: Any, sample: Any) -> bool:
    """Not of torch's layer norm with a bias alone, which raises: Expected a proper Tensor but got None.

    An empty tensor goes to torch, and so to the same error.
    """
    return not (op.name == "native_layer_norm" and sample.args[1] is None and sample.args[2] is not None)


def runs(call: Call, sample: Any, dtype: torch.dtype, second: bool = True) -> tuple[list[list[Tensor]], list[Tensor]]:
    """y and derivatives, and the arguments' tensors afterwards: running statistics are among them."""
    arguments = converted((sample.input, sample.args, sample.kwargs), dtype)
    x, args, kwargs = arguments
    found = derivatives(lambda: call(x, *args, **kwargs), leaves(arguments), second)
    return found, [t.detach() for t in (*args, *kwargs.values()) if isinstance(t, Tensor)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("op", OPINFOS, ids=lambda op: op.name)
def test_samples_of_torchs_operators_are_as_close_to_float64_as_torch(op: Any, dtype: torch.dtype, count: Any) -> None:
    for sample in op.sample_inputs("cpu", torch.float64, requires_grad=True):
        rounded = copy.copy(sample)  # what all three get is the same numbers
        parts = converted(converted((sample.input, sample.args, sample.kwargs), dtype), torch.float64)
        rounded.input, rounded.args, rounded.kwargs = parts
        second = has_second(op, sample)
        if not second:
            count("OpInfo", "samples without second derivatives, which torch has not for a bias alone")
        exact, state = runs(op.op, rounded, torch.float64, second)
        got, own_state = runs(OPERATORS[op.name], rounded, dtype, second)
        theirs, torchs_state = runs(op.op, rounded, dtype, second)
        assert len(got) == len(exact) == len(theirs)
        for mine, torchs, wanted in zip(got, theirs, exact):
            assert_closer(mine, torchs, wanted, dtype, 1.5)
        assert_closer(own_state, torchs_state, state, dtype)
        count("OpInfo", f"samples in {str(dtype)[6:]}")


@pytest.mark.parametrize("op", OPINFOS, ids=lambda op: op.name)
def test_samples_of_torchs_operators_pass_its_numeric_checks(op: Any, count: Any) -> None:
    """torch.autograd.gradcheck in reverse and forward mode, and gradgradcheck, as torch's test_ops_gradients."""
    for sample in op.sample_inputs("cpu", torch.float64, requires_grad=True):
        x, args, kwargs = arguments = converted((sample.input, sample.args, sample.kwargs), torch.float64)
        inputs = leaves(arguments)
        if not inputs:
            continue

        def call(*values: Tensor, a: Any = arguments, own: list[Tensor] = inputs) -> Tensor:
            new = dict(zip(map(id, own), values))

            def put(value: Any) -> Any:
                if isinstance(value, Tensor):
                    return new.get(id(value), value.detach().clone())
                if isinstance(value, (tuple, list)):
                    return type(value)(map(put, value))
                return {k: put(v) for k, v in value.items()} if isinstance(value, dict) else value

            x, args, kwargs = put(a)
            return first(OPERATORS[op.name](x, *args, **kwargs))

        assert torch.autograd.gradcheck(call, inputs, fast_mode=True, check_forward_ad=True)
        if has_second(op, sample):
            assert torch.autograd.gradgradcheck(call, inputs, fast_mode=True)
        count("OpInfo", "samples through gradcheck and gradgradcheck")


@pytest.mark.parametrize("op", [op for op in OPINFOS if op.error_inputs_func], ids=lambda op: op.name)
def test_what_torchs_operators_refuse_is_refused(op: Any, count: Any) -> None:
    for case in op.error_inputs("cpu"):
        sample = case.sample_input
        with pytest.raises(case.error_type):
            OPERATORS[op.name](sample.input, *sample.args, **sample.kwargs)
        count("OpInfo", "inputs refused as torch refuses them")


MODULES = [m for m in module_db if hasattr(ours, m.name.removeprefix("nn.")) and "Norm" in m.name]


def test_every_normalization_module_of_torchs_samples_is_judged() -> None:
    names = {m.name.removeprefix("nn.") for m in module_db if "Norm" in m.name}
    assert names - {m.name.removeprefix("nn.") for m in MODULES} <= {"LocalResponseNorm", "CrossMapLRN2d"}


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("info", MODULES, ids=lambda m: m.name)
def test_samples_of_torchs_modules_are_as_close_to_float64_as_torch(
    info: Any, dtype: torch.dtype, training: bool, count: Any
) -> None:
    own = getattr(ours, info.name.removeprefix("nn."))
    for sample in info.module_inputs_func(info, "cpu", torch.float64, True, training):
        made, call = sample.constructor_input, sample.forward_input
        if call is None:
            continue
        exact = info.module_cls(*made.args, **{**made.kwargs, "dtype": torch.float64}).train(training)
        models = [
            exact,
            copy.deepcopy(exact).to(dtype),
            own(*made.args, **{**made.kwargs, "dtype": dtype}).train(training),
        ]
        models[2].load_state_dict(models[1].state_dict())
        arguments = converted(converted((call.args, call.kwargs), dtype), torch.float64)
        found = []
        for model, of in zip(models, (torch.float64, dtype, dtype)):
            args, kwargs = parts = converted(arguments, of)
            inputs = [*leaves(parts), *model.parameters()]
            found.append(derivatives(lambda m=model, a=args, k=kwargs: m(*a, **k), inputs))
        for wanted, torchs, got in zip(*found, strict=True):
            assert_closer(got, torchs, wanted, dtype, 1.5)
        state = [list(model.state_dict().values()) for model in models]
        assert_closer(state[2], state[1], state[0], dtype)
        assert list(models[2].state_dict()) == list(exact.state_dict()) and repr(models[2]) == repr(models[1])
        count("ModuleInfo", f"samples in {str(dtype)[6:]}")


def accepted(run: Callable[[], Tensor]) -> bool:
    """Whether eps is taken although it is <= 0: here var + eps must be positive."""
    try:
        assert run().isfinite().all()
    except ValueError as problem:
        assert "var + eps" in str(problem)
        return False
    return True


@pytest.mark.parametrize("info", [m for m in MODULES if m.module_error_inputs_func], ids=lambda m: m.name)
def test_what_torchs_modules_refuse_is_refused(info: Any, count: Any) -> None:
    own = getattr(ours, info.name.removeprefix("nn."))
    for case in info.module_error_inputs_func(info, "cpu", torch.float64, True, True):
        made, call = case.module_error_input.constructor_input, case.module_error_input.forward_input

        def run(made: Any = made, call: Any = call) -> Tensor:
            y: Tensor = own(*made.args, **{**made.kwargs, "dtype": torch.float64})(*call.args, **call.kwargs)
            return y

        if case.error_regex == "eps must be positive" and accepted(run):
            count("ModuleInfo", "inputs accepted that torch refuses: eps <= 0 < var + eps")
            continue
        with pytest.raises(case.error_type):
            run()
        count("ModuleInfo", "inputs refused as torch refuses them")
