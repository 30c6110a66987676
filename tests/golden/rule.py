"""Weights and inputs as pure functions of a name, so that goldens need no stored weights.

Each tensor is uniform noise from a generator seeded with the CRC-32 of its official key, scaled by
what the key says it is. The order in which a model is built plays no part.
"""

import math
import zlib

import numpy as np
import torch
from torch import Tensor


def uniform(key: str, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    """float32 of `shape` in [low, high), drawn in float64."""
    generator = torch.Generator("cpu").manual_seed(zlib.crc32(key.encode("ascii")))
    unit = torch.rand(shape, generator=generator, dtype=torch.float64)
    return (low + (high - low) * unit).float()


def rule_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """One tensor of a checkpoint."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if key.endswith("running_var"):
        return uniform(key, shape, 0.5, 1.5)
    if ".tam." in key:  # temporal aggregation
        return uniform(key, shape, -0.2, 0.8)
    if key.endswith(("running_mean", ".bias")):
        return uniform(key, shape, -0.2, 0.2)
    if len(shape) == 1:  # the scale of a norm
        return uniform(key, shape, *((0.2, 0.6) if ".bn3." in key else (0.6, 1.2)))
    bound = math.sqrt(3 / shape[1]) if len(shape) == 2 else math.sqrt(6 / math.prod(shape[1:4]))
    return uniform(key, shape, -bound, bound)


def rule_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A whole checkpoint from names and shapes."""
    return {key: rule_tensor(key, tuple(shape)) for key, shape in shapes.items()}


def rule_clip(tag: str, shape: tuple[int, ...]) -> Tensor:
    """Noise like normalised pixels, in [-2, 2)."""
    return uniform(f"input:{tag}", shape, -2.0, 2.0)


def legacy_normal(key: str, shape: tuple[int, ...]) -> Tensor:
    """Standard normal float32 of numpy's legacy generator, seeded with the CRC-32 of the key."""
    drawn = np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape)  # noqa: NPY002
    return torch.from_numpy(np.asarray(drawn)).float()


def legacy_tensor(key: str, shape: tuple[int, ...]) -> Tensor:
    """One tensor of TPN's rule-made checkpoints, by its official key."""
    generator = np.random.RandomState(zlib.crc32(key.encode()))  # noqa: NPY002
    if key.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    if key.endswith(("running_mean", ".bias")):
        return 0.1 * legacy_normal(key, shape)
    if len(shape) > 1:
        scale = 0.05 if len(shape) == 2 else math.sqrt(2 / math.prod(shape[1:]))
        return scale * legacy_normal(key, shape)
    low, spread = (0.1, 0.2) if key.endswith("bn3.weight") else (0.8, 0.4)
    if key.endswith("running_var"):
        low, spread = 0.5, 1.0
    return torch.from_numpy(low + spread * generator.uniform(size=shape)).float()
