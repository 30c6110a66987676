"""Playback rates: which frames a clip has, how tempo is measured, who gains."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from kinema import cli, create_model, save
from kinema.tools.show.tempo import ClassGain, Motion, gains, tempo, trend
from kinema.types import InputSpec, Record

from .conftest import LABELS


def write_bar(path: Path, step: int, contrast: int) -> Record:
    """24 frames, 12 a second, of a bar that moves `step` pixels per frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": "1", "g": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for t in range(24):
            frame = np.full((64, 96, 3), 100, np.uint8)
            frame[:, np.arange(t * step, t * step + 16) % 96] += contrast
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return Record(path.name, path, 0)


def test_twice_as_fast_is_twice_the_tempo_whatever_the_contrast(tmp_path: Path) -> None:
    slow, fast, bold, still = (
        tempo(write_bar(tmp_path / f"{i}.mp4", step, contrast))
        for i, (step, contrast) in enumerate([(2, 60), (4, 60), (2, 120), (0, 60)])
    )
    assert slow.frames == 24
    assert fast.tempo == pytest.approx(2 * slow.tempo, rel=0.05)
    assert bold.tempo == pytest.approx(slow.tempo, rel=0.05)
    # 2 edges x 2 pixels of 96 change, of a bar that covers 1/6: 4/96 / (2 * 1/6 * 5/6), 12 a second
    assert slow.tempo == pytest.approx(12 * (4 / 96) / (2 / 6 * 5 / 6), rel=0.1)
    assert still.tempo < slow.tempo / 50


def test_models_of_flow_have_playback_rates_too(videos: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV (extra flow) is not installed")
    spec = InputSpec(modality="flow", frames=2, resize=32, crop=32)
    save(create_model("tsn_resnet18", labels=LABELS, input=spec, width=8), tmp_path / "flow.st")
    words = ["show", "tempo", str(tmp_path / "flow.st"), "--data", str(videos), "--rates", "2,4"]
    assert cli.main([*words, "--out", str(tmp_path), "--workers", "0", "--device", "cpu"]) == 0
    with (tmp_path / "tempo.csv").open(newline="") as file:
        assert [row["rate"] for row in csv.DictReader(file)] == ["2", "4"]


def test_rates_and_gains_of_two_models(
    files: dict[str, Path],
    videos: Path,
    tmp_path: Path,
    fed: list[tuple[str, InputSpec]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["show", "tempo", str(files["tsn"]), str(files["tein"]), "--data", str(videos)]
    words += ["--rates", "2,6", "--out", str(tmp_path), "--workers", "0", "--device", "cpu"]
    assert cli.main(words) == 0
    with (tmp_path / "tempo.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["rate"], row["short"]) for row in rows] == [
        ("tsn", "2", "0"), ("tsn", "6", "6"), ("tein", "2", "0"), ("tein", "6", "6"),
    ]  # fmt: skip
    assert rows[0]["own"] == "4.0"  # 16 frames in 4 segments
    assert [(name, spec.sampling, spec.stride) for name, spec in fed] == [
        ("tsn_resnet18", "dense", 2),
        ("tsn_resnet18", "dense", 6),
        ("teinet_resnet18", "dense", 2),
        ("teinet_resnet18", "dense", 6),
        ("tsn_resnet18", "segments", 1),
        ("teinet_resnet18", "segments", 1),
    ]
    with (tmp_path / "classes.csv").open(newline="") as file:
        classes = list(csv.DictReader(file))
    assert {row["label"] for row in classes} == {"left", "right"}
    for row in classes:
        assert float(row["gain"]) == float(row["second"]) - float(row["first"])
        assert float(row["variance"]) > 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 2
    assert "6 of 6" in page
    assert (tmp_path / "gain.png").stat().st_size > 2000
    assert "begin again" in capsys.readouterr().out


def test_the_trend_is_a_line_through_the_classes() -> None:
    def row(variance: float, gain: float) -> ClassGain:
        return ClassGain(
            label="a", videos=2, variance=variance, first=0.5, second=0.5 + gain, gain=gain
        )

    found = trend([row(0.0, 0.1), row(1.0, 0.3), row(2.0, 0.5), row(float("nan"), 9.0)])
    assert found == pytest.approx((0.1, 0.2))
    assert trend([row(1.0, 0.1), row(1.0, 0.2), row(1.0, 0.3)]) is None
    assert trend([row(1.0, 0.1), row(2.0, 0.2)]) is None


def test_three_models_are_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", "tempo", "a", "b", "c", "--data", "d"]) == 2
    assert "one model file or two, not 3" in capsys.readouterr().err


def test_a_video_of_several_labels_counts_in_each_of_their_classes() -> None:
    truth = np.array([[True, True], [True, False], [False, True]])
    spec = SimpleNamespace(labels=("run", "jump"), activation="sigmoid")
    model, ids = SimpleNamespace(spec=spec), ("a", "b", "c")
    unread = np.zeros((0, 2), bool)

    def found(*probs: tuple[float, float]) -> SimpleNamespace:
        return SimpleNamespace(ids=ids, targets=truth, probs=np.array(probs), unread_targets=unread)

    worse, better = (
        found((0.9, 0.1), (0.2, 0.8), (0.9, 0.1)),
        found((0.9, 0.1), (0.9, 0.1), (0.1, 0.9)),
    )
    motions = {"a": Motion(8, 1.0), "b": Motion(8, 4.0), "c": Motion(8, 1.0)}
    run, jump = gains(worse, better, [model, model], motions)
    assert (run.label, run.videos, run.first, run.second) == ("run", 2, 0.5, 1.0)
    assert run.variance == pytest.approx(2.0)  # log2: 0 and 2
    assert (jump.label, jump.videos, jump.variance) == ("jump", 2, 0.0)
    assert (jump.first, jump.second, jump.gain) == (0.0, 0.5, 0.5)
