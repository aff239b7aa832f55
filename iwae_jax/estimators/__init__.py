"""Gradient estimators: the value is a bound, and its `jax.grad` is a named direction."""

from iwae_jax.estimators.reparameterised import pathwise

__all__ = ["pathwise"]
