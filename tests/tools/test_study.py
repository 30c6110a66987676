"""A study on a minimal generated set, killed, gone on with, one run failing; and its parts."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
import yaml

from kinema.cli import main
from kinema.data.motion import MotionSpec, make_motion
from kinema.engine import runtime
from kinema.engine.config import Phase, Recipe, load_recipe
from kinema.plain import to_plain
from kinema.tools.study import load_study, make_plan, runner
from kinema.tools.study.file import Budget, Case, Study, save_study
from kinema.tools.study.plan import recipe_hash
from kinema.tools.study.results import COLUMNS
from kinema.tools.study.runner import open_slots
from kinema.tools.study.summary import Answers, _check_clips, interval, read_answers, recalls
from waiting import wait_for

RECIPE = {
    "model": "tsm_resnet18",
    "model_args": {"width": 8, "dropout": 0.0},
    "input": {"frames": 4, "resize": 32, "crop": 32},
    "phases": [{"frames": 4, "steps": 60, "batch": 6, "lr": 0.02}],
    "augment": {"crop": "center", "flip": False},
    "precision": "fp32",
    "eval_every": 100,
}
SPEC = MotionSpec(classes=("left", "right", "grow"), train=4, val=2, test=2, size=32, frames=8)
BROKEN = "phases.0.lr=1e30"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with videos, a recipe and a study of three models; one cannot be trained."""
    folder = tmp_path_factory.mktemp("study")
    make_motion(SPEC, folder / "clips", workers=0, shown=False)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    study = {
        "name": "mini",
        "data": [str(folder / "clips")],
        "recipe": str(folder / "recipe.yaml"),
        "set": ["optim.clip=0"],
        "budget": {"steps": 60},
        "models": {
            "TSN": {"model": "tsn_resnet18"},
            "TSM, shift 1/4": {"model": "tsm_resnet18", "set": ["model_args.shift_div=4"]},
            "broken": {"model": "tsn_resnet18", "set": [BROKEN]},
        },
        "seeds": [3],
        "tests": {"normal": {}, "one frame of val": {"split": "val", "frames": 1}},
        "temporal": True,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return folder


def written(path: Path) -> Study:
    """The study of a folder, with its data known."""
    return load_study(path / "study.yaml")


@pytest.fixture(scope="module")
def finished(place: Path) -> tuple[Path, int, float]:
    """(the study's folder, exit status, when the first run's card was written).

    One job at a time; killed without a warning in the second run, then asked to stop in it, then
    left alone.
    """
    out = place / "out"
    words = ["study", str(place / "study.yaml"), "--out", str(out), "--jobs", "1"]
    words += ["--device", "cpu"]
    log = out / "runs" / "clips" / "TSM-shift-1-4" / "seed3" / "log.jsonl"
    _end(words, log, signal.SIGKILL)
    card = (out / "runs" / "clips" / "TSN" / "seed3" / "card.json").stat().st_mtime
    stopped = _end(words, log, signal.SIGTERM)
    assert stopped.returncode == 130
    assert "stopped with 1 of 3 runs done and the others saved" in stopped.stderr.read()
    assert '"event": "stop"' in log.read_text().splitlines()[-1]
    return out, main(words), card


def _end(words: list[str], log: Path, number: int) -> subprocess.Popen[str]:
    """Starts a study, and sends it a signal when a run has written further steps into its log."""
    before = log.stat().st_size if log.exists() else 0
    study = subprocess.Popen(
        [sys.executable, "-m", "kinema", *words], stderr=subprocess.PIPE, text=True
    )

    def has_gone_on() -> bool:
        assert study.poll() is None, "the study ended before it could be ended"
        return log.exists() and '"event": "step"' in log.read_text()[before:]

    wait_for(has_gone_on, seconds=300)
    study.send_signal(number)
    study.wait()
    return study


def table(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_study_that_was_killed_and_stopped_goes_on_and_repeats_nothing(
    finished: tuple[Path, int, float],
) -> None:
    out, status, card = finished
    assert status == 1  # one run failed
    runs = out / "runs" / "clips"
    assert (runs / "TSN" / "seed3" / "card.json").stat().st_mtime == card
    events = [json.loads(line) for line in (runs / "TSM-shift-1-4/seed3/log.jsonl").open()]
    said = [event["text"] for event in events if event["event"] == "say"]
    assert sum(text.startswith("resumed after ") for text in said) == 2
    assert sum(event["event"] == "end" for event in events) == 1
    assert not list(out.rglob("*.part"))


def test_one_row_per_run_and_test_says_how_to_repeat_it(
    finished: tuple[Path, int, float],
) -> None:
    out, _, _ = finished
    rows = table(out)
    names = [(row["model"], row["test"]) for row in rows]
    tests = ("normal", "one frame of val", "reversed clips", "shuffled clips", "frozen clips")
    assert names == [(model, test) for model in ("TSN", "TSM, shift 1/4") for test in tests]
    plain, one_frame, _, _, frozen, shifted, *_ = rows
    assert (frozen["split"], frozen["frames"], frozen["clips"]) == ("test", "4", "6")
    assert "shuffled" in (out / plain["folder"] / "report.html").read_text()
    assert (plain["seed"], plain["steps"], plain["budget"]) == ("3", "60", "60 steps")
    assert (plain["split"], plain["frames"], plain["clips"]) == ("test", "4", "6")
    assert (one_frame["split"], one_frame["frames"]) == ("val", "1")
    assert float(plain["chance"]) == pytest.approx(1 / 3)
    assert float(plain["gmacs"]) == pytest.approx(4 * float(one_frame["gmacs"]), rel=0.01)
    assert float(plain["train_gmacs"]) == pytest.approx(3 * 60 * 6 * float(plain["gmacs"]))
    assert shifted["overrides"] == "optim.clip=0 model_args.shift_div=4"
    assert plain["recipe_hash"] != shifted["recipe_hash"]
    for row in rows:
        assert row["threads"] == "1"
        assert float(row["train_clips_per_s"]) > 0
        assert float(row["test_clips_per_s"]) > 0
        assert row["command"].startswith("kinema train ")
        recipe = load_recipe(out / row["folder"] / "recipe.yaml")
        assert recipe_hash(recipe) == row["recipe_hash"]
        card = json.loads((out / row["folder"] / "card.json").read_text())
        if row["test"] == "normal":
            assert float(row["top1"]) == card["metrics"]["top1"]
    assert float(plain["memory_mib"]) > 50
    again = parquet.read_table(out / "results.parquet").to_pylist()
    assert [str(row["top1"]) for row in again] == [row["top1"] for row in rows]


def test_a_failing_run_is_told_and_the_others_go_on(
    finished: tuple[Path, int, float], place: Path
) -> None:
    out, _, _ = finished
    error = (out / "runs" / "clips" / "broken" / "seed3" / "error.txt").read_text()
    assert "lower the rate" in error
    assert error.rstrip().endswith("the process ended with status 1")
    page = (out / "page.html").read_text()
    assert "clips | broken | seed 3" in page
    assert "lower the rate" in page
    meta = json.loads((out / "meta.json").read_text())
    assert meta["missing"] == ["clips | broken | seed 3"]
    by_model = {line["model"]: line for line in meta["summary"] if line["test"] == "normal"}
    assert set(by_model) == {"TSN", "TSM, shift 1/4"}
    tsn, tsm = by_model["TSN"], by_model["TSM, shift 1/4"]
    assert tsn["difference"] is None
    assert tsm["difference"] == pytest.approx(tsm["top1"] - tsn["top1"])
    low, high = tsm["difference_interval"]
    assert low <= tsm["difference"] <= high


def test_other_settings_or_data_are_refused(finished: tuple[Path, int, float], place: Path) -> None:
    out, _, _ = finished
    study = written(place)
    make_plan(study, out)  # the same is welcome
    make_plan(replace(study, seeds=(3, 4)), out)  # and so is more
    with pytest.raises(ValueError, match=r"recipe\.phases\.0\.steps was 60, is 20; set it back"):
        make_plan(replace(study, budget=Budget(steps=20)), out)
    with pytest.raises(
        ValueError, match="of other settings, data or tests: fingerprint.test normal was"
    ):
        make_plan(replace(study, tests={"only": Case()}), out)


def test_a_study_computes_in_one_format_wherever_it_goes_on(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = replace(written(place), set=("precision=auto",))
    monkeypatch.setattr(runtime, "has_bf16", lambda device: False)
    plan = make_plan(study, tmp_path, device="cpu")
    plan.jobs[0].save(plan.folder(plan.jobs[0]))
    monkeypatch.setattr(runtime, "has_bf16", lambda device: True)
    with pytest.raises(ValueError, match=r"recipe\.precision was 'fp32', is 'bf16'"):
        make_plan(study, tmp_path, device="cpu")
    make_plan(replace(study, set=("precision=fp32",)), tmp_path, device="cpu")  # the remedy


@pytest.mark.parametrize("text", ["", "[]", '{"recipe": '])
def test_a_damaged_run_is_named_with_the_remedy(place: Path, tmp_path: Path, text: str) -> None:
    plan = make_plan(written(place), tmp_path, device="cpu")
    folder = plan.folder(plan.jobs[0])
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(text)
    with pytest.raises(ValueError, match=r"job\.json is .*damaged.*; delete .*seed3 to repeat"):
        make_plan(written(place), tmp_path, device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modelz": {}}, r"modelz is not known \(did you mean models\?\)"),
        ({"models": {"a": {"model": "tsn_resnet81"}}}, r"models\.a: .*did you mean tsn_resnet18"),
        ({"models": {"a": {"model": "tsn_resnet18", "sets": []}}}, r"models\.a\.sets is not known"),
        (
            {"models": {"a": {"model": "tsn_resnet18", "set": ["model_args.shift_div=4"]}}},
            r"models\.a: tsn_resnet18 has no option 'shift_div'",
        ),
        ({"set": ["optim.momentun=1"]}, r"optim\.momentun is not known"),
        ({"set": ["phases.0.steps=9"]}, r"set: 'phases\.0\.steps=9' contradicts the budget"),
        ({"set": ["seed=9"]}, "'seed=9' is decided by seeds of the study"),
        ({"set": ["phases.0.batch=600"]}, "batch=600 .* not exceed the 12 training clips"),
        ({"budget": {"steps": 5, "epochs": 1}}, "exactly one must be above 0"),
        ({"budget": {"gmacs": 1e-6}}, "must be at least one step"),
        ({"data": ["nowhere"]}, "data nowhere: there is no folder or file nowhere"),
        ({"recipe": "clipz"}, r"recipe: .*did you mean clips"),
        ({"baseline": "TSM"}, r"baseline='TSM' must be one of the models .*did you mean TSN"),
        ({"tests": {"a": {"split": "holdout"}}}, r"tests\.a: .* has no split 'holdout'"),
        ({"tests": {"a": {"protocol": "10x4"}}}, "protocol '10x4' must be VIEWSxCROPS"),
        ({"seeds": [1, 1]}, "must not hold anything twice"),
        ({"seeds": []}, "seeds must hold at least one entry"),
        ({"name": "a/b"}, "must be the name of a folder, such as 'a-b'"),
        ({"name": ""}, "must be the name of a folder, such as 'study'"),
    ],
)
def test_a_wrong_plan_is_refused_before_the_first_run(
    place: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    plain = yaml.safe_load((place / "study.yaml").read_text()) | change
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    with pytest.raises(ValueError, match=message):
        make_plan(load_study(tmp_path / "study.yaml"), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_a_title_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text("models:\n  a: {model: tsn_resnet18}\n  a: {model: tsm_resnet18}\n")
    with pytest.raises(ValueError, match=r"study\.yaml: line 2: 'a' occurs twice"):
        load_study(file)


def test_a_study_is_read_as_it_was_written(place: Path, tmp_path: Path) -> None:
    study = written(place)
    save_study(study, tmp_path / "study.yaml")
    assert load_study(tmp_path / "study.yaml") == study


def test_seeds_take_turns(place: Path, tmp_path: Path) -> None:
    study = replace(written(place), seeds=(0, 1))
    jobs = make_plan(study, tmp_path).jobs
    assert [job.recipe.seed for job in jobs] == [0, 0, 0, 1, 1, 1]
    assert len({job.model for job in jobs[:3]}) == 3
    assert len({job.recipe_hash for job in jobs}) == 3


def test_budgets(place: Path, tmp_path: Path) -> None:
    recipe = Recipe(
        model="tsn_resnet18",
        phases=(Phase(frames=4, epochs=10, batch=6, warmup=2, schedule=(5, 9)),),
    )
    by_steps = Budget(steps=100).fit(recipe, 0).phases[0]
    assert (by_steps.steps, by_steps.epochs, by_steps.warmup) == (100, 0, 20)
    assert by_steps.schedule == (50, 90)
    by_epochs = Budget(epochs=20).fit(recipe, 0).phases[0]
    assert (by_epochs.epochs, by_epochs.warmup, by_epochs.schedule) == (20, 4, (10, 18))
    by_work = Budget(gmacs=100).fit(recipe, 10**8).phases[0]  # a step: 3 x 6 x 0.1 GMACs
    assert by_work.steps == 55
    two = replace(recipe, phases=recipe.phases * 2)
    with pytest.raises(ValueError, match="recipe of one phase, and this has 2"):
        Budget(steps=5).fit(two, 0)
    models = dict(written(place).models)
    models.pop("broken")
    models["wide"] = replace(models["TSN"], set=("model_args.width=16",))
    study = replace(written(place), models=models, budget=Budget(gmacs=2))
    steps = {job.model: job.steps for job in make_plan(study, tmp_path).jobs}
    assert steps["TSN"] == steps["TSM, shift 1/4"] > 2 * steps["wide"] > 0
    assert all(1.9 < job.train_gmacs <= 2 for job in make_plan(study, tmp_path).jobs)


def test_places_for_runs() -> None:
    two = open_slots("cpu", 2)
    assert [slot.environment()["OMP_NUM_THREADS"] for slot in two] == ["1", "1"]
    assert all(slot.environment()["CUDA_VISIBLE_DEVICES"] == "" for slot in two)
    with pytest.raises(ValueError, match="jobs=0 must be at least 1"):
        open_slots("cpu", 0)


def test_every_gpu_has_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "choose_device", lambda device: torch.device(device or "cuda:0"))
    monkeypatch.setattr(runner, "cores", lambda: 12)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [slot.gpu for slot in open_slots()] == ["0", "1"]
    assert [slot.gpu for slot in open_slots(None, 3)] == ["0", "1", "0"]
    assert [slot.threads for slot in open_slots(None, 3)] == [4, 4, 4]
    assert [slot.gpu for slot in open_slots("cuda:1")] == ["1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [slot.environment()["CUDA_VISIBLE_DEVICES"] for slot in open_slots()] == ["4", "7"]
    assert {slot.device for slot in open_slots()} == {"cuda"}  # each sees one GPU only


def test_intervals_know_seeds_clips_and_pairs() -> None:
    rng = np.random.default_rng(0)
    right = rng.random((1, 400)) < 0.7
    low, high = interval(right)
    deviation = np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert (low + high) / 2 == pytest.approx(right.mean(), abs=0.01)
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert interval(np.repeat(right, 3, axis=0)) == pytest.approx((low, high), abs=0.01)
    seeds = np.stack([np.arange(400) < n for n in (200, 280, 360)])  # 50, 70 and 90 %
    wide = interval(seeds)
    assert wide[0] < 0.55
    assert wide[1] > 0.85
    better = right | (rng.random((1, 400)) < 0.1)  # a few clips more, none less
    apart = interval(better, right)
    assert apart[0] > 0
    assert apart[1] - apart[0] < (high - low) / 2  # the same clips: less noise than either
    spread = np.stack([np.arange(9000) < n for n in (6300, 6800, 6700)])  # by 2.9 points
    low, high = interval(spread)
    assert high - low == pytest.approx(2 * 1.96 * 0.029 / np.sqrt(3), rel=0.15)
    assert interval(right, right) == (0, 0)
    assert interval(np.ones((3, 400), bool)) == (pytest.approx(0.025 ** (1 / 400)), 1)


def test_answers_are_in_one_order(finished: tuple[Path, int, float]) -> None:
    out, _, _ = finished
    answers = read_answers(out / "runs" / "clips" / "TSN" / "seed3" / "scores.parquet")
    assert list(answers.ids) == sorted(answers.ids)
    row = next(row for row in table(out) if row["test"] == "normal")
    assert float(answers.hits.mean()) == float(row["top1"])
    assert to_plain(answers.labels) == sorted(answers.labels)


def test_a_video_that_cannot_be_read_is_wrong_everywhere(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "clips", tmp_path / "clips")
    damaged = sorted((tmp_path / "clips" / "test").rglob("*.mp4"))[0]
    damaged.write_bytes(b"no video")
    plain = yaml.safe_load((place / "study.yaml").read_text())
    plain["models"].pop("broken")
    plain |= {"data": [str(tmp_path / "clips")], "budget": {"steps": 2}}
    plain["tests"] = {"normal": {}, "one frame": {"frames": 1}}
    plain["set"] = ["on_error=skip", "max_skipped=0.5"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(plain, sort_keys=False))
    out = tmp_path / "out"
    words = [str(tmp_path / "study.yaml"), "--out", str(out), "--jobs", "1", "--device", "cpu"]
    assert main(["study", *words]) == 0
    summaries = json.loads((out / "meta.json").read_text())["summary"]
    told = {(one["model"], one["test"]): one for one in summaries}
    assert len(told) == 10, "two models, and normal, one frame, reversed, shuffled, frozen"
    for row in table(out):
        summary = told[row["model"], row["test"]]
        assert int(row["clips"]) == summary["clips"] == 6
        assert float(row["top1"]) == pytest.approx(summary["top1"])


def test_runs_on_other_clips_are_not_compared() -> None:
    one = Answers(
        labels=("a", "b"), ids=("x", "y"), truth=np.eye(2) > 0, predicted=np.zeros(2, int)
    )
    _check_clips("clips", "test", [one, one])
    with pytest.raises(ValueError, match="not all tested on the same clips of 'test'"):
        _check_clips("clips", "test", [one, replace(one, ids=("x", "z"))])


def test_an_answer_is_right_where_it_is_one_of_several_labels() -> None:
    answers = Answers(
        labels=("hop", "run", "sit"),
        ids=("a", "b", "c"),
        truth=np.array([[True, True, False], [False, True, False], [True, False, False]]),
        predicted=np.array([1, 0, 0]),
    )
    assert answers.hits.tolist() == [True, False, True]
    np.testing.assert_array_equal(recalls(answers), [1 / 2, 1 / 2, np.nan])


def test_the_page_is_whole_and_names_everything(finished: tuple[Path, int, float]) -> None:
    page = (finished[0] / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("</svg>") == 2  # multiply-adds and time
    assert page.count("<table") == page.count("</table>") == 8  # open, five tests, cost, classes
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "#010101" not in page
    assert "2 of 3" in page
    for text in ("TSM, shift 1/4", "one frame of val", "33.3 %", "With one seed only clips"):
        assert text in page


def test_results_are_kept_without_weights_and_make_a_section(
    finished: tuple[Path, int, float], repository: Path, tmp_path: Path
) -> None:
    spec = importlib.util.spec_from_file_location("r", repository / "benchmarks" / "results.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.add(finished[0], tmp_path / "mini")
    kept = {path.name for path in (tmp_path / "mini").iterdir()}
    assert kept == {"study.yaml", "results.csv", "meta.json"}
    page = script.write(tmp_path)
    assert "- missing: clips | broken | seed 3" in page
    assert "- budget: 60 steps" in page
    row = next(row for row in table(finished[0]) if row["test"] == "normal")
    assert f"| normal | TSN | {float(row['top1']):.1%} |" in page
    with pytest.raises(SystemExit, match="neither a finished run nor a study"):
        script.add(tmp_path, tmp_path / "x")


def test_the_study_of_the_guide_can_be_read(repository: Path, tmp_path: Path) -> None:
    (text,) = re.findall(
        r"```yaml\n(.*?)```", (repository / "docs" / "studies.md").read_text(), flags=re.DOTALL
    )
    (tmp_path / "study.yaml").write_text(text)
    assert load_study(tmp_path / "study.yaml").tests["16 frames"].frames == 16


def test_every_column_is_explained(repository: Path) -> None:
    page = (repository / "docs" / "studies.md").read_text()
    assert [name for name in COLUMNS if f"`{name}`" not in page] == []
