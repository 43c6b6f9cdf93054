"""Arguments: arrays of other libraries, what is refused, out=, the reference."""

from __future__ import annotations

import array
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import error

import unitvar

X = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)


BASE = np.random.default_rng(1).normal(size=(8, 3))
SIX = np.zeros((2, 3))


class Foreign:
    """An array with DLPack and nothing else."""

    def __init__(self, own: np.ndarray, device: int = 1) -> None:
        self.own, self.device = own, device

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.own.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0


def test_arrays_with_dlpack_or_a_buffer_are_taken() -> None:
    y = unitvar.batch_norm(X).y
    assert np.array_equal(unitvar.batch_norm(Foreign(X), Foreign(np.ones(3, np.float32))).y, y)
    assert np.array_equal(unitvar.batch_norm(memoryview(X)).y, y)
    rows = array.array("d", [1.0, 3.0])
    assert unitvar.layer_norm(rows, eps=0.0).y.tolist() == [-1, 1]


def test_misaligned_arrays_are_copied() -> None:
    memory = np.zeros(X.nbytes + 1, np.uint8)
    x = memory[1:].view(np.float32).reshape(X.shape)
    x[:] = X
    assert not x.flags.aligned and np.array_equal(unitvar.batch_norm(x).y, unitvar.batch_norm(X).y)
    assert np.array_equal(unitvar.reference.forward(x).y, unitvar.reference.forward(X).y)
    with pytest.raises(ValueError, match="misaligned"):
        unitvar.batch_norm(X, out=x)


def test_a_mask_serves_arrays_that_lie_otherwise() -> None:
    x = np.random.default_rng(0).normal(size=(4, 8, 8))
    r = unitvar.batch_norm_act(x)
    args = r.mask, r.mean, r.rstd
    one = unitvar.batch_norm_act_backward(x, x, *args).dx
    other = unitvar.batch_norm_act_backward(np.asfortranarray(x), np.asfortranarray(x), *args).dx
    assert np.array_equal(one, other)


def test_read_only_inputs_are_taken_and_stay() -> None:
    x = X.copy()
    x.flags.writeable = False
    assert np.array_equal(unitvar.batch_norm(x).y, unitvar.batch_norm(X).y) and np.array_equal(x, X)


