"""The report: complete in itself, right figures, and honest about what is missing."""

from __future__ import annotations

import base64
import csv
import json
import re
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from matplotlib.image import imread, imsave

from kinema.engine.mistakes import film_strip, rank_mistakes
from kinema.engine.report import write_report
from kinema.engine.scores import read_scores

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Tags(HTMLParser):
    """Counts tags, keeps what is referred to, and notices tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        self.links += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def write_scores(
    folder: Path, logits: np.ndarray, targets: np.ndarray, *, labels: list[str], path: str = "gone"
) -> None:
    """(n, V, K) logits as a scores file; rows are shuffled, as a reader must not rely on order."""
    n, views, _ = logits.shape
    rows = [
        {
            "id": f"clip{i}",
            "path": f"{path}{i}.mp4",
            "target": int(targets[i]),
            "view": v,
            "start": 0.1 * v,
            "end": 0.3 + 0.1 * v,
            "logits": logits[i, v].astype(np.float32).tolist(),
        }
        for i in range(n)
        for v in range(views)
    ]
    about = {"labels": labels, "protocol": f"{views}x1", "average": "prob", "fingerprint": "f"}
    order = np.random.default_rng(0).permutation(len(rows))
    order = [0, *(int(i) for i in order if i != 0)]
    table = pa.Table.from_pylist([rows[i] for i in order])
    table = table.replace_schema_metadata({k: json.dumps(v) for k, v in about.items()})
    folder.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, folder / "scores.parquet")


def make_run(folder: Path, classes: int, *, views: int = 2) -> Path:
    """A run folder with scores, history, card and recipe."""
    rng = np.random.default_rng(classes)
    targets = rng.integers(0, classes, 60)
    logits = rng.normal(size=(60, views, classes))
    logits[np.arange(60), :, targets] += 2
    labels = [f"class <{i}> & co" for i in range(classes)]
    write_scores(folder, logits, targets, labels=labels)
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        names = "phase,epoch,step,lr,train_loss,train_top1,val_loss,val_top1,data_share"
        writer.writerow(names.split(","))
        writer.writerow([1, 1, 10, 0.1, 2.0, 0.3, 1.9, 0.35, 0.4])
        writer.writerow([1, 2, 20, 0.05, 1.5, 0.5, "", "", 0.4])
        writer.writerow([2, 1, 30, 0.01, 1.0, 0.7, 1.2, 0.65, 0.4])
    card = {"model": "tsm_resnet18", "versions": {"torch": "2.13.0"}, "seed": 0, "commit": None}
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "recipe.yaml").write_text("model: tsm_resnet18\n")
    return folder


@pytest.mark.parametrize("classes", [2, 8, 101])
def test_page_is_whole_and_needs_nothing_else(tmp_path: Path, classes: int) -> None:
    page = write_report(make_run(tmp_path / "run", classes)).read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    assert all(link.startswith(("data:", "#")) for link in tags.links)
    assert not re.search(r"@import|url\((?!#)", page)
    assert tags.count["svg"] == 5  # three curves, confusion, reliability
    assert page.count("prefers-color-scheme: dark") == 1
    assert "#010101" not in page  # every drawing colour became one of the page's
    assert f"{classes} classes" in page
    assert f"chance {100 / classes:.1f} %" in page
    assert ("Top-5" in page) == (classes > 5)


def test_labels_are_escaped_everywhere(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "run", 8)).read_text(encoding="utf-8")
    assert "class <" not in page
    assert "class &lt;0&gt; &amp; co" in page


def test_waiting_for_data_is_said(tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "run", 2)).read_text(encoding="utf-8")
    assert "waited for clips 40.0 % of the time" in page


def test_figures_are_those_of_the_scores(tmp_path: Path) -> None:
    # Four videos of two views; averaged probabilities decide: right, right, wrong, right.
    logits = np.zeros((4, 2, 2))
    logits[0] = [[4, 0], [0, 1]]
    logits[1] = [[2, 0], [2, 0]]
    logits[2] = [[3, 0], [3, 0]]
    logits[3] = [[0, 2], [0, 2]]
    write_scores(tmp_path, logits, np.array([0, 0, 1, 1]), labels=["a", "b"])
    scores = read_scores(tmp_path / "scores.parquet")
    by_id = dict(zip(scores.ids, scores.probs.argmax(1), strict=True))
    assert by_id == {"clip0": 0, "clip1": 0, "clip2": 0, "clip3": 1}
    assert scores.view_top1 == pytest.approx(5 / 8)
    assert scores.spans[0].tolist() == pytest.approx([0.0, 0.4])
    assert [scores.ids[i] for i in rank_mistakes(scores)] == ["clip2"]
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "75.0 %" in page
    assert "1 of 4 videos are wrong" in page
    assert "a single view alone is right 62.5 % of the time" in page
    assert "b \u2192 a: 1 of 2" in page


def test_mistakes_come_most_confident_first(tmp_path: Path) -> None:
    logits = np.array([[[1.0, 0]], [[5.0, 0]], [[3.0, 0]], [[0, 9.0]]])
    write_scores(tmp_path, logits, np.ones(4, int), labels=["a", "b"])
    scores = read_scores(tmp_path / "scores.parquet")
    assert [scores.ids[i] for i in rank_mistakes(scores)] == ["clip1", "clip2", "clip0"]


def test_a_missing_video_is_a_note_and_a_present_one_a_picture(tmp_path: Path) -> None:
    logits = np.tile([[[2.0, 0]]], (2, 1, 1))
    write_video(tmp_path / "clip0.mp4")
    write_scores(tmp_path, logits, np.array([1, 1]), labels=["a", "b"], path=str(tmp_path / "clip"))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("no picture:") == 1
    assert "clip1.mp4" in page


def test_film_strip_of_stored_flow_is_in_colours(tmp_path: Path) -> None:
    for plane, level in (("x", 255), ("y", 128)):
        for number in (1, 2):
            grey = np.full((24, 24), level, np.uint8)
            imsave(tmp_path / f"flow_{plane}_0000{number}.jpg", grey, cmap="gray", vmin=0, vmax=255)
    data = base64.b64decode(film_strip(tmp_path, 0.0, 0.1).partition(",")[2])
    red, green, blue = imread(BytesIO(data), format="jpg").reshape(-1, 3).mean(axis=0)
    assert red > 240  # to the right
    assert green == pytest.approx(64, abs=6)
    assert blue == pytest.approx(64, abs=6)


def test_film_strip_shows_four_frames_in_order(tmp_path: Path) -> None:

    write_video(tmp_path / "v.mp4")
    uri = film_strip(tmp_path / "v.mp4", 0.0, 0.9)
    picture = imread(BytesIO(base64.b64decode(uri.partition(",")[2])), format="jpg")
    assert picture.shape == (96, 4 * 96, 3)
    means = [float(picture[:, 96 * i + 20 : 96 * i + 76].mean()) for i in range(4)]
    assert means == pytest.approx([20, 80, 140, 200], abs=6)  # frames 0, 3, 6, 9


def test_perfect_scores_and_no_history(tmp_path: Path) -> None:
    logits = np.array([[[9.0, 0]], [[0, 9.0]]])
    write_scores(tmp_path, logits, np.array([0, 1]), labels=["a", "b"])
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "None of the 2 videos is wrong" in page
    assert 'id="training"' not in page


def test_history_alone_makes_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, 2)
    (run / "scores.parquet").unlink()
    page = write_report(run).read_text(encoding="utf-8")
    assert 'id="training"' in page
    assert 'id="confusion"' not in page


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must be a run folder with scores\.parquet"):
        write_report(tmp_path)


def test_scores_with_uneven_views_are_refused(tmp_path: Path) -> None:
    write_scores(tmp_path, np.zeros((2, 2, 2)), np.array([0, 1]), labels=["a", "b"])
    table = parquet.read_table(tmp_path / "scores.parquet")
    parquet.write_table(table.slice(0, 3), tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match="same number of views"):
        read_scores(tmp_path / "scores.parquet")


def test_a_foreign_parquet_file_is_refused(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": ["a"]}), tmp_path / "scores.parquet")
    with pytest.raises(ValueError, match=r"must be a scores file .* lacks end, logits"):
        read_scores(tmp_path / "scores.parquet")


def write_video(path: Path) -> None:
    """Ten flat frames of grey 20, 40, ..., 200 at ten per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for level in range(20, 201, 20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
