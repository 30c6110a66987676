"""Grad-CAM: against the formula by hand, over every family, and what is written."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from kinema import cli, create_model, load
from kinema.data import open_reader
from kinema.tools.show.cam import between, check_tap, default_tap, grad_cam, overlay, spread
from kinema.tools.show.look import look
from kinema.types import InputSpec, Record

FAMILIES = (
    "tsm_resnet18", "tsm_mobilenetv2", "tam_resnet18", "tdrl_resnet18", "teinet_resnet18",
    "blvnet_tam_resnet50", "p3d_resnet50", "slowonly_resnet50", "tpn_tsm_resnet50",
    "slowfast_resnet50", "c3d",
)  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_heat_at_its_own_tap(name: str) -> None:
    spec = InputSpec(frames=8, resize=64, crop=64)
    model = create_model(name, labels=["a", "b"], input=spec, width=8).eval()
    clip = torch.randn(1, 3, 8, 64, 64)
    tap = default_tap(model, clip)
    assert tap == {
        "tsm_mobilenetv2": "features.18", "slowfast_resnet50": "join", "c3d": "pool5",
    }.get(name, "layer4")  # fmt: skip
    cam, logits = grad_cam(model, clip, 1, tap)
    assert cam.shape[1:].numel() > 1
    assert cam.min() >= 0
    assert not cam.requires_grad
    assert torch.allclose(logits, model(clip)[0], atol=1e-6)
    assert all(p.grad is None for p in model.parameters())


def test_the_last_map_of_a_linear_head_is_weighted_by_the_class(files: dict[str, Path]) -> None:
    """For a mean of frames behind a linear layer, d logit / d A is its weights over T*H*W."""
    model = load(files["tsn"])
    clip = torch.randn(1, 3, 4, 64, 64)
    cam, _ = grad_cam(model, clip, 0, "layer4")
    maps = model.run(clip, taps=["layer4"]).features["layer4"][0].detach()  # (C, T, H, W)
    linear = next(m for m in model.head.modules() if isinstance(m, torch.nn.Linear))
    wanted = torch.einsum("c,cxyz->xyz", linear.weight[0].detach(), maps).relu()
    wanted /= maps[0].numel()
    assert torch.allclose(cam, wanted, atol=1e-6)
    other, _ = grad_cam(model, clip, 1, "layer4")
    assert not torch.allclose(cam, other)


def test_a_tap_that_does_not_count_is_told(files: dict[str, Path]) -> None:
    model = load(files["tsn"])
    with pytest.raises(ValueError, match="no tap 'layer5'.*did you mean layer4"):
        check_tap(model, "layer5")
    spec = InputSpec(frames=4, resize=32, crop=32)
    one = create_model("tpn_tsn_resnet50", input=spec, width=8, stages=["res3", "res4"]).eval()
    with pytest.raises(ValueError, match="layer4 of tpn_tsn_resnet50 does not reach.*layer3"):
        grad_cam(one, torch.randn(1, 3, 4, 32, 32), 0, "layer4")


def test_the_film_goes_from_frame_to_frame(files: dict[str, Path], videos: Path) -> None:
    model = load(files["tsn"])
    shown = look(model, next((videos / "test" / "left").glob("*.mp4")), film=True)
    assert shown.places.tolist() == [2, 6, 10, 14]
    assert shown.film_places.tolist() == list(range(2, 15))
    assert np.array_equal(shown.film[::4], shown.pictures)
    assert torch.equal(
        model.spec.input.to_input(torch.from_numpy(shown.pictures).movedim(-1, 0)[None]), shown.clip
    )
    heat = spread(torch.tensor([0.0, 2.0, 4.0, 0.0])[:, None, None].expand(4, 1, 1), shown)
    assert heat[:, 0, 0].tolist() == [0.0, 0.5, 1.0, 0.0]
    told = [float(one[0, 0]) for one in between(heat, shown)]
    assert told[:5] == [0.0, 0.125, 0.25, 0.375, 0.5]
    assert told[8] == 1.0
    assert np.array_equal(overlay(shown.film[0], np.zeros((32, 32), np.float32)), shown.film[0])


def test_a_model_of_flow_is_shown_the_flow_in_colours(videos: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    spec = InputSpec(modality="flow", stack=2, frames=3, resize=32, crop=32)
    model = create_model("tsn_resnet18", labels=["a", "b"], input=spec, width=8).eval()
    shown = look(model, next((videos / "test" / "left").glob("*.mp4")), film=True)
    assert shown.clip.shape == (1, 4, 3, 32, 32)
    assert shown.pictures.shape == (3, 32, 32, 3)
    assert shown.film_places.tolist() == list(range(shown.places[0], shown.places[-1] + 1))
    assert shown.pictures.max() == 255  # at rest, white
    assert shown.pictures.min() < 200  # something moves
    cam, _ = grad_cam(model, shown.clip, 1, "layer4")
    assert cam.min() >= 0


def test_the_command_writes_a_film_and_a_sheet(
    files: dict[str, Path], videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(next((videos / "test" / "left").glob("*.mp4")))
    words = ["show", "cam", str(files["tdrl"]), video, "--out", str(tmp_path), "--device", "cpu"]
    assert cli.main([*words, "--label", "right", "--tap", "layer2"]) == 0
    with closing(open_reader(Record("cam", tmp_path / "cam.mp4", None))) as reader:
        assert len(reader) == 13
        assert reader.read([0]).shape[2:] == (224, 224)
    assert (tmp_path / "cam.png").stat().st_size > 10_000
    told = capsys.readouterr().out
    assert told.startswith("right: ")
    assert sum(float(line.split()[-1].rstrip("%")) for line in told.splitlines()[1:5]) > 99
    assert cli.main([*words, "--label", "rihgt"]) == 2
    assert "no label 'rihgt' (did you mean right?)" in capsys.readouterr().err
