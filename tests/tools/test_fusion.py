"""Two streams as one answer: the arithmetic, the matching, the search, and what is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinema.cli import main
from kinema.data.unread import Unread
from kinema.engine.matched import match
from kinema.engine.metrics import summarise
from kinema.engine.report import write_report
from kinema.engine.scores import read_scores, write_views
from kinema.tools.fusion import fuse
from kinema.tools.study.summary import read_answers

LABELS = ["run", "jump", "swim"]


def stream(
    path: Path,
    logits: Any,
    targets: Any = (0, 1, 2, 1),
    *,
    ids: str = "abcd",
    labels: list[str] = LABELS,
    activation: str = "softmax",
    unread: dict[str, Any] | None = None,
    videos: str = "/videos",
) -> Path:
    """A scores file of videos a, b, c, d; logits (n, K) or (n, V, K)."""
    values = np.asarray(logits, np.float32)
    values = values[:, None] if values.ndim == 2 else values
    missed = unread or {}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_views(
        path,
        ids=list(ids),
        paths=[f"{videos}/{i}.mp4" for i in ids],
        targets=np.asarray(targets),
        logits=values,
        spans=np.tile([0.0, 1.0], (*values.shape[:2], 1)),
        about={
            "labels": list(labels),
            "protocol": f"{values.shape[1]}x1",
            "average": "prob",
            "activation": activation,
            "fingerprint": path.parent.name,
        },
        unread=[Unread(id=i, cause=f"{i}.mp4 is broken") for i in missed],
        unread_targets=np.asarray(list(missed.values())),
    )
    return path


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """RGB knows a and b, flow knows c and, less surely, the rest; flow has two views."""
    rgb = [[3, 0, 0], [0, 4, 0], [2, 0, 1], [2, 0, 0]]
    flow = [[[1, 0, 0], [1, 1, 0]], [[1, 0, 0]] * 2, [[0, 0, 5], [0, 0, 3]], [[0, 4, 0], [0, 2, 0]]]
    return (
        stream(tmp_path / "rgb" / "scores.parquet", rgb),
        stream(tmp_path / "flow" / "scores.parquet", flow),
    )


def test_probabilities_and_logits_are_averaged_as_told(two: tuple[Path, Path]) -> None:
    rgb, flow = (read_scores(path) for path in two)
    views = np.array([[1, 0.5, 0], [1, 0, 0], [0, 0, 4], [0, 3, 0]])
    before = (rgb.probs + 1.5 * flow.probs) / 2.5
    after = softmax((rgb.logits + 1.5 * views) / 2.5)
    found = fuse(two, weights=(1, 1.5))
    assert np.allclose(found.probs, before, atol=1e-6)
    assert np.allclose(fuse(two, weights=(2, 3), average="logit").probs, after, atol=1e-6)
    assert np.allclose(fuse(two).probs, (rgb.probs + flow.probs) / 2, atol=1e-6)
    assert [s.weight for s in found.streams] == [0.4, 0.6]
    assert [s.name for s in found.streams] == ["rgb", "flow"]
    assert [s.protocol for s in found.streams] == ["1x1", "2x1"]
    assert [s.metrics.top1 for s in found.streams] == [0.5, 0.75]
    assert found.metrics.top1 == 1.0
    assert [s.gain for s in found.streams] == [0.5, 0.25]
    assert found.streams[1].gain_interval[0] == 0 < found.streams[0].gain_interval[1] <= 1


def test_a_stream_alone_is_itself(two: tuple[Path, Path]) -> None:
    for average in ("prob", "logit"):
        alone = fuse(two, weights=(1, 0), average=average)
        assert np.allclose(alone.probs, read_scores(two[0]).probs, atol=1e-6)
        assert alone.streams[0].gain == 0


def test_videos_go_by_id_and_classes_by_name(two: tuple[Path, Path], tmp_path: Path) -> None:
    order, columns = [2, 0, 3, 1], [1, 2, 0]
    turned = read_scores(two[1]).logits[order][:, columns]
    targets = [columns.index(label) for label in (2, 0, 1, 1)]
    names = [LABELS[c] for c in columns]
    other = stream(tmp_path / "x.parquet", turned, targets, ids="cadb", labels=names)
    same = fuse(two, average="logit")
    found = fuse((two[0], other), average="logit")
    assert found.ids == ("a", "b", "c", "d")
    assert np.allclose(found.probs, same.probs, atol=1e-6)
    assert found.metrics.top1 == same.metrics.top1


def test_what_is_written_is_read_like_any_scores(two: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    fusion = fuse(two, weights=(1, 1.5), out=out)
    scores = read_scores(out / "scores.parquet")
    assert np.array_equal(scores.probs, fusion.probs)
    assert summarise(scores.probs, scores.targets) == fusion.metrics
    assert scores.paths[0] == Path("/videos/a.mp4")
    assert scores.spans.tolist() == [[0, 1]] * 4
    assert read_answers(out / "scores.parquet").hits.tolist() == [True] * 4
    again = fuse((out, two[0]), weights=(1, 0))
    assert np.allclose(again.probs, fusion.probs, atol=1e-6)
    card = json.loads((out / "card.json").read_text())
    assert [s["weight"] for s in card["fusion"]["streams"]] == [0.4, 0.6]
    page = (out / "report.html").read_text()
    assert "the softmax comes before the sum" in page
    assert "2 streams" in page
    assert "+50.0" in page
    assert 'id="confusion"' in page
    assert write_report(out).read_text() == page


def test_a_video_that_one_stream_could_not_read_is_not_recognised(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    fewer = read_scores(two[1]).logits[:3]
    flow = stream(tmp_path / "f" / "f.parquet", fewer, (0, 1, 2), ids="abc", unread={"d": 1})
    fusion = fuse((flow, two[0]), out=tmp_path / "out")
    assert fusion.ids == ("a", "b", "c")
    assert (fusion.metrics.clips, fusion.metrics.unread, fusion.metrics.top1) == (4, 1, 0.75)
    assert fusion.streams[1].metrics.clips == 4
    assert fusion.streams[1].metrics.unread == 0
    scores = read_scores(tmp_path / "out" / "scores.parquet")
    assert [one.cause for one in scores.missed] == ["d.mp4 is broken"]
    assert scores.unread.tolist() == [1]
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["unread"] == {"d": "d.mp4 is broken"}


def test_several_labels_and_the_sigmoid(tmp_path: Path) -> None:
    truth = np.array([[1, 1, 0], [0, 0, 1]], bool)
    rng = np.random.default_rng(0)
    logits = [rng.normal(size=(2, 3)), 60 * rng.normal(size=(2, 3))]  # some are certain
    files = [
        stream(tmp_path / f"{i}.parquet", x, truth, ids="ab", activation="sigmoid",
               unread={"z": truth[0]})
        for i, x in enumerate(logits)
    ]  # fmt: skip
    fusion = fuse(files, out=tmp_path / "out")
    singles = [read_scores(file).probs for file in files]
    assert np.allclose(fusion.probs, sum(singles) / 2, atol=1e-6)
    scores = read_scores(tmp_path / "out" / "scores.parquet")
    assert np.array_equal(scores.targets, truth)
    assert np.array_equal(scores.unread, truth[:1])
    assert scores.activation == "sigmoid"
    assert np.isfinite(fusion.metrics.loss)


def test_a_search_takes_the_best_of_other_videos(two: tuple[Path, Path], tmp_path: Path) -> None:
    # Alone each knows one of two; together both, only if the weight of the second is small.
    val = [
        stream(tmp_path / "v" / "rgb.parquet", [[4, 0, 0], [0.5, 0.4, 0]], (0, 1), ids="xy"),
        stream(tmp_path / "v" / "flow.parquet", [[0, 9, 0], [0, 1, 0]], (0, 1), ids="xy"),
    ]
    fusion = fuse(two, average="logit", search=val, steps=10, out=tmp_path / "out")
    assert len(fusion.search) == 11
    assert fusion.searched == 2
    best = fusion.search[0]
    assert best.top1 == 1.0
    good = [one for one in fusion.search if one.top1 == 1.0]
    assert sorted(one.weights[1] for one in good) == [0.1, 0.2, 0.3]
    assert best.loss == min(one.loss for one in good)
    assert tuple(s.weight for s in fusion.streams) == best.weights
    by_hand = fuse(two, average="logit", weights=best.weights)
    assert np.array_equal(fusion.probs, by_hand.probs)
    with (tmp_path / "out" / "fusion.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["weight of rgb"]) for row in rows[:2]] == [1.0, 0.9]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "The weights are the best of 11 on 2 other videos" in page
    assert "weight of flow" in page
    fuse(two, out=tmp_path / "out")
    assert not (tmp_path / "out" / "fusion.csv").exists()


def test_three_streams_share_in_every_way(two: tuple[Path, Path], tmp_path: Path) -> None:
    def files(ids: str, folder: str) -> list[Path]:
        rng = np.random.default_rng(1)
        targets = rng.integers(0, 3, len(ids))
        return [
            stream(tmp_path / folder / f"{i}.parquet", rng.normal(size=(len(ids), 3)), targets,
                   ids=ids)
            for i in range(3)
        ]  # fmt: skip

    fusion = fuse(files("abcd", "test"), search=files("efgh", "val"), steps=4)
    tried = {one.weights for one in fusion.search}
    assert len(tried) == len(fusion.search) == 15
    assert {round(sum(weights), 9) for weights in tried} == {1.0}
    assert (0.25, 0.5, 0.25) in tried
    with pytest.raises(ValueError, match="steps=400 gives 80,601 weightings of 3 streams"):
        fuse(files("abcd", "test"), search=files("efgh", "val"), steps=400)


def test_a_split_that_counts_anew_is_no_overlap(two: tuple[Path, Path], tmp_path: Path) -> None:
    val = [
        stream(tmp_path / "v" / f"{i}.parquet", read_scores(file).logits, videos="/val")
        for i, file in enumerate(two)
    ]
    assert fuse(two, search=val, steps=2).searched == 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weights": (1,)}, r"weights=\[1\] must be 2 numbers, one per scores file"),
        ({"weights": (0, 0)}, "must be numbers from 0 on, and one of them above 0"),
        ({"weights": (2, -1)}, r"weights=\[2, -1\] must be numbers from 0 on"),
        ({"weights": (1, float("nan"))}, "must be numbers from 0 on"),
        ({"weights": (1, 1), "search": []}, "exclude each other"),
        ({"average": "mean"}, "average='mean' must be one of prob, logit"),
    ],
)
def test_wrong_options(two: tuple[Path, Path], options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        fuse(two, **options)


def test_a_search_that_cannot_be(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one scores file per stream, 2, got 1"):
        fuse(two, search=two[:1])
    with pytest.raises(ValueError, match="one scores file per stream, 2, got 3"):
        fuse(two, search=[*two, two[0]])
    with pytest.raises(ValueError, match=r"has 4 videos of the test, such as 'a'; weights must"):
        fuse(two, search=two)
    val = [
        stream(tmp_path / "v" / f"{i}.parquet", np.eye(3), (0, 1, 2), ids="xyz") for i in range(2)
    ]
    with pytest.raises(ValueError, match="steps=0 must be at least 1"):
        fuse(two, search=val, steps=0)
    other = [
        stream(tmp_path / "w" / f"{i}.parquet", np.eye(2), (0, 1), ids="xy", labels=["p", "q"])
        for i in range(2)
    ]
    with pytest.raises(ValueError, match="its 2 labels are not the 3 of the test"):
        fuse(two, search=other)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"labels": ["run", "jump", "dive"]},
         "it alone has 'dive' and it has no 'swim'; both models must know the same classes"),
        ({"activation": "sigmoid"}, "come from the sigmoid and the other's from the softmax"),
        ({"ids": "abcx"}, "it alone has 1, such as 'x' and it lacks 1, such as 'd'; test both"),
        ({"targets": (0, 1, 2, 0)}, "1 videos have other labels there, such as 'd': run, and jump"),
    ],
)  # fmt: skip
def test_streams_that_do_not_go_together(
    two: tuple[Path, Path], tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    other = stream(tmp_path / "other.parquet", np.eye(4, 3), **changes)
    with pytest.raises(ValueError, match=text) as told:
        match((two[0], other))
    assert str(told.value).startswith(f"{other} does not go with {two[0]}: ")
    assert "\n" not in str(told.value)


def test_files_that_are_no_streams(two: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="scores files of two streams or more, got 1"):
        fuse(two[:1])
    with pytest.raises(ValueError, match="is given twice; every file counts once"):
        fuse((two[0], two[0].parent))
    with pytest.raises(FileNotFoundError, match=r"no scores file .*gone.parquet; `kinema eval"):
        fuse((two[0], tmp_path / "gone.parquet"))
    (tmp_path / "text.parquet").write_text("id,view")
    with pytest.raises(ValueError, match=r"text.parquet must be a scores file as `kinema eval"):
        fuse((two[0], tmp_path / "text.parquet"))
    with pytest.raises(ValueError, match="holds a stream's own scores.parquet"):
        fuse(two, out=two[0].parent)
    unread = {"a": 0, "b": 1, "c": 2, "d": 1}
    lost = stream(tmp_path / "l.parquet", [[1, 0, 0]], [0], ids="z", unread=unread)
    first = stream(tmp_path / "m.parquet", np.eye(4, 3), unread={"z": 0})
    with pytest.raises(ValueError, match="no video that all of the streams could read"):
        fuse((first, lost))


def test_command_line(
    two: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fuse", *(str(path.parent) for path in two), "--weights", "1,1.5"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "2 streams on 4 videos, probabilities averaged" in told
    (row,) = [line.split() for line in told.splitlines() if line.startswith("  flow")]
    assert row[1:4] == ["0.600", "2x1", "75.0%"]
    assert row[-4:] == ["+25.0", "(+0.0", "to", "+75.0)"]
    assert (tmp_path / "out" / "report.html").exists()
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["top1"] == 1.0
    assert main([*words[:3], "--weights", "1,much"]) == 2
    assert capsys.readouterr().err == (
        "kinema: error: --weights 1,much must be numbers, such as 1,1.5\n"
    )
