"""Functions in place of torch.nn.functional's: values, gradients, layouts, threads, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_cases import CASES, MEAN, TOLERANCE, VAR, Case, error, gradients

import unitvar.torch as ut

each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def channels_last(x: Tensor) -> Tensor:
    return x.detach().to(memory_format=torch.channels_last).requires_grad_()


@each_case
@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("last", [False, True])
def test_values_and_gradients_are_those_of_float64(case: Case, dtype: torch.dtype, last: bool) -> None:
    inputs = case.inputs(dtype)
    if last:
        inputs = (channels_last(inputs[0]), *inputs[1:])
    dy = torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = gradients(case.ours, inputs, dy)
    expected = gradients(case.theirs, tuple(t.detach().double().requires_grad_() for t in inputs), dy.double())
    for ours, theirs in zip(found, expected):
        assert ours.dtype is dtype
        assert error(ours, theirs) < TOLERANCE[dtype]


@each_case
def test_digits_survive_a_large_mean(case: Case) -> None:
    if case.name in ("frozen", "rms"):
        pytest.skip("subtracts no mean of the data")
    x, gamma, beta = case.inputs(torch.float32)
    x = (x.detach() + 1e5).requires_grad_()
    wide = tuple(t.detach().double() for t in (x, gamma, beta))
    assert (
        error(case.ours(x, gamma, beta), case.theirs(*wide))
        < 3e-7
        < error(case.theirs(x, gamma, beta), case.theirs(*wide))
    )


@each_case
def test_gradcheck_of_first_and_second_derivatives_and_forward_mode(case: Case) -> None:
    inputs = case.inputs(torch.float64, (2, 4, 2, 3))
    assert torch.autograd.gradcheck(case.ours, inputs, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(case.ours, inputs)


@each_case
def test_a_third_derivative_raises(case: Case) -> None:
    x, gamma, beta = case.inputs(torch.float64, (2, 4, 2, 3))
    (first,) = torch.autograd.grad(case.ours(x, gamma, beta).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="no third derivative"):
        torch.autograd.grad(second.sum(), x)


@each_case
def test_results_lie_as_torchs(case: Case) -> None:
    x, gamma, beta = case.inputs(torch.float32)
    slices = torch.randn(3, 4, 5, 12)[..., ::2]
    for layout in (x, channels_last(x), x.detach().transpose(2, 3).contiguous().transpose(2, 3), slices):
        y = case.ours(layout, gamma, beta)
        assert error(y, case.theirs(layout.double(), gamma.double(), beta.double())) < 3e-7
        if layout is x or case.name in ("batch", "frozen", "group", "layer") and layout is not slices:
            assert (
                layout.stride() != channels_last(x).stride() or y.stride() == case.theirs(layout, gamma, beta).stride()
            )


def test_channels_last_reaches_the_kernels_as_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    x = channels_last(torch.randn(2, 8, 5, 6))
    seen: list[Any] = []
    from unitvar import _core

    kernel = _core.batch_norm_training

    def spy(*args: Any) -> None:
        seen.append((args[1].data_ptr(), args[4].stride()))
        kernel(*args)

    monkeypatch.setattr(_core, "batch_norm_training", spy)
    ut.batch_norm(x, training=True)
    assert seen == [(x.data_ptr(), x.stride())]


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (3, 4, 5, 6), (2, 4, 3, 2, 5), (3, 1, 5, 6), (3, 4, 1, 1)])
@pytest.mark.parametrize("last", [False, True])
def test_every_rank_and_channels_last(shape: tuple[int, ...], last: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    if last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    x.requires_grad_()
    g, b = torch.randn(2, shape[1], dtype=torch.float64, requires_grad=True)
    dy = torch.randn(shape, dtype=torch.float64)
    for ours, theirs in (
        (
            lambda *t: ut.batch_norm(t[0], None, None, *t[1:], True),
            lambda *t: F.batch_norm(t[0], None, None, *t[1:], True),
        ),
        (lambda *t: ut.group_norm(t[0], 1, *t[1:]), lambda *t: F.group_norm(t[0], 1, *t[1:])),
    ):
        for a, e in zip(gradients(ours, (x, g, b), dy), gradients(theirs, (x, g, b), dy)):
            assert error(a, e) < 1e-12
    assert ut.batch_norm(x, training=True).stride() == x.stride()


@each_case
def test_dy_may_lie_otherwise(case: Case) -> None:
    x, gamma, beta = case.inputs(torch.float64)
    dy = torch.randn(x.shape, dtype=torch.float64)
    expected = gradients(case.ours, (x, gamma, beta), dy)
    for a, e in zip(gradients(case.ours, (x, gamma, beta), channels_last(dy).detach()), expected):
        assert torch.equal(a, e)
    last = gradients(case.ours, (channels_last(x), gamma, beta), dy)
    for a, e in zip(last, expected):
        assert error(a, e) < 1e-13


@each_case
def test_expanded_dy(case: Case) -> None:
    x, gamma, beta = case.inputs(torch.float64)
    case.ours(x, gamma, beta).sum().backward()  # dy has strides of 0
    expected = gradients(case.theirs, case.inputs(torch.float64), torch.ones_like(x))
    assert x.grad is not None and error(x.grad, expected[1]) < 1e-9 or x.grad.abs().max() < 1e-12
    if case.name != "rms":
        assert beta.grad is not None and error(beta.grad, expected[3]) < 1e-13


def test_16_bits_take_parameters_of_either_type() -> None:
    x = torch.randn(4, 3, 5).bfloat16().requires_grad_()
    for dtype in (torch.bfloat16, torch.float32):
        weight = torch.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
        ut.batch_norm(x, weight=weight, training=True).float().square().sum().backward()
        assert weight.grad is not None and weight.grad.dtype is dtype


@each_case
def test_autocast_leaves_dtypes_as_torch_does(case: Case) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x, gamma, beta = (t.detach() for t in case.inputs(dtype))
        with torch.autocast("cpu", torch.bfloat16):
            assert case.ours(x, gamma.float(), beta.float()).dtype is case.theirs(x, gamma.float(), beta.float()).dtype


def test_threads_follow_torch_and_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    from unitvar import _core

    seen = []
    kernel = _core.batch_norm_training

    def spy(*args: Any) -> None:
        seen.append(args[7].threads)
        kernel(*args)

    monkeypatch.setattr(_core, "batch_norm_training", spy)
    x, before = torch.randn(16, 8, 40, 40), torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(ut.batch_norm(x, training=True))
    finally:
        torch.set_num_threads(before)
    assert seen == [1, 2] and torch.equal(*results)


X = torch.randn(2, 4, 5, 6)
FOUR, FIVE = torch.ones(4), torch.ones(5)
BAD: dict[str, Callable[[Any], Any]] = {
    "one value": lambda m: m.batch_norm(X[:1, :, :1, :1], None, None, training=True),
    "no statistics": lambda m: m.batch_norm(X, None, None),
    "weight": lambda m: m.batch_norm(X, None, None, FIVE, None, True),
    "running": lambda m: m.batch_norm(X, FIVE, FIVE, None, None, True),
    "weight's dtype": lambda m: m.batch_norm(X, None, None, FOUR.double(), None, True),
    "integers": lambda m: m.batch_norm(X.long(), None, None, None, None, True),
    "normalized shape": lambda m: m.layer_norm(X, (5,)),
    "layer weight": lambda m: m.layer_norm(X, (6,), FOUR),
    "rms weight": lambda m: m.rms_norm(X, (6,), FOUR),
    "groups": lambda m: m.group_norm(X, 3),
    "group weight": lambda m: m.group_norm(X, 2, FIVE),
    "one value a group": lambda m: m.group_norm(X[:1, :, :1, :1], 4),
    "one axis": lambda m: m.group_norm(FOUR, 2),
    "one element": lambda m: m.instance_norm(X[:, :, :1, :1]),
    "instance running": lambda m: m.instance_norm(X, use_input_stats=False),
}


@pytest.mark.parametrize("bad", list(BAD))
def test_errors_have_torchs_types(bad: str) -> None:
    with pytest.raises(Exception) as theirs:
        BAD[bad](F)
    with pytest.raises(Exception) as ours:
        BAD[bad](ut)
    assert ours.type is theirs.type


def test_an_error_comes_before_anything_is_written() -> None:
    mean, var = MEAN.clone(), VAR.clone()
    with pytest.raises(RuntimeError):
        ut.batch_norm(X, mean, var, FIVE, None, True)
    with pytest.raises(ValueError):
        ut.batch_norm(X[:1, :, :1, :1], mean, var, training=True)
    assert torch.equal(mean, MEAN) and torch.equal(var, VAR)


def test_an_empty_batch_moves_nothing() -> None:
    mean, var = MEAN.clone(), VAR.clone()
    x, weight = torch.empty(0, 4, 5, 6, requires_grad=True), torch.ones(4, requires_grad=True)
    y = ut.batch_norm(x, mean, var, weight, None, True)
    y.sum().backward()
    assert y.shape == x.shape and torch.equal(mean, MEAN) and torch.equal(var, VAR)
    assert weight.grad is not None and not weight.grad.any()
    for f in (
        lambda m: m.layer_norm(X[:0], (6,)),
        lambda m: m.group_norm(X[:0], 2),
        lambda m: m.batch_norm(X[:, :, :0], MEAN, VAR),
    ):
        assert f(ut).shape == f(F).shape


def test_writing_running_statistics_is_seen_by_autograd() -> None:
    mean, var, x = MEAN.clone(), VAR.clone(), X.clone().requires_grad_()
    product = (mean * x.mean((0, 2, 3))).sum()  # saves mean
    ut.batch_norm(X, mean, var, training=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()


def test_tensors_elsewhere_go_to_torch() -> None:
    meta = X.to("meta")
    assert ut.batch_norm(meta, training=True).is_meta and ut.layer_norm(meta, (6,)).is_meta
    assert ut.batch_norm_act(meta, residual=meta, training=True).is_meta
    with pytest.raises(NotImplementedError, match="want a floating tensor on the CPU"):
        ut.batch_norm_ghost(meta, 2, training=True)


def test_nan_stays_in_its_channel() -> None:
    x = X.clone()
    x[0, 1, 0, 0] = float("nan")
    y = ut.batch_norm(x, training=True)
    assert y[:, 1].isnan().all() and not y[:, [0, 2, 3]].isnan().any()


def test_the_numpy_package_does_not_import_torch() -> None:
    subprocess.run([sys.executable, "-c", "import sys, unitvar; assert 'torch' not in sys.modules"], check=True)
