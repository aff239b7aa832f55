"""Normalising flows: bijections of one datum, their chains, and the densities they carry.

A layer is a pair ``(bijection, params)``; a list of layers goes from the latent to the data.

| part | names |
| --- | --- |
| whole flows | `realnvp`, `multi_scale_realnvp`, `nice`; `transformed` for any base and layer |
| couplings | `coupling` of a mask with `additive`, `affine` or `rational_quadratic` |
| masks | `alternating`, `channels`, `checkerboard`, `halves` |
| networks of a coupling | `mlp`, `convolutional` |
| autoregressive | `masked_autoregressive` (fast density), `inverse_autoregressive` (fast sampler) |
| linear | `act_norm`, `lu_linear`, `scaling`, `whitening` |
| other layers | `planar`; `flatten`, `permutation`, `squeeze`, `factor_out` |
| composition | `chain`, `repeat` (a scan), `invert` |
| bases | `standard_normal`, `logistic`, `gaussian_mixture` (`class_gaussians`), `product` |
| images | `logit_pixels`, `unit_pixels`, `midpoints`, `grey_levels`, `bits_per_dim` |
| as models | `without_latents`, `uniform_dequantisation`, `variational_dequantisation` |
"""

from iwae_jax.flows.bases import (
    class_gaussians,
    gaussian_mixture,
    logistic,
    product,
    standard_normal,
)
from iwae_jax.flows.builders import multi_scale_realnvp, realnvp, transformed
from iwae_jax.flows.chains import chain, invert, repeat
from iwae_jax.flows.conditioners import convolutional, mlp
from iwae_jax.flows.couplings import coupling, inverse_autoregressive, masked_autoregressive
from iwae_jax.flows.dequantisation import (
    uniform_dequantisation,
    variational_dequantisation,
    without_latents,
)
from iwae_jax.flows.linear import act_norm, lu_linear, scaling, whitening
from iwae_jax.flows.masks import alternating, channels, checkerboard, halves
from iwae_jax.flows.nice import nice, nice_params
from iwae_jax.flows.pixels import (
    bits_per_dim,
    grey_levels,
    logit_pixels,
    midpoints,
    unit_pixels,
)
from iwae_jax.flows.planar import planar
from iwae_jax.flows.shapes import factor_out, flatten, permutation, squeeze
from iwae_jax.flows.structures import Base, Bijection, Flow, Transformer
from iwae_jax.flows.transformers import additive, affine, rational_quadratic

__all__ = [
    "Base",
    "Bijection",
    "Flow",
    "Transformer",
    "act_norm",
    "additive",
    "affine",
    "alternating",
    "bits_per_dim",
    "chain",
    "channels",
    "checkerboard",
    "class_gaussians",
    "convolutional",
    "coupling",
    "factor_out",
    "flatten",
    "gaussian_mixture",
    "grey_levels",
    "halves",
    "inverse_autoregressive",
    "invert",
    "logistic",
    "logit_pixels",
    "lu_linear",
    "masked_autoregressive",
    "midpoints",
    "mlp",
    "multi_scale_realnvp",
    "nice",
    "nice_params",
    "permutation",
    "planar",
    "product",
    "rational_quadratic",
    "realnvp",
    "repeat",
    "scaling",
    "squeeze",
    "standard_normal",
    "transformed",
    "uniform_dequantisation",
    "unit_pixels",
    "variational_dequantisation",
    "whitening",
    "without_latents",
]
