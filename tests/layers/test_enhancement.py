"""MEM and PEM: weights by hand, sizes, starts, odd lengths, export."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from kinema.layers.enhancement import (
    MotionEnhancement,
    ProgressiveEnhancement,
    gated_memory,
)
from kinema.layers.streaming import step


def clip(steps: int = 5, channels: int = 16) -> Tensor:
    x = torch.randn(2, channels, steps, 3, 4)
    return x.contiguous(memory_format=torch.channels_last_3d)


def sharp(module: nn.Module) -> nn.Module:
    """Weights large enough to tell the frames apart."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("gate", ["scalar", "channel"])
@pytest.mark.parametrize("start", ["difference", "zeros"])
def test_pem_is_its_formula_frame_by_frame(gate, start) -> None:
    pem = sharp(ProgressiveEnhancement(16, 4, gate=gate, memory_start=start))
    x = clip()
    f1, f2 = pem.difference.now, pem.difference.next
    frames = [x[:, :, t].mean((2, 3)) for t in range(5)]
    changes = [f2(b) - f1(a) for a, b in pairwise(frames)] + [torch.ones(2, 4)]
    memory = changes[3] if start == "difference" else torch.zeros(2, 4)
    for t, change in enumerate(changes):
        update = torch.sigmoid(pem.update(torch.cat((memory, change), dim=1)))
        memory = (1 - update) * memory + update * change
        wanted = x[:, :, t] * torch.sigmoid(pem.expand(memory))[:, :, None, None]
        torch.testing.assert_close(pem(x)[:, :, t], wanted)


@pytest.mark.parametrize("kind", [MotionEnhancement, ProgressiveEnhancement])
def test_one_frame_is_a_clip_and_memory_format_is_kept(kind) -> None:
    module = sharp(kind(16))
    assert module(clip(1)).isfinite().all()
    assert module(clip()).is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize(
    ("reduction", "gate", "bias", "params"),
    [  # 16 channels, R = 16 // reduction: 3 * 16 R + gate * 2 R, and biases 2 R + 16 + gate
        (4, "scalar", True, 3 * 64 + 8 + 8 + 16 + 1),
        (4, "scalar", False, 3 * 64 + 8),
        (4, "channel", True, 3 * 64 + 32 + 8 + 16 + 4),
        (8, "scalar", True, 3 * 32 + 4 + 4 + 16 + 1),
        (32, "scalar", False, 3 * 16 + 2),
    ],
)
def test_sizes_by_hand(reduction, gate, bias, params) -> None:
    pem = ProgressiveEnhancement(16, reduction, gate=gate, bias=bias)
    assert sum(p.numel() for p in pem.parameters()) == params


@pytest.mark.parametrize("kind", [MotionEnhancement, ProgressiveEnhancement])
@pytest.mark.parametrize("start", [0.5, 0.9])
def test_every_channel_starts_at_the_same_weight(kind, start) -> None:
    weights = kind(16, gate_init=start).weights(clip())[:, :-1]  # MEM lets the last frame through
    torch.testing.assert_close(weights, torch.full_like(weights, start), atol=5e-3, rtol=0)


@pytest.mark.parametrize(("bias", "start"), [(True, 0.95), (False, 0.5)])
def test_mem_starts_close_to_the_last_frame_where_it_can(bias, start) -> None:
    weights = MotionEnhancement(16, bias=bias).weights(clip())
    torch.testing.assert_close(weights[:, -1], torch.ones_like(weights[:, -1]))
    wanted = torch.full_like(weights[:, :-1], start)
    torch.testing.assert_close(weights[:, :-1], wanted, atol=5e-3, rtol=0)


def test_gradients_of_the_memory() -> None:
    changes = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    start = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    update = nn.Linear(8, 1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda c, s: gated_memory(c, s, update), (changes, start))


def test_half_precision_stays_close() -> None:
    pem, x = sharp(ProgressiveEnhancement(16)), clip()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = pem.weights(x)
    assert low.dtype == torch.bfloat16
    assert (low.float() - pem.weights(x)).abs().max() < 0.03


def test_exports_with_dynamic_batch_and_time() -> None:
    pem = sharp(ProgressiveEnhancement(16)).eval()
    batch, steps = torch.export.Dim("batch", max=64), torch.export.Dim("steps", min=2, max=64)
    program = torch.export.export(pem, (clip(4),), dynamic_shapes={"x": {0: batch, 2: steps}})
    other = torch.randn(3, 16, 7, 3, 4)
    assert torch.allclose(program.module()(other), pem(other), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "vector"}, r"gate='vector' must be one of scalar, channel"),
        ({"memory_start": "ones"}, r"memory_start='ones' must be one of difference, zeros"),
        ({"last_difference": "one"}, r"last_difference='one' must be one of .*did you mean ones"),
        ({"reduction": 0}, r"reduction=0 must be at least 1"),
        ({"gate_init": 1.0}, r"gate_init=1.0 must be between 0 and 1"),
        ({"gate_init": 0.9, "bias": False}, r"gate_init=0.9 needs a bias"),
    ],
)
def test_options_out_of_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        ProgressiveEnhancement(16, **options)


@pytest.mark.parametrize("kind", [MotionEnhancement, ProgressiveEnhancement])
def test_neither_runs_frame_by_frame(kind) -> None:
    with pytest.raises(TypeError, match=f"{kind.__name__} cannot run frame by frame"):
        step(nn.Sequential(kind(16)), clip(1), None)
