"""Maps, similarities and channel weights: against values by hand, and what is written."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from kinema import cli, load
from kinema.tools.show.channels import channel_weights, check_block
from kinema.tools.show.similarity import alike, resemblance, show_similarity


def test_frames_are_compared_in_the_channels_that_are_alive() -> None:
    x = torch.zeros(1, 3, 3, 1, 2)
    x[0, 0, 0], x[0, 0, 1] = torch.tensor([1.0, 0.0]), torch.tensor([3.0, 0.0])
    x[0, 1, 0], x[0, 1, 1] = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
    matrix = alike(x)  # the third channel is dead, and so is the third frame
    assert matrix[0, 1].item() == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert matrix[0, 0] == matrix[1, 1] == 1
    assert matrix[2].isnan().all()
    found = resemblance("m", "layer1.0.temporal", x)
    assert found.similarity == pytest.approx(matrix[0, 1].item())
    assert found.place == "temporal"


def test_two_models_stand_beside_each_other(
    files: dict[str, Path], videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = next((videos / "test" / "left").glob("*.mp4"))
    words = ["show", "similarity", str(files["tsn"]), str(files["tein"]), str(video)]
    assert cli.main([*words, "--out", str(tmp_path), "--device", "cpu"]) == 0
    with (tmp_path / "similarity.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    blocks = ["layer2.1", "layer3.1", "layer4.1"]
    taps = [f"{block}.{place}" for block in blocks for place in ("before", "temporal")]
    assert [(row["model"], row["tap"]) for row in rows] == [
        (model, tap) for model in ("tsn", "tein") for tap in taps
    ]
    told = {(row["model"], row["tap"]): float(row["similarity"]) for row in rows}
    assert told["tsn", taps[0]] == told["tsn", taps[1]]  # it has no temporal module
    assert told["tein", taps[0]] != told["tein", taps[1]]
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "layer4.1.before" in capsys.readouterr().out
    assert cli.main([*words, "--blocks", "layer3.7", "--device", "cpu"]) == 2
    assert "no block 'layer3.7'" in capsys.readouterr().err


def test_similarities_are_means_over_all_videos(
    files: dict[str, Path], videos: Path, tmp_path: Path
) -> None:
    one, other = sorted((videos / "test" / "left").glob("*.mp4"))[:2]
    alone = [show_similarity([files["tein"]], video, tmp_path) for video in (one, other)]
    both = show_similarity([files["tein"]], one, tmp_path, also=[other])
    for row, first, second in zip(both, *alone, strict=True):
        assert row.similarity == pytest.approx((first.similarity + second.similarity) / 2, abs=1e-6)
    assert "mean of 2 videos" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("name", ["tdrl", "tein"])
def test_the_weights_are_those_the_block_applies(name: str, files: dict[str, Path]) -> None:
    model, clip = load(files[name]), torch.randn(1, 3, 4, 32, 32)
    found = channel_weights(model, clip, "layer2.0")
    parts = model.backbone.get_submodule("layer2.0.temporal")
    weighted = parts[0](found.maps[None])[0]  # (C, T, H, W); PEM and MEM come first in both
    assert torch.allclose(found.maps * found.weights.T[..., None, None], weighted, atol=1e-6)
    sorted_weights = found.weights.gather(1, found.order)
    assert (sorted_weights.diff(dim=1) <= 0).all()
    with pytest.raises(ValueError, match="no PEM or MEM in 'layer2.5'.*did you mean"):
        check_block(model, "layer2.5")


def test_what_stands_before_pem_is_applied_first(files: dict[str, Path]) -> None:
    model, clip = load(files["tdrl"]), torch.randn(1, 3, 4, 32, 32)
    wanted = channel_weights(model, clip, "layer1.1").weights
    block = model.backbone.get_submodule("layer1.1")
    block.temporal = torch.nn.Sequential(Double(), *block.temporal)
    found = channel_weights(model, clip, "layer1.1")
    assert not torch.allclose(found.weights, wanted)
    tap = model.run(clip, taps=["layer1.1.before"]).features["layer1.1.before"]
    assert torch.equal(found.maps, 2 * tap[0])


class Double(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_the_command_writes_every_weight(
    files: dict[str, Path], videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(next((videos / "test" / "left").glob("*.mp4")))
    out = ["--out", str(tmp_path), "--device", "cpu"]
    assert cli.main(["show", "channels", str(files["tdrl"]), video, *out]) == 0
    assert "layer1.0: channels" in capsys.readouterr().out
    with (tmp_path / "channels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 8
    for frame in range(4):
        own = sorted((r for r in rows if int(r["frame"]) == frame), key=lambda r: int(r["rank"]))
        weights = [float(row["weight"]) for row in own]
        assert weights == sorted(weights, reverse=True)
        assert [int(row["rank"]) for row in own] == list(range(8))
    assert "data:image/png" in (tmp_path / "page.html").read_text()
    assert cli.main(["show", "channels", str(files["tsn"]), video, *out]) == 2
    err = capsys.readouterr().err
    assert "tsn_resnet18 has no PEM or MEM" in err
    assert err.count("\n") == 1
