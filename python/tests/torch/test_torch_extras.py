"""What torch does not have: activation and residual, masks, ghost batches, renormalization, in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch_cases import TOLERANCE, error, gradients

import unitvar
import unitvar.torch as ut

G = torch.Generator().manual_seed(3)
X, RESIDUAL, DY = (torch.randn(6, 4, 5, generator=G, dtype=torch.float64) for _ in range(3))
GAMMA, BETA = torch.rand(2, 4, generator=G, dtype=torch.float64) + 0.5
MEAN, VAR = torch.tensor([0.3, -0.2, 0.1, 0.5]).double(), torch.tensor([1.2, 0.8, 1.0, 0.5]).double()
MASK = torch.rand(6, 5, generator=G) < 0.7

#: Functions of (x, gamma, beta), and the NumPy package's (y, and backward of dy: dx, dgamma, dbeta).
EXTRAS: dict[str, Callable[..., Tensor]] = {
    "relu": lambda x, g, b: ut.batch_norm_act(x, None, None, g, b, None, True),
    "leaky": lambda x, g, b: ut.batch_norm_act(x, None, None, g, b, None, True, activation="leaky_relu"),
    "weighted": lambda x, g, b: ut.batch_norm_weighted(x, MASK[: len(x), : x.shape[2]], None, None, g, b, True),
    "weighted, shown": lambda x, g, b: ut.batch_norm_weighted(
        x, MASK[: len(x), : x.shape[2]], None, None, g, b, True, zero_unweighted=False
    ),
    "ghost": lambda x, g, b: ut.batch_norm_ghost(x, 2, None, None, g, b, True),
    "renorm": lambda x, g, b: ut.batch_norm_renorm(x, MEAN.clone(), VAR.clone(), g, b, True, r_max=1.1, d_max=0.2),
}
#: Of each activation torch's own, and numbers of batch_norm_act.
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], dict[str, float]]] = {
    "identity": (lambda v: v, {}),
    "relu": (F.relu, {}),
    "leaky_relu": (F.leaky_relu, {}),
    "relu6": (F.relu6, {"low": 1.0, "high": 2.0}),
    "clip": (lambda v: F.hardtanh(v, -0.5, 0.7), {"low": -0.5, "high": 0.7}),
    "hard_swish": (F.hardswish, {}),
    "silu": (F.silu, {}),
}
each_activation = pytest.mark.parametrize("activation", list(ACTIVATIONS))
each_mode = pytest.mark.parametrize("training", [False, True])
each_extra = pytest.mark.parametrize("name", list(EXTRAS))


def leaves(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(t.detach().clone().requires_grad_() for t in tensors)


def numpy_of(name: str) -> tuple[Any, ...]:
    """y, dx, dgamma, dbeta by the NumPy package."""
    x, dy, g, b = X.numpy(), DY.numpy(), GAMMA.numpy(), BETA.numpy()
    if name in ("relu", "leaky"):
        slope = 0.01 if name == "leaky" else 0.0
        act = unitvar.batch_norm_act(x, g, b, negative_slope=slope)
        found = unitvar.batch_norm_act_backward(x, dy, act.mask, act.mean, act.rstd, g, negative_slope=slope)
        return act.y, found.dx, found.dgamma, found.dbeta
    if name.startswith("weighted"):
        w = unitvar.batch_norm_weighted(x, MASK.numpy(), g, b, zero_unweighted="shown" not in name)
        return w.y, *unitvar.batch_norm_weighted_backward(x, dy, MASK.numpy(), w.mean, w.rstd, g)
    if name == "ghost":
        p = unitvar.batch_norm_ghost(x, 2, g, b)
        return p.y, *unitvar.batch_norm_ghost_backward(x, dy, p.mean, p.rstd, 2, g)
    r = unitvar.batch_norm_renorm(x, MEAN.numpy(), VAR.numpy(), g, b, r_max=1.1, d_max=0.2)
    return r.y, *unitvar.batch_norm_renorm_backward(x, DY.numpy(), r.mean, r.rstd, r.r, r.d, g)


@pytest.mark.parametrize("name", list(EXTRAS))
@pytest.mark.parametrize("last", [False, True])
def test_values_and_gradients_are_those_of_the_numpy_package(name: str, last: bool) -> None:
    x, gamma, beta = leaves(X.transpose(1, 2).contiguous().transpose(1, 2) if last else X, GAMMA, BETA)
    for ours, theirs in zip(gradients(EXTRAS[name], (x, gamma, beta), DY), numpy_of(name)):
        assert error(ours, torch.from_numpy(np.asarray(theirs))) < 1e-13


@each_extra
def test_gradcheck_of_first_and_second_derivatives_and_forward_mode(name: str) -> None:
    inputs = leaves(X[:4, :, :3], GAMMA, BETA)
    f = EXTRAS[name]
    if name in ("renorm", "weighted, shown"):  # r, d, and y behind a mask are constants; no difference quotient knows
        y = f(*inputs)
        (first,) = torch.autograd.grad(y.pow(2).sum(), inputs[0], create_graph=True)
        assert torch.autograd.grad(first.sum(), inputs[0])[0].isfinite().all()
        return
    assert torch.autograd.gradcheck(f, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(f, inputs)


@each_extra
def test_16_bits_stay_16_bits(name: str) -> None:
    x, gamma, beta = leaves(X.bfloat16(), GAMMA.bfloat16(), BETA.bfloat16())
    found, wide = EXTRAS[name](x, gamma, beta), EXTRAS[name](*leaves(x.double(), gamma.double(), beta.double()))
    assert found.dtype is torch.bfloat16 and error(found, wide) < TOLERANCE[torch.bfloat16]


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (2, 16, 7, 7), (5, 3), (2, 3, 70, 1)])
@pytest.mark.parametrize("last", [False, True])
@each_activation
@each_mode
def test_activation_and_residual_are_those_of_the_parts(
    shape: Any, last: bool, activation: str, training: bool
) -> None:
    x, residual, dy = (3 * torch.randn(shape, dtype=torch.float64, generator=G) for _ in range(3))
    if last:
        x = x.movedim(1, -1).contiguous().movedim(-1, 1)
    c = shape[1]
    mean, var = torch.rand(2, c, dtype=torch.float64, generator=G) + 0.1
    inputs = leaves(x, torch.rand(c).double() + 0.5, torch.randn(c).double(), residual)
    act, numbers = ACTIVATIONS[activation]
    found = gradients(
        lambda x, g, b, r: ut.batch_norm_act(
            x, mean.clone(), var.clone(), g, b, r, training, activation=activation, **numbers
        ),
        inputs, dy,
    )  # fmt: skip
    expected = gradients(
        lambda x, g, b, r: act(F.batch_norm(x, mean.clone(), var.clone(), g, b, training) + r), inputs, dy
    )
    for a, e in zip(found, expected):
        assert error(a, e) < 1e-12
    assert found[0].stride() == x.stride()


@each_activation
@each_mode
@pytest.mark.parametrize("with_residual", [False, True])
def test_gradgradcheck_of_every_activation(activation: str, training: bool, with_residual: bool) -> None:
    numbers = ACTIVATIONS[activation][1]

    def f(x: Tensor, g: Tensor, b: Tensor, *r: Tensor) -> Tensor:
        residual = r[0] if r else None
        statistics = (None, None) if training else (MEAN, VAR)
        return ut.batch_norm_act(x, *statistics, g, b, residual, training, activation=activation, **numbers)

    inputs = leaves(X[:3, :, :2], GAMMA, BETA, *[RESIDUAL[:3, :, :2]] * with_residual)
    assert torch.autograd.gradcheck(f, inputs, check_forward_ad=True) and torch.autograd.gradgradcheck(f, inputs)


@each_activation
@each_mode
def test_activations_of_16_bits_and_of_float_are_as_close_as_their_type(activation: str, training: bool) -> None:
    _, numbers = ACTIVATIONS[activation]

    def f(x: Tensor, g: Tensor, b: Tensor, r: Tensor) -> Tensor:
        statistics = (None, None) if training else (MEAN.clone(), VAR.clone())
        return ut.batch_norm_act(x, *statistics, g, b, r, training, activation=activation, **numbers)

    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        narrow = leaves(*(t.to(dtype) for t in (X, GAMMA, BETA, RESIDUAL)))
        wide = leaves(*(t.double() for t in narrow))
        for a, e in zip(gradients(f, narrow, DY.to(dtype)), gradients(f, wide, DY.to(dtype).double())):
            assert a.dtype is dtype and error(a, e) < 4 * TOLERANCE[dtype]


@each_activation
def test_one_value_a_channel_has_gradients_in_evaluation(activation: str) -> None:
    act, numbers = ACTIVATIONS[activation]
    inputs = leaves(X[:1, :, :1], GAMMA, BETA, RESIDUAL[:1, :, :1])
    f = lambda x, g, b, r: ut.batch_norm_act(x, MEAN, VAR, g, b, r, activation=activation, **numbers)  # noqa: E731
    expected = gradients(lambda x, g, b, r: act(F.batch_norm(x, MEAN, VAR, g, b) + r), inputs, DY[:1, :, :1])
    for a, e in zip(gradients(f, inputs, DY[:1, :, :1]), expected):
        assert error(a, e) < 1e-12
    assert torch.autograd.gradgradcheck(f, inputs)


def test_no_mask_is_kept_where_none_is_needed_and_a_mask_is_one_bit_an_element() -> None:
    from unitvar.torch._act import ACT, activation_of

    for name in ACTIVATIONS:
        numbers = (False, *activation_of(name, 0.1, 0.0, 6.0), 1e-5)
        mask = ACT.forward(numbers, X, GAMMA, BETA, None)[2]
        assert (mask.numel() > 0) == (name in ("relu", "leaky_relu", "relu6", "clip"))


def test_a_mask_is_large_enough_for_any_extent() -> None:
    from unitvar import _core
    from unitvar.torch._act import ACT

    for n, c, s in ((1, 1, 2), (3, 4, 5), (2, 16, 49), (7, 3, 64), (5, 9, 1), (2, 1000, 1), (64, 2, 3), (1, 5, 1000)):
        have = ACT.outputs((False, 1, 0.0, 0.0, 6.0, 1e-5), torch.empty(1), (n, c, s), c)[2].numel()
        assert have >= _core.batch_norm_act_mask_bytes(n, c, s, (1, 0.0, 0.0, 6.0))


def test_modules_train_and_evaluate() -> None:
    x4 = torch.randn(6, 4, 5, 3)
    act, plain = ut.BatchNormAct2d(4), ut.BatchNorm2d(4)
    assert error(act(x4, x4), F.relu(plain(x4) + x4)) < 1e-6
    assert torch.equal(act.running_var, plain.running_var)
    act.eval(), plain.eval()
    with torch.no_grad():
        assert error(act(x4, x4), F.relu(plain(x4) + x4)) < 1e-6
    assert error(act(x4, x4), F.relu(plain(x4) + x4)) < 1e-6


@each_activation
def test_the_module_says_and_applies_its_activation(activation: str) -> None:
    act, numbers = ACTIVATIONS[activation]
    layer, plain = ut.BatchNormAct2d(4, act=activation, **numbers), ut.BatchNorm2d(4)
    x = torch.randn(6, 4, 5, 3)
    for training in (True, False):
        layer.train(training), plain.train(training)
        assert error(layer(x, x), act(plain(x) + x)) < 1e-6
    assert f"act={activation}" in repr(layer) and ("low=-0.5, high=0.7" in repr(layer)) == (activation == "clip")


def test_masked_batch_norm_equals_batch_norm_of_what_is_left() -> None:
    masked, plain = ut.MaskedBatchNorm(4, dtype=torch.float64), ut.BatchNorm1d(4, dtype=torch.float64)
    y, expected = masked(X, MASK), plain(X.movedim(1, -1)[MASK])
    assert error(y.movedim(1, -1)[MASK], expected) < 1e-12 and not y.movedim(1, -1)[~MASK].any()
    assert error(masked.running_var, plain.running_var) < 1e-13 and int(masked.num_batches_tracked) == 1
    masked.eval(), plain.eval()
    assert error(masked(X, MASK).movedim(1, -1)[MASK], plain(X.movedim(1, -1)[MASK])) < 1e-13


def test_ghost_batch_norm_moves_its_statistics_part_by_part() -> None:
    ghost, plain = ut.GhostBatchNorm(4, 4, dtype=torch.float64), ut.BatchNorm1d(4, dtype=torch.float64)
    y, expected = ghost(X), torch.cat([plain(part) for part in X.split(4)])
    assert torch.equal(y, expected) and torch.equal(ghost.running_mean, plain.running_mean)
    assert torch.equal(ghost.running_var, plain.running_var)


def test_batch_renorm_without_limits_normalizes_by_the_running_statistics() -> None:
    layer = ut.BatchRenorm(4, r_max=float("inf"), d_max=float("inf"), dtype=torch.float64)
    layer.running_mean.copy_(MEAN), layer.running_var.copy_(VAR)
    assert error(layer(X), F.batch_norm(X, MEAN, VAR)) < 1e-12
    assert error(layer.running_mean, 0.9 * MEAN + 0.1 * X.mean((0, 2))) < 1e-13
    narrow, plain = ut.BatchRenorm(4, dtype=torch.float64), ut.BatchNorm1d(4, dtype=torch.float64)
    assert error(narrow(X), plain(X)) < 1e-13


def test_in_place_writes_over_its_input_and_has_the_gradients_of_the_parts() -> None:
    dy = torch.randn(X.shape, dtype=torch.float64)

    def parts(x: Tensor, g: Tensor, b: Tensor) -> Tensor:
        return F.leaky_relu(F.batch_norm(x * 1, None, None, g, b, True), 0.1)

    def in_place(x: Tensor, g: Tensor, b: Tensor) -> Tensor:
        hidden = x * 1
        y = ut.batch_norm_in_place(hidden, None, None, g, b, True, negative_slope=0.1)
        assert y is hidden or y.data_ptr() == hidden.data_ptr()
        return y

    inputs = leaves(X, GAMMA, BETA)
    for a, e in zip(gradients(in_place, inputs, dy), gradients(parts, inputs, dy)):
        assert error(a, e) < 1e-11
    (first,) = torch.autograd.grad(in_place(*inputs).pow(2).sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_in_place_refuses_leaves_strides_and_lost_digits() -> None:
    with pytest.raises(RuntimeError, match="leaf"):
        ut.batch_norm_in_place(leaves(X)[0], training=True)
    with pytest.raises(RuntimeError, match="want contiguous or channels last"):
        ut.batch_norm_in_place(X.clone()[..., ::2], training=True)
    x = X.clone()
    with pytest.raises(unitvar.Error):
        ut.batch_norm_in_place(x, None, None, GAMMA, 1e6 * BETA, True)
    assert torch.equal(x, X)


def test_in_place_abn_is_batch_norm_and_leaky_relu() -> None:
    abn, plain = ut.InPlaceABN(4), ut.BatchNorm1d(4)
    x = X.float()
    assert error(abn(x.clone()), F.leaky_relu(plain(x))) < 1e-6
    assert torch.equal(abn.running_var, plain.running_var)
    abn.eval(), plain.eval()
    assert error(abn(x), F.leaky_relu(plain(x))) < 1e-6


@pytest.mark.parametrize("bad", [
    lambda: ut.batch_norm_act(X, training=True, activation="gelu"),
    lambda: ut.BatchNormAct2d(4, act="gelu"),
    lambda: ut.batch_norm_act(X, training=True, activation="clip", low=1.0, high=0.0),
    lambda: ut.batch_norm_ghost(X, 0, training=True),
    lambda: ut.batch_norm_ghost(X[:1, :, :1], 1, training=True),
    lambda: ut.BatchRenorm(4, track_running_stats=False),
    lambda: ut.batch_norm_weighted(X, -MASK.double(), training=True),
    lambda: ut.MaskedBatchNorm(4)(X[0, 0], MASK),
])  # fmt: skip
def test_bad_values_are_value_errors(bad: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):
        bad()


@pytest.mark.parametrize("bad", [
    lambda: ut.batch_norm_act(X, residual=X[:3], training=True),
    lambda: ut.batch_norm_act(X, residual=X.float(), training=True),
    lambda: ut.batch_norm_weighted(X, MASK[:3], training=True),
    lambda: ut.batch_norm_renorm(X, None, None, training=True),
])  # fmt: skip
def test_what_does_not_fit_is_a_runtime_error(bad: Callable[[], Any]) -> None:
    with pytest.raises(RuntimeError):
        bad()
