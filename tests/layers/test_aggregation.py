from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from kinema.layers.aggregation import FrameSplit, PairSplit, TemporalAggregation, blend
from kinema.layers.shift import TemporalShift


def direct(x: Tensor, weights: list[Tensor], offsets: list[int]) -> Tensor:
    """The definition, frame by frame."""
    frames = []
    for t in range(x.shape[2]):
        near = [(t + o, w[:, 0]) for o, w in zip(offsets, weights, strict=True)]
        frames.append(sum(x[:, :, s] * w for s, w in near if 0 <= s < x.shape[2]))
    return torch.stack([f if isinstance(f, Tensor) else x[:, :, 0] * 0 for f in frames], 2)


def module(r: int, kind: type[TemporalAggregation] = TemporalAggregation) -> TemporalAggregation:
    torch.manual_seed(r)
    tam = kind(8, r)
    for weight in tam.weights:
        nn.init.normal_(weight)
    return tam.double()


@pytest.mark.parametrize("r", [1, 3, 5, 7])
@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("last", [False, True])
def test_sums_over_neighbours_also_where_r_exceeds_the_clip(
    r: int, frames: int, last: bool
) -> None:
    tam, x = module(r), torch.randn(2, 8, frames, 3, 3, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last_3d) if last else x
    wanted = direct(x, list(tam.weights), list(tam.offsets)).relu()
    assert torch.allclose(tam(x), wanted, atol=1e-12)
    assert tam(x).is_contiguous(
        memory_format=torch.channels_last_3d if last else torch.contiguous_format
    )


@pytest.mark.parametrize(("start", "stride"), [(0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("offsets", [(-1, 0, 1), (-1, 0), (0, 1), (1, 2), (-4, 4)])
def test_gradients(start: int, stride: int, offsets: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    weights = [torch.randn(3, 1, 1, 1, dtype=torch.float64, requires_grad=True) for _ in offsets]
    assert torch.autograd.gradcheck(
        lambda x, *w: blend(x, list(w), offsets, start=start, stride=stride), (x, *weights)
    )


@pytest.mark.parametrize("r", [1, 3, 5, 7])
def test_halves_of_pairs_equal_the_clip_with_every_frame_twice(r: int) -> None:
    pairs = torch.randn(2, 8, 5, 2, 2, dtype=torch.float64)
    doubled = module(r)(pairs.repeat_interleave(2, 2))
    frames = module(r, FrameSplit)(pairs.repeat_interleave(2, 2))
    for half, got in enumerate(module(r, PairSplit)(pairs)):
        assert torch.allclose(got, doubled[:, :, half::2], atol=1e-12)
        assert torch.allclose(frames[half], doubled[:, :, half::2], atol=1e-12)


def test_starts_as_a_shift_on_request() -> None:
    x = torch.rand(2, 16, 4, 3, 3)
    assert torch.equal(TemporalAggregation(16, init="tsm")(x), TemporalShift(8)(x))
    assert torch.equal(TemporalAggregation(16, r=5, init="tsm")(x), TemporalShift(8)(x))
    assert torch.equal(TemporalAggregation(16, init="identity")(x), x)


def test_official_start_has_the_deviation_of_the_authors_code() -> None:
    torch.manual_seed(0)
    weights = torch.cat([w.detach() for w in TemporalAggregation(2048, r=7).weights])
    assert abs(float(weights.std()) - (2 / 2048) ** 0.5) < 1e-3


@pytest.mark.parametrize("r", [3, 5])
@pytest.mark.parametrize("kind", [TemporalAggregation, FrameSplit, PairSplit])
def test_both_spellings_agree(r: int, kind: type[TemporalAggregation]) -> None:
    tam, x = module(r, kind), torch.randn(2, 8, 6, 3, 3, dtype=torch.float64)
    # the backend `eager` runs what was captured, which is the compilers' spelling
    captured = torch.compile(tam, backend="eager", fullgraph=True, dynamic=True)(x)
    for a, b in zip(captured, tam(x), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_keeps_one_map_whatever_r_is() -> None:
    kept: dict[int, int] = {}
    x = torch.randn(1, 8, 6, 4, 4, requires_grad=True)
    for r in (1, 7):
        total = 0

        def count(tensor: Tensor) -> Tensor:
            nonlocal total
            total += tensor.numel() * (tensor.numel() >= x.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda t: t):
            TemporalAggregation(8, r)(x)
        kept[r] = total // x.numel()
    assert kept[1] == kept[7] <= 2  # the input, and what the ReLU gives


@pytest.mark.parametrize(("r", "init", "text"), [
    (2, "official", "tam_r=2 must be an odd"), (0, "official", "odd"),
    (1, "tsm", "3 or more"), (3, "ones", "one of official, identity, tsm"),
])  # fmt: skip
def test_wrong_options_are_named(r: int, init: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        TemporalAggregation(8, r, init)  # type: ignore[arg-type]
