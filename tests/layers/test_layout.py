from __future__ import annotations

import pytest
import torch
from torch import nn

from kinema import create_model
from kinema.layers.layout import FrameConv, FramePool, FrameWise, fold, lay_out, unfold
from kinema.layers.nonlocal_block import NonLocal
from kinema.layers.taps import Taps
from kinema.layers.weights import adapt_stem, inflate


@pytest.fixture
def clip() -> torch.Tensor:
    return torch.randn(2, 3, 4, 8, 8).contiguous(memory_format=torch.channels_last_3d)


def test_fold_is_a_view_and_unfold_its_inverse(clip: torch.Tensor) -> None:
    frames = fold(clip)
    assert frames.data_ptr() == clip.data_ptr()
    assert frames.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(frames[5], clip[1, :, 1])
    assert torch.equal(unfold(frames, 2), clip)


def test_frame_conv_is_a_flat_3d_convolution(clip: torch.Tensor) -> None:
    conv = FrameConv(3, 6, 3, stride=2, padding=1)
    y = conv(clip)
    flat = torch.nn.functional.conv3d(
        clip, conv.weight[:, :, None], conv.bias, stride=(1, 2, 2), padding=(0, 1, 1)
    )
    assert torch.allclose(y, flat, atol=1e-5)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)


def test_frame_modules_see_single_frames(clip: torch.Tensor) -> None:
    for module in (FramePool(2), FrameWise(torch.nn.Conv2d(3, 2, 3))):
        whole = module(clip)
        parts = torch.cat([module(clip[:, :, t : t + 1]) for t in range(4)], dim=2)
        assert torch.allclose(whole, parts, atol=1e-6)


def test_taps_keep_what_is_wanted_and_name_what_never_came(clip: torch.Tensor) -> None:
    taps = Taps(["a", "slow.b"])
    assert taps("a", clip) is clip
    taps("unwanted", clip)
    taps.under("slow.")("b", clip)
    assert list(taps.found()) == ["a", "slow.b"]
    with pytest.raises(KeyError, match="no such taps: typo"):
        Taps(["typo"]).found()


def test_inflated_kernels_answer_a_still_video_like_the_image() -> None:
    image_weight, image = torch.randn(4, 3, 3, 3), torch.randn(1, 3, 8, 8)
    weight = inflate(image_weight, (4, 3, 5, 3, 3))
    still = image[:, :, None].expand(-1, -1, 5, -1, -1)
    y = torch.nn.functional.conv3d(still, weight)
    assert torch.allclose(y[:, :, 0], torch.nn.functional.conv2d(image, image_weight), atol=1e-5)
    with pytest.raises(ValueError, match="cannot inflate"):
        inflate(torch.randn(4, 3), (4, 3, 5, 3, 3))


def test_an_adapted_stem_answers_grey_as_before() -> None:
    weight = torch.randn(4, 3, 7, 7)
    assert adapt_stem(weight, 3) is weight
    assert torch.allclose(adapt_stem(weight, 10)[:, 7], weight.mean(1))


@pytest.mark.parametrize("affinity", ["embedded_gaussian", "gaussian", "dot_product"])
def test_non_local_is_the_written_out_formula(affinity: str) -> None:
    x = torch.randn(2, 8, 3, 4, 4)
    block = NonLocal(8, affinity)  # type: ignore[arg-type]
    block.reset_parameters()
    block.eval()
    assert torch.equal(block(x), x)
    torch.nn.init.ones_(block.bn.weight)
    embedded = affinity != "gaussian"
    query = (block.theta(x) if embedded else x).flatten(2).transpose(1, 2)
    key = block.pool(block.phi(x) if embedded else x).flatten(2)
    value = block.pool(block.g(x)).flatten(2).transpose(1, 2)
    scores = query @ key
    share = scores / key.shape[2] if affinity == "dot_product" else scores.softmax(-1)
    y = (share @ value).transpose(1, 2).unflatten(2, (3, 4, 4))
    assert torch.allclose(block(x), x + block.bn(block.out(y)), atol=1e-5)


def test_models_store_kernels_as_clips_are_stored() -> None:
    model = create_model("tpn_tsm_resnet18", width=8)
    flat = [x for x in model.parameters() if x.ndim == 4]
    assert len(flat) > 20
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in flat)
    conv = nn.Conv2d(4, 6, 3)
    before = conv.weight.detach().clone()
    lay_out(conv)
    assert torch.equal(conv.weight, before)
