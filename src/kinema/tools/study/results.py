"""The results of a study as files: a table of runs, the summary, the page."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from ...engine.runtime import command, commit, machine, versions
from ...files import atomic
from ...plain import to_plain
from ...types import JSON
from .job import ERROR_FILE, RESULT_FILE, Job, read_json, test_names
from .page import State, write_page
from .plan import Plan
from .summary import Reader, summarise_study

FORMAT = 1
COLUMNS: Mapping[str, type] = {
    "study": str, "data": str, "definition": str, "version": int, "test": str, "model": str,
    "name": str, "overrides": str, "seed": int, "recipe_hash": str, "budget": str, "steps": int,
    "train_gmacs": float, "minutes": float, "split": str, "frames": int, "protocol": str,
    "clips": int, "classes": int, "top1": float, "low": float, "high": float, "top5": float,
    "mean_class": float, "loss": float, "chance": float, "single_frame": float, "ceiling": float,
    "limit": float, "gmacs": float, "params": int, "model_mib": float, "memory_mib": float,
    "train_clips_per_s": float, "test_clips_per_s": float, "jobs": int, "threads": int,
    "device": str, "precision": str,
    "machine": str, "decoder": str, "python": str, "torch": str, "kinema": str, "commit": str,
    "changed": bool, "fingerprint_train": str, "fingerprint_test": str, "command": str,
    "folder": str,
}  # fmt: skip
"""Of results.csv and results.parquet; docs/studies.md says what each means."""

BOUNDS = ("chance", "single_frame", "ceiling", "limit")
Row = dict[str, Any]  # a table's row: texts and numbers by COLUMNS, None where there is none
_READ: dict[Path, Reader] = {}


def write_results(plan: Plan, jobs: int) -> Path:
    """Writes results.parquet, results.csv, meta.json and page.html; returns the page's path.

    Args:
        plan: of the study; what is finished counts.
        jobs: runs at a time.
    """
    rows = [row for job in plan.jobs if plan.finished(job) for row in job_rows(plan, job)]
    summaries = summarise_study(plan, _reader(plan))
    write_table(rows, plan.out)
    meta = _meta(plan, jobs)
    meta["summary"] = [to_plain(summary) for summary in summaries]
    with atomic(plan.out / "meta.json") as temporary:
        temporary.write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    states = [_state(plan, job) for job in plan.jobs]
    return write_page(plan.out, plan.study, rows, summaries, meta, states)


def write_table(rows: list[Row], out: Path) -> None:
    """results.parquet and results.csv, the same content."""
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    with atomic(out / "results.parquet") as temporary:
        parquet.write_table(pa.Table.from_pylist(rows, schema), temporary)
    with (
        atomic(out / "results.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        writer.writerows(rows)


def job_rows(plan: Plan, job: Job) -> list[Row]:
    """One row per test of a finished run."""
    folder = plan.folder(job)
    card, result = read_json(folder / "card.json"), read_json(folder / RESULT_FILE)
    measured, training = result["measured"], card["training"]
    of_machine, of_versions, made = card["machine"], card["versions"], card["commit"] or {}
    recipe = job.recipe
    rows = []
    for test in test_names(job):
        figures = result["tests"][test]
        case, bounds = job.tests.get(test), job.bounds[test]
        frames = (case.frames if case else 0) or measured["frames"]
        split = (case.split if case else None) or card["metrics"]["split"]
        low, high = figures["interval"]
        row: Row = {
            "study": job.study,
            "data": job.given,
            "definition": job.definition or None,
            "version": job.version or None,
            "test": test,
            "model": job.model,
            "name": recipe.model,
            "overrides": " ".join(job.overrides),
            "seed": recipe.seed,
            "recipe_hash": job.recipe_hash,
            "budget": job.budget or "the recipe's",
            "steps": training["steps"],
            "train_gmacs": job.train_gmacs,
            "minutes": training["seconds"] / 60,
            "split": split,
            "frames": frames,
            "protocol": figures["protocol"],
            "clips": figures["clips"],
            "classes": card["data"]["classes"],
            **{key: figures[key] for key in ("top1", "top5", "mean_class", "loss")},
            "low": low,
            "high": high,
            **{key: getattr(bounds, key) for key in BOUNDS},
            "gmacs": measured["gmacs"][str(frames)],
            "params": measured["params"],
            "model_mib": measured["model_mib"],
            "memory_mib": result["memory_mib"],
            "train_clips_per_s": job.clips / training["seconds"],
            "test_clips_per_s": measured["clips_per_s"][str(frames)],
            "jobs": result["jobs"],
            "threads": of_machine["threads"],
            "device": training["device"],
            "precision": training["precision"],
            "machine": ", ".join([of_machine["cpu"], *of_machine["gpus"]]),
            "decoder": card["decoder"],
            **{key: of_versions[key] for key in ("python", "torch", "kinema")},
            "commit": made.get("hash"),
            "changed": made.get("changed"),
            "fingerprint_train": job.fingerprint["train"],
            "fingerprint_test": figures["fingerprint"],
            "command": card["command"],
            "folder": str(job.folder),
        }
        rows.append({name: row[name] for name in COLUMNS})
    return rows


def _state(plan: Plan, job: Job) -> State:
    """How a run stands, for the page."""
    if plan.finished(job):
        return State(name=job.name, word="done")
    error = plan.folder(job) / ERROR_FILE
    if error.exists():
        return State(name=job.name, word="failed", text=error.read_text(encoding="utf-8"))
    begun = (plan.folder(job) / "log.jsonl").exists()
    return State(name=job.name, word="begun" if begun else "not begun")


def _reader(plan: Plan) -> Reader:
    """Scores files of finished runs do not change: one reader per study and process."""
    return _READ.setdefault(plan.out.resolve(), Reader())


def _meta(plan: Plan, jobs: int) -> dict[str, JSON]:
    """What holds for the whole study."""
    bounds = {job.data: job.bounds for job in plan.jobs}
    missing = [job.name for job in plan.jobs if not plan.finished(job)]
    return {
        "format": FORMAT,
        "study": plan.study.name,
        "command": command(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(),
        "jobs": jobs,
        "written": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "runs": len(plan.jobs),
        "missing": list(missing),
        "baseline": plan.study.baseline,
        "data": {
            source.title: {
                "data": source.given,
                "definition": source.definition,
                "version": source.version,
                "claim": source.claim,
                "tests": {name: to_plain(bounds[source.title][name]) for name in tests},
                "videos": len(source.splits.train),
                "classes": source.splits.train.num_classes,
                "fingerprint": source.splits.train.fingerprint(),
            }
            for source in plan.sources.values()
            for tests in [plan.cases[source.title]]
        },
    }
