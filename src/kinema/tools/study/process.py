"""One run of a study in a process of its own: train, test, measure, leave `result.json`.

    python -m kinema.tools.study.process FOLDER [--device cpu]

FOLDER holds `job.json`. What an earlier process finished is not done again. The process ends when
its standard input does, that is with the one that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import threading
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypedDict, cast

import torch

from ... import checkpoint
from ...data import DataSplits, Decoder, load_data
from ...data.unread import OnError
from ...engine.config import Recipe
from ...engine.evaluate import evaluate
from ...engine.metrics import summarise
from ...engine.report import write_report
from ...engine.runtime import choose_device
from ...engine.scores import read_scores
from ...engine.temporal import summarise_orders, temporal_sensitivity
from ...engine.train import Stopped, train
from ...files import atomic
from ...models import VideoModel
from ...plain import to_plain
from ...types import JSON
from ..profile import profile
from .file import Case
from .job import RESULT_FILE, Job, order_tests, scores_file
from .sources import tested

STOPPED = 130
SPEED_SECONDS = 0.5  # of measuring inference
SPEED_ROUNDS = 5  # at least
MIB = 2**20


def main() -> int:
    """Runs the job of a folder; returns the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or torch.get_num_threads()))
    job = Job.load(args.folder)
    sys.argv = shlex.split(training_command(job, args.folder))  # what the result card quotes
    try:
        run_job(job, args.folder, args.device, args.jobs)
    except Stopped:
        return STOPPED
    return 0


def training_command(job: Job, folder: Path) -> str:
    """What repeats the training of a run by itself."""
    recipe = str(folder / "recipe.yaml")
    return shlex.join(["kinema", "train", job.path, "--recipe", recipe, "--out", "runs/again"])


def _end_with_parent() -> None:
    """Asks this process to stop when the other end of standard input is gone."""
    while os.read(0, 1):  # not through sys.stdin, whose lock a forked worker would inherit
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def run_job(job: Job, folder: Path, device: str | None, jobs: int = 1) -> None:
    """Everything a run of a study consists of; goes on where an earlier call was stopped.

    Args:
        job: what to do.
        folder: of the run.
        device: None: a GPU if there is one.
        jobs: how many such processes are at work, for the record.

    Raises:
        Stopped: after Ctrl-C or SIGTERM in training, with the state saved.
    """
    splits = load_data(job.path)
    memory: float | None = None
    if not (folder / "card.json").exists():
        begun = any((folder / name).exists() for name in ("recipe.yaml", "log.jsonl"))
        train(job.recipe, splits, folder, resume=begun, device=device)
        memory = peak_memory()
    if not (folder / "report.html").exists():
        write_report(folder)
    where = choose_device(device)
    tests: dict[str, JSON] = {}
    for name, case in job.tests.items():
        path = scores_file(job, folder, name)
        if case != Case():
            manifest = tested(job.path, splits, case.split)
            model = _model(folder, case, where)
            evaluate(model, manifest, protocol=case.protocol, out=path, **reading(job.recipe))
        tests[name] = _figures(path)
    if job.temporal:
        _test_orders(job, folder, splits, where)
        names = order_tests(job.tests)
        tests |= {name: _figures(scores_file(job, folder, name)) for name in names}
    result: dict[str, JSON] = {
        "jobs": jobs,
        "memory_mib": memory,
        "measured": _measured(job, folder, where),
    }
    with atomic(folder / RESULT_FILE) as temporary:
        text = json.dumps({**result, "tests": tests}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def _test_orders(job: Job, folder: Path, splits: DataSplits, device: torch.device) -> None:
    """Scores the run's test in all orders of frames, and adds them to its card and its report."""
    model, manifest = _model(folder, Case(), device), tested(job.path, splits, None)
    found = temporal_sensitivity(model, manifest, out=folder, **reading(job.recipe))
    probs = {order: result.probs for order, result in found.items()}
    use = summarise_orders(probs, found["normal"].targets, model.spec.labels)
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    with atomic(folder / "card.json") as temporary:
        text = json.dumps({**card, "temporal": to_plain(use.orders)}, indent=2)
        temporary.write_text(text + "\n", encoding="utf-8")
    write_report(folder)


class Reading(TypedDict):
    """How test videos are read, as the run's own test reads them."""

    workers: int
    decoder: Decoder
    on_error: OnError
    max_skipped: float


def reading(recipe: Recipe) -> Reading:
    """What further tests of a run share with its own."""
    return {
        "workers": recipe.workers,
        "decoder": recipe.decoder,
        "on_error": recipe.on_error,
        "max_skipped": recipe.max_skipped,
    }


def _model(folder: Path, case: Case, device: torch.device) -> VideoModel:
    """The run's best model, asking for as many frames as the case wants."""
    model = checkpoint.load(folder / "model.safetensors", device)
    frames = case.frames or model.spec.input.frames
    model.spec = replace(model.spec, input=replace(model.spec.input, frames=frames))
    return model


def _figures(path: Path) -> dict[str, JSON]:
    scores = read_scores(path)
    figures = summarise(
        scores.probs, scores.targets, unread=scores.unread, activation=scores.activation
    )
    return {**asdict(figures), "protocol": scores.protocol.name, "fingerprint": scores.fingerprint}


def _measured(job: Job, folder: Path, device: torch.device) -> dict[str, JSON]:
    """What the model costs, at every length of clip it is tested with."""
    model = _model(folder, Case(), device)
    spec = model.spec.input
    gmacs, speed = {}, {}
    for frames in sorted({case.frames or spec.frames for case in (Case(), *job.tests.values())}):
        cost = profile(model, (spec.channels, frames, spec.crop, spec.crop))
        gmacs[str(frames)] = cost.macs / 1e9
        model.spec = replace(model.spec, input=replace(spec, frames=frames))
        speed[str(frames)] = clips_per_second(model)
    return {
        "params": cost.params,
        "frames": spec.frames,
        "gmacs": cast(JSON, gmacs),
        "clips_per_s": cast(JSON, speed),
        "model_mib": (folder / "model.safetensors").stat().st_size / MIB,
    }


def clips_per_second(model: VideoModel) -> float:
    """Clips that go from stored pixels to logits in a second: the best of several rounds.

    On a CPU, the time is that of this process alone, which is single-threaded in a study: other
    processes that take turns on the same core do not count.
    """
    spec, on_gpu = model.spec.input, model.device.type == "cuda"
    batch = 8 if on_gpu else 1
    clock = time.perf_counter if on_gpu else time.process_time
    clips = torch.zeros(batch, 1, spec.channels, spec.frames, spec.crop, spec.crop).byte()
    model.eval()
    model.score_views(clips)
    times: list[float] = []
    while len(times) < SPEED_ROUNDS or sum(times) < SPEED_SECONDS:
        began = clock()
        model.score_views(clips)
        times.append(max(clock() - began, 1e-6))
    return batch / min(times)


def peak_memory() -> float | None:
    """MiB at most: tensors on the GPU, or without a GPU this process; None: not known here."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() / MIB
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


if __name__ == "__main__":
    sys.exit(main())
