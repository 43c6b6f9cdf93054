"""The normalizations as modules of flax.nnx: flax's own classes, with unitvar's arithmetic.

Each class takes flax's arguments and has flax's variables. So it stands where flax's stood, and loads its state. One
argument is new: `threads`, OpenMP threads at most, 0 for unitvar.jax.default_threads(). What differs from flax:

- The variance is that of x - mean, whatever use_fast_variance says, and sums end in double.
- `dtype` is the dtype of y. Parameters and running statistics are not rounded to it.
- No gradient flows into running statistics.
- BatchNorm refuses to train on one value a channel.

What unitvar has no kernel for runs in flax's own code: a mask, axis_name, several channel axes, rows that are not the
last axes or whose parameters do not lie along all of them, reduction_axes of GroupNorm, other dtypes.

>>> import jax.numpy as jnp
>>> from flax import nnx
>>> import unitvar.jax.nnx
>>> layer = unitvar.jax.nnx.BatchNorm(3, rngs=nnx.Rngs(0))
>>> y = layer(jnp.arange(12.0).reshape(4, 3))
>>> [round(float(m), 3) for m in layer.mean[...]]
[0.045, 0.055, 0.065]
"""

from __future__ import annotations

from typing import Any

from flax import nnx

from . import _functions as ours

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]


class _Ours(nnx.Module):
    """What the classes here add to flax's."""

    def __init__(self, *args: Any, threads: int = 0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.threads = threads

    def _value(self, name: str) -> Any:
        variable = getattr(self, name, None)
        return None if variable is None else variable[...]

    def _promoted(self, x: Any, *names: str) -> Any:
        """x in the dtype of y; None where this call is flax's."""
        module: Any = self
        x, *_ = module.promote_dtype((x, *map(self._value, names)), dtype=module.dtype)
        return x if x.dtype.name in ours.DTYPES and module.axis_name is None else None

    def _options(self) -> dict[str, Any]:
        module: Any = self
        return {"eps": module.epsilon, "threads": self.threads}


def _axes(x: Any, axes: Any) -> list[int]:
    return sorted({axis % x.ndim for axis in ((axes,) if isinstance(axes, int) else axes)})


def _first_of_rows(x: Any, reduction_axes: Any, feature_axes: Any) -> int | None:
    """The first axis of the normalized rows; None if they are not the last axes, with parameters along all of them."""
    reduced = _axes(x, reduction_axes)
    last_ones = reduced == list(range(x.ndim - len(reduced), x.ndim))
    return reduced[0] if last_ones and _axes(x, feature_axes) == reduced else None


class BatchNorm(_Ours, nnx.BatchNorm):
    """flax.nnx.BatchNorm by unitvar.jax.batch_norm and batch_norm_inference."""

    def __call__(self, x: Any, use_running_average: bool | None = None, *, mask: Any = None) -> Any:
        running = self.use_running_average if use_running_average is None else use_running_average
        promoted = self._promoted(x, "mean", "var", "scale", "bias")
        if promoted is None or running is None or mask is not None or not isinstance(self.axis, int):
            return super().__call__(x, use_running_average, mask=mask)
        affine = self._value("scale"), self._value("bias")
        if running:
            return ours.batch_norm_inference(
                promoted, self.mean[...], self.var[...], *affine, axis=self.axis, **self._options()
            )
        y, mean, var = ours.batch_norm(promoted, *affine, axis=self.axis, **self._options())
        self.mean[...], self.var[...] = ours.update_running_statistics(
            self.mean[...], self.var[...], mean, var, momentum=self.momentum
        )
        return y


class LayerNorm(_Ours, nnx.LayerNorm):
    """flax.nnx.LayerNorm by unitvar.jax.layer_norm."""

    def __call__(self, x: Any, *, mask: Any = None) -> Any:
        promoted, first = self._promoted(x, "scale", "bias"), _first_of_rows(x, self.reduction_axes, self.feature_axes)
        if promoted is None or first is None or mask is not None:
            return super().__call__(x, mask=mask)
        affine = (None if p is None else p.reshape(x.shape[first:]) for p in map(self._value, ("scale", "bias")))
        return ours.layer_norm(promoted, *affine, axis=first, **self._options())


class RMSNorm(_Ours, nnx.RMSNorm):
    """flax.nnx.RMSNorm by unitvar.jax.rms_norm."""

    def __call__(self, x: Any, mask: Any = None) -> Any:
        promoted, first = self._promoted(x, "scale"), _first_of_rows(x, self.reduction_axes, self.feature_axes)
        if promoted is None or first is None or mask is not None:
            return super().__call__(x, mask=mask)
        scale = self._value("scale")
        gamma = None if scale is None else scale.reshape(x.shape[first:])
        return ours.rms_norm(promoted, gamma, axis=first, **self._options())


class GroupNorm(_Ours, nnx.GroupNorm):
    """flax.nnx.GroupNorm by unitvar.jax.group_norm."""

    def __call__(self, x: Any, *, mask: Any = None) -> Any:
        promoted = self._promoted(x, "scale", "bias")
        plain = self.reduction_axes is None or _axes(x, self.reduction_axes) == list(range(1, x.ndim))
        if promoted is None or mask is not None or not plain:
            return super().__call__(x, mask=mask)
        affine = self._value("scale"), self._value("bias")
        return ours.group_norm(promoted, self.num_groups, *affine, **self._options())


class InstanceNorm(_Ours, nnx.InstanceNorm):
    """flax.nnx.InstanceNorm by unitvar.jax.instance_norm."""

    def __call__(self, x: Any, *, mask: Any = None) -> Any:
        promoted = self._promoted(x, "scale", "bias")
        features = _axes(x, self.feature_axes)
        if promoted is None or mask is not None or len(features) != 1 or features == [0]:
            return super().__call__(x, mask=mask)
        affine = self._value("scale"), self._value("bias")
        return ours.instance_norm(promoted, *affine, axis=features[0], **self._options())