REFUSED: list[tuple[type, str, Callable[[], Any]]] = [
    (TypeError, "x is a list, want a NumPy array", lambda: unitvar.batch_norm([[1.0]])),
    (TypeError, "device 2, want an array on the CPU", lambda: unitvar.batch_norm(Foreign(X, 2))),
    (TypeError, "x has dtype int64", lambda: unitvar.batch_norm(np.ones((2, 3), int))),
    (TypeError, "x has dtype complex64", lambda: unitvar.batch_norm(X.astype(np.complex64))),
    (TypeError, "x has dtype >f4", lambda: unitvar.batch_norm(X.astype(">f4"))),
    (TypeError, "gamma has dtype complex128, want real", lambda: unitvar.batch_norm(X, np.ones(3, complex))),
    (ValueError, r"gamma has shape \(4,\), want \(3,\)", lambda: unitvar.batch_norm(X, np.ones(4))),
    (ValueError, "x has no axis", lambda: unitvar.batch_norm(np.float32(3) * np.ones((), np.float32))),
    (ValueError, "channel_axis is 3, want an axis of an array with 3", lambda: unitvar.batch_norm(X, channel_axis=3)),
    (TypeError, "channel_axis is 1.0, want an int", lambda: unitvar.batch_norm(X, channel_axis=1.0)),  # type: ignore
    (TypeError, r"axis is \(1, 2\), want one axis", lambda: unitvar.layer_norm(X, axis=(1, 2))),  # type: ignore
    (ValueError, "1 value per channel", lambda: unitvar.batch_norm(X[:1, :, :1])),
    (ValueError, "eps", lambda: unitvar.batch_norm(np.zeros((4, 3)), eps=0.0)),
    (ValueError, "overlaps x", lambda: unitvar.batch_norm(X, out=X)),
    (ValueError, "out has shape", lambda: unitvar.batch_norm(X, out=np.empty((4, 3, 6), np.float32))),
    (ValueError, "lies in memory otherwise", lambda: unitvar.batch_norm(X, out=np.empty((5, 3, 4), np.float32).T)),
    (ValueError, "dy has shape", lambda: unitvar.batch_norm_backward(X, X[:2], np.ones(3), np.ones(3))),
    (
        TypeError,
        "dy has dtype float64",
        lambda: unitvar.batch_norm_backward(X, X.astype(float), np.ones(3), np.ones(3)),
    ),
    (ValueError, "groups is 2, want a divisor of the 3", lambda: unitvar.group_norm(X, 2)),
    (TypeError, "groups is 1.0, want an int", lambda: unitvar.group_norm(X, 1.0)),  # type: ignore
    (ValueError, "ghost is 0, want 1 or more", lambda: unitvar.batch_norm_ghost(X, 0)),
    (TypeError, "eps is None, want a number", lambda: unitvar.batch_norm(X, eps=None)),  # type: ignore
    (TypeError, "options is a int, want unitvar.Options", lambda: unitvar.batch_norm(X, options=2)),  # type: ignore
    (TypeError, "x is a masked array", lambda: unitvar.batch_norm(np.ma.masked_less(X, 0))),
    (TypeError, "m2 is None, want an array", lambda: unitvar.phases.finish_moments(1, None)),
    (ValueError, "no empty axis but the batch's", lambda: unitvar.group_norm(X[:, :, :0], 1)),
    (ValueError, "no empty axis but the batch's", lambda: unitvar.batch_norm(X[:, :0], channel_axis=-1)),
    (ValueError, "out overlaps x", lambda: unitvar.batch_norm(BASE[::2], out=BASE[:4])),
    (ValueError, "not needed", lambda: unitvar.batch_norm_backward(X, X, X, X, need_dx=False, out=X.copy())),
    (TypeError, "mask is no Mask", lambda: unitvar.batch_norm_act_backward(X, X, np.ones(9, np.uint8), X, X)),  # type: ignore
    (ValueError, r"a has shape \(2, 3\) and b \(3, 2\)", lambda: unitvar.gradcheck.rel_error(SIX, SIX.T)),
    (ValueError, "want samples on axis 0", lambda: unitvar.group_norm(X, 1, channel_axis=0)),
    (ValueError, "isa", lambda: unitvar.Options(isa="mmx")),
    (ValueError, "walk is 'run'", lambda: unitvar.Options(walk="run")),
    (ValueError, "kind is 'dense'", lambda: unitvar.batch_norm_fold(X, np.ones(4), np.ones(4), kind="dense")),
    (ValueError, "form is 'magic'", lambda: unitvar.reference.backward(X, X, form="magic")),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_refused(kind: type[Exception], message: str, call: Callable[[], Any]) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_out_takes_the_result() -> None:
    y, dx = np.full_like(X, 7), X.copy()
    r = unitvar.batch_norm(X, out=y)
    assert r.y is y and np.array_equal(y, unitvar.batch_norm(X).y)
    g = unitvar.batch_norm_backward(X, dx, r.mean, r.rstd, out=dx)
    assert g.dx is dx and np.array_equal(dx, unitvar.batch_norm_backward(X, X, r.mean, r.rstd).dx)
    x = X.copy()
    assert unitvar.layer_norm(x, out=x).y is x and np.array_equal(x, unitvar.layer_norm(X).y)


def test_what_is_not_needed_is_none() -> None:
    r = unitvar.batch_norm(X)
    no_dx = unitvar.batch_norm_backward(X, X, r.mean, r.rstd, need_dx=False)
    no_params = unitvar.batch_norm_backward(X, X, r.mean, r.rstd, need_params=False)
    assert no_dx.dx is None and no_dx.dgamma is not None
    assert no_params.dx is not None and no_params.dgamma is None and no_params.dbeta is None


def test_an_empty_batch_is_legal() -> None:
    r = unitvar.batch_norm(X[:0])
    assert r.y.shape == (0, 3, 5) and r.mean.tolist() == [0, 0, 0]
    assert unitvar.layer_norm(X[:0]).y.shape == (0, 3, 5)


def test_every_form_of_the_reference_agrees_with_the_library() -> None:
    x, dy = np.random.default_rng(1).normal(size=(2, 6, 3, 4))
    gamma = np.array([1.0, -2.0, 0.5])
    r = unitvar.batch_norm(x, gamma)
    g = unitvar.batch_norm_backward(x, dy, r.mean, r.rstd, gamma)
    assert len(unitvar.reference.FORMS) == 8
    for form in unitvar.reference.FORMS:
        e = unitvar.reference.backward(x, dy, gamma, form=form)
        assert error(g.dx, e.dx) < 1e-12 and error(g.dgamma, e.dgamma) < 1e-12, form
    steps = unitvar.reference.staged(x, dy, gamma)
    assert error(steps.dx, g.dx) < 1e-12 and steps.dmean.shape == (3,) and steps.x_hat.shape == x.shape
    last = unitvar.reference.backward(np.moveaxis(x, 1, -1), np.moveaxis(dy, 1, -1), gamma, channel_axis=-1)
    assert error(np.moveaxis(last.dx, -1, 1), g.dx) < 1e-12


def test_the_jacobian_is_the_numeric_one() -> None:
    x = np.random.default_rng(2).normal(size=6)
    numeric = unitvar.gradcheck.numeric_jacobian(lambda x: unitvar.batch_norm(x[:, None]).y.ravel(), x)
    assert error(unitvar.reference.jacobian(x), numeric.value) < 1e-8
    assert abs(unitvar.reference.jacobian_x_hat(x).sum()) < 1e-12


def test_the_phases_make_the_whole() -> None:
    p, dy = unitvar.phases, X[::-1].copy()
    n, mean, m2 = p.merge_moments(5, *p.moments(X[:1]), 15, *p.moments(X[1:]))
    var, rstd = p.finish_moments(n, m2)
    r = unitvar.batch_norm(X)
    assert n == 20 and error(var, r.var) < 1e-12
    assert error(p.normalize(X, mean, rstd), r.y) < 3e-7
    sums = p.gradient_sums(X, dy, mean)
    g = unitvar.batch_norm_backward(X, dy, r.mean, r.rstd)
    assert error(sums.sum_dy, g.dbeta) < 1e-6 and error(sums.sum_dy_xmu * rstd, g.dgamma) < 1e-6
    assert error(p.input_gradient(X, dy, mean, rstd, *sums, n), g.dx) < 3e-7
    accumulator = p.GradientSumsAccumulator(X, mean)
    for t in range(len(accumulator)):
        accumulator.add(t, X, dy, 0, 2)
        accumulator.add(t, X, dy, 2, 3)
    assert all(np.array_equal(a, b) for a, b in zip(accumulator.finish(), sums))


def test_importing_loads_no_library_beside_numpy() -> None:
    code = (
        "import sys, unitvar; print([m for m in ('torch', 'jax', 'onnx', 'mpi4py', 'ml_dtypes') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_callback_that_raises_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        unitvar.gradcheck.numeric_gradient(lambda x: 1 / 0, np.ones(2))
    with pytest.raises(ValueError, match=r"f\(x\) has shape \(1,\), want that of dy"):
        unitvar.gradcheck.numeric_vjp(lambda x: x[:1], np.ones(2), np.ones(2))
