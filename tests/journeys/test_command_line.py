"""The command line from the first video to a prediction, on a set that is made in seconds."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kinema import checkpoint
from kinema.cli import main
from kinema.engine.config import load_recipe
from kinema.engine.scores import read_scores
from waiting import ended, wait_for

CLASSES = ("left", "right", "grow")
SMALL = (
    "model_args={width: 8, dropout: 0.0}",
    "input={frames: 8, resize: 32, crop: 32}",
    "phases=[{frames: 4, epochs: 2, batch: 6}, {frames: 8, steps: 3, batch: 6}]",
    "augment={crop: center, flip: false}",
    "eval=2x1",
    "workers=0",
)
FILES = {
    "model.safetensors", "last.safetensors", "resume.pt", "recipe.yaml", "metrics.csv", "log.jsonl",
    "scores.parquet", "report.html", "card.json",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def few_threads() -> None:
    """The models here are too small for more than one."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight training, two validation and two test clips of three kinds of motion."""
    folder = tmp_path_factory.mktemp("journey") / "motion"
    words = f"data make {folder} --classes {','.join(CLASSES)} --train 8 --val 2 --test 2"
    assert main([*words.split(), "--size", "32", "--frames", "8", "--workers", "0"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(motion: Path) -> Path:
    """A finished run of two phases."""
    out = motion.parent / "run"
    words = ["train", str(motion), "--model", "tsm_resnet18", "--out", str(out), "--name", "first"]
    assert main([*words, *SMALL]) == 0
    return out


def test_make_says_what_the_set_is(motion: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"data make {motion} --classes {','.join(CLASSES)} --train 8 --val 2 --test 2"
    assert main([*words.split(), "--size", "32", "--frames", "8"]) == 0  # all there: nothing to do
    out = capsys.readouterr().out
    assert "24 train, 6 val, 6 test clips of 3 classes" in out
    assert "chance 33.3%" in out
    assert "66.7% at most" in out  # left and right are each other's reversal, grow stands alone


def test_a_run_leaves_everything(run: Path) -> None:
    assert {path.name for path in run.iterdir()} >= FILES
    assert not list(run.glob("*.part"))
    recipe = load_recipe(run / "recipe.yaml")
    assert (recipe.name, recipe.model, len(recipe.phases)) == ("first", "tsm_resnet18", 2)
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["phase"] for row in rows] == ["1", "1", "2"]
    model = checkpoint.load(run / "model.safetensors")
    assert sorted(model.spec.labels) == sorted(CLASSES)
    assert model.spec.protocol.name == "2x1"
    card = json.loads((run / "card.json").read_text())
    assert card["metrics"]["split"] == "test"
    assert card["metrics"]["clips"] == 6


def test_eval_repeats_the_figures_of_the_run(
    run: Path, motion: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", str(run / "model.safetensors"), str(motion), "--workers", "0"]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    figures = json.loads((run / "card.json").read_text())["metrics"]
    assert told["split"] == figures.pop("split")
    assert told["protocol"] == "2x1"
    assert told["metrics"] == figures


def test_eval_writes_scores_and_report(
    run: Path, motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", str(run / "model.safetensors"), str(motion), "--split", "val"]
    assert main([*words, "--workers", "0", "--protocol", "1x3", "--out", str(tmp_path / "e")]) == 0
    out = capsys.readouterr().out
    assert "tsm_resnet18 on 6 videos of val, protocol 1x3" in out
    for name in CLASSES:
        assert f"  {name} " in out
    scores = read_scores(tmp_path / "e" / "scores.parquet")
    assert (scores.protocol.name, len(scores.ids)) == ("1x3", 6)
    assert "protocol 1x3" in (tmp_path / "e" / "report.html").read_text(encoding="utf-8")
    card = json.loads((tmp_path / "e" / "card.json").read_text())
    assert card["data"]["split"] == "val"


def test_eval_on_a_folder_without_splits_takes_all_and_says_what_was_seen(
    run: Path, motion: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["eval", str(run / "model.safetensors"), str(motion / "train"), "--workers", "0"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "tsm_resnet18 on all 24 videos, protocol 2x1" in out
    assert "note: the model was trained on these videos" in err
    assert main([*words, "--json", "--split", "val"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["split"] == "val"
    assert json.loads(out)["metrics"]["clips"] < 24


def test_predict_gives_the_numbers_of_the_test(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = read_scores(run / "scores.parquet")
    paths = [str(path) for path in scores.paths]
    assert main(["predict", str(run / "model.safetensors"), *paths, "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["video"] for line in lines] == paths
    for line, probs, span in zip(lines, scores.probs, scores.spans, strict=True):
        found = {one["label"]: one["probability"] for one in line["top"]}
        assert found == pytest.approx(dict(zip(scores.labels, probs, strict=True)), abs=1e-6)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert [line["start"], line["end"]] == pytest.approx(span.tolist(), abs=2e-3)


def test_predict_for_people(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = read_scores(run / "scores.parquet").paths[0]
    assert main(["predict", str(run / "model.safetensors"), str(video), "--top", "2"]) == 0
    first, *labels = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{video}  0.")
    assert first.endswith("s, protocol 2x1")
    assert len(labels) == 2
    assert all(line.split()[0].endswith("%") for line in labels)


@pytest.mark.parametrize(
    ("number", "workers"), [(signal.SIGINT, 0), (signal.SIGINT, 1), (signal.SIGTERM, 1)]
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    run: Path, motion: Path, tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    """Its workers get the signal too, as from a terminal or a batch system."""
    out = tmp_path / "run"
    words = ["train", str(motion), "--model", "tsm_resnet18", "--out", str(out), "--name", "first"]
    process = started([*words, *SMALL, f"workers={workers}"], out)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "--resume" in err
    assert "Traceback" not in err
    assert ended(process.pid)
    assert not (out / "card.json").exists()
    assert main([*words, *SMALL, "--resume"]) == 0
    ours, theirs = (checkpoint.load(f / "last.safetensors").state_dict() for f in (out, run))
    assert all(torch.equal(x, theirs[name]) for name, x in ours.items())


def test_workers_end_with_a_killed_run(motion: Path, tmp_path: Path) -> None:
    words = ["train", str(motion), "--model", "tsm_resnet18", "--out", str(tmp_path / "run")]
    process = started([*words, *SMALL, "workers=1"], tmp_path / "run")
    process.kill()
    process.wait()
    wait_for(lambda: ended(process.pid))
    process.communicate(timeout=60)


def test_a_new_run_starts_from_the_weights_of_an_old_one(
    run: Path, motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in CLASSES[:2]:
        shutil.copytree(motion / "train" / name, tmp_path / "two" / "train" / name)
        shutil.copytree(motion / "val" / name, tmp_path / "two" / "val" / name)
    words = ["train", str(tmp_path / "two"), "--model", "tsm_resnet18", *SMALL[:2], *SMALL[3:]]
    start = ["--init", str(run / "model.safetensors"), "--out", str(tmp_path / "run")]
    assert main([*words, *start, "phases=[{frames: 8, steps: 1, batch: 6, lr: 0.01}]"]) == 0
    err = capsys.readouterr().err
    assert "classifier: new" in err
    assert "new: head." in err


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("train {empty} --model tsm_resnet18", ["empty"]),
        ("train {gone} --model tsm_resnet18", ["gone"]),
        ("train {one} --model tsm_resnet18 --out {tmp}/r", ["one"]),
        ("train {motion} --model tsm_resnet81", ["tsm_resnet81", "did you mean tsm_resnet18"]),
        ("train {motion} --model tsm_resnet18 optim.momentun=1", ["momentun", "momentum"]),
        ("train {motion} --model tsm_resnet18 model_args.shift=1", ["shift"]),
        ("train {motion} --model tsm_resnet18 --resume --out {tmp}/none", ["none", "resume"]),
        ("train {motion} --model tsm_resnet18 --out {run}", ["run", "resume"]),
        ("eval {model} {strange}", ["spin", "labels"]),
        ("eval {model} {motion} --protocol 2x2", ["2x2", "VIEWSxCROPS"]),
        ("eval {model} {gone}", ["gone"]),
        ("predict {model} {cut}", ["cut.mp4"]),
        ("predict {model} {gone}.mp4", ["gone.mp4"]),
        ("predict {text} {cut}", ["text.safetensors"]),
        (
            "convert {text} --source open-mmlab/mmaction3 --model tsm_resnet50 --out o",
            ["mmaction3"],
        ),
    ],
)
def test_wrong_input_is_one_line(
    words: str,
    parts: list[str],
    run: Path,
    motion: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "empty").mkdir()
    shutil.copytree(motion / "train" / "left", tmp_path / "one" / "spin")
    for name, source in (("spin", "left"), ("grow", "grow")):
        shutil.copytree(motion / "train" / source, tmp_path / "strange" / "test" / name)
        shutil.copytree(motion / "train" / source, tmp_path / "strange" / "train" / name)
    video = next((motion / "test" / "left").glob("*.mp4"))
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:500])
    (tmp_path / "text.safetensors").write_text("no model")
    places = {name: tmp_path / name for name in ("empty", "gone", "one", "strange")}
    command = words.format(
        **places, motion=motion, run=run, tmp=tmp_path, model=run / "model.safetensors",
        cut=tmp_path / "cut.mp4", text=tmp_path / "text.safetensors",
    )  # fmt: skip
    assert main(command.split()) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("kinema: error: ")
    assert "unexpected" not in last
    for part in parts:
        assert part in last


def started(words: list[str], out: Path) -> subprocess.Popen[str]:
    """A run in a process group of its own that has finished its first epoch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kinema", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    wait_for(lambda: (out / "metrics.csv").exists() or process.poll() is not None)
    return process
