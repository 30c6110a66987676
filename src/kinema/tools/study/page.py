"""The page of a study: complete in itself, and honest about what is missing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from ...engine.pages import Tile, percent, render
from ...files import atomic
from .chart import Point, tradeoff
from .file import Study, study_text
from .summary import ROUNDS, Summary, of

CLASSES_SHOWN = 400
Rows = Sequence[Mapping[str, Any]]  # of results.csv


@dataclass(frozen=True, kw_only=True)
class State:
    """How one run stands; text: the last lines of a failed one."""

    name: str
    word: Literal["done", "failed", "begun", "not begun"]
    text: str = ""


def write_page(
    out: Path,
    study: Study,
    rows: Rows,
    summaries: Sequence[Summary],
    meta: Mapping[str, Any],
    states: Sequence[State],
) -> Path:
    """Writes `page.html` into the study's folder; returns its path.

    Args:
        out: the folder.
        study: what was asked for.
        rows: of results.csv.
        summaries: of all models that have a finished run.
        meta: of meta.json.
        states: of all runs.
    """
    text = render(
        "study.html.j2",
        kind="kinema study",
        title=study.name,
        subtitle=_subtitle(study),
        figures=_tiles(study, states),
        open_runs=[state for state in states if state.word != "done"],
        baseline=study.baseline,
        overview=_overview(study, summaries, meta["data"]) if len(meta["data"]) > 1 else None,
        sets=[_set(title, about, rows, summaries) for title, about in meta["data"].items()],
        rounds=f"{ROUNDS:,}",
        one_seed=all(len(summary.seeds) == 1 for summary in summaries),
        facts=_facts(rows, meta),
        study=study_text(study),
    )
    page = out / "page.html"
    with atomic(page) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return page


def _subtitle(study: Study) -> str:
    parts = [_count(len(study.models), "model"), _count(len(study.data), "data set")]
    parts += [_count(len(study.seeds), "seed"), f"recipe {Path(study.recipe).name}"]
    parts += [f"budget {study.budget}" if study.budget else "the recipe's own length"]
    return " \u00b7 ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _tiles(study: Study, states: Sequence[State]) -> list[Tile]:
    words = Counter(state.word for state in states)
    share = words["done"] / len(states)
    rest = [f"{words[word]} {word}" for word in ("failed", "begun", "not begun") if words[word]]
    return [
        Tile(name="Runs", value=f"{words['done']} of {len(states)}", share=share,
             note=", ".join(rest) or "all done"),
        Tile(name="Models", value=f"{len(study.models)}", note=f"baseline {study.baseline}"),
        Tile(name="Data sets", value=f"{len(study.data)}", note=_count(len(study.seeds), "seed")),
        Tile(name="Budget", value=str(study.budget or "recipe").split(" of ")[0],
             note="of every model" if study.budget else "each recipe's own length"),
    ]  # fmt: skip


def _overview(
    study: Study, summaries: Sequence[Summary], data: Mapping[str, Mapping[str, Any]]
) -> dict[str, object]:
    """Models x data sets, on the first test of each."""
    first = {s.data: s.test for s in reversed(summaries)}
    lines = []
    for title in study.models:
        found = {s.data: s for s in of(summaries, model=title) if s.test == first[s.data]}
        lines.append({"model": title, "cells": [found.get(name) for name in data]})
    return {
        "data": [{"name": name, "test": first.get(name, "")} for name in data],
        "lines": lines,
        "bounds": [next(iter(about["tests"].values())) for about in data.values()],
    }


def _set(
    title: str, about: Mapping[str, Any], rows: Rows, summaries: Sequence[Summary]
) -> dict[str, object]:
    """Everything the page shows of one data set."""
    mine = of(summaries, data=title)
    tests = list(dict.fromkeys(s.test for s in mine))
    main = of(mine, test=tests[0]) if tests else []
    own_rows = [row for row in rows if row["data"] == about["data"]]
    costs = [cost for s in main if (cost := _cost(s, own_rows))]
    return {
        "title": title,
        **{key: about[key] for key in ("claim", "definition", "version", "videos", "classes")},
        "tests": [
            _test(name, of(mine, test=name), own_rows, about["tests"][name]) for name in tests
        ],
        "costs": costs,
        "charts": _charts(title, next(iter(about["tests"].values())), costs),
        "recalls": _recalls(main),
    }


def _test(
    name: str, found: Sequence[Summary], rows: Rows, bounds: Mapping[str, Any]
) -> dict[str, object]:
    mine = [row for row in rows if row["test"] == name]
    row, frames = mine[0], sorted({row["frames"] for row in mine})
    protocols = " or ".join(dict.fromkeys(str(row["protocol"]) for row in mine))
    words = f"{row['clips']} videos of {row['split']}, protocol {protocols}, "
    words += _count_of(frames)
    if bounds["note"]:
        words = f"{bounds['note']}; {words}"
    for key, what in (("single_frame", "one frame allows"), ("limit", "the frames given allow")):
        if bounds[key] is not None and bounds[key] != (bounds["chance"], 1.0)[key == "limit"]:
            words += f"; {what} {percent(bounds[key])}"
    return {"name": name, "words": words, "lines": found, "bounds": bounds}


def _count_of(frames: Sequence[int]) -> str:
    return f"{' or '.join(map(str, frames))} {'frame' if list(frames) == [1] else 'frames'}"


def _cost(summary: Summary, rows: Rows) -> dict[str, Any] | None:
    """What a model costs: means over its seeds, on the main test."""
    own = [row for row in rows if row["model"] == summary.model and row["test"] == summary.test]
    if not own:
        return None
    names = (
        "params", "gmacs", "model_mib", "memory_mib", "train_clips_per_s", "test_clips_per_s",
        "minutes", "steps", "train_gmacs", "frames",
    )  # fmt: skip
    found: dict[str, Any] = {"model": summary.model, "summary": summary}
    for name in names:
        values = [float(row[name]) for row in own if row[name] not in (None, "")]
        found[name] = fmean(values) if values else math.nan
    found["ms"] = 1e3 / found["test_clips_per_s"]
    return found


def _charts(
    title: str, bounds: Mapping[str, Any], costs: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """(heading, SVG) of accuracy against multiply-adds and against measured time."""
    found = []
    for heading, axis, column in (
        ("Accuracy against multiply-adds", "GMACs of one view", "gmacs"),
        ("Accuracy against time", "ms per clip, measured", "ms"),
    ):
        points = [
            Point(
                name=c["model"], cost=c[column], share=c["summary"].top1,
                low=c["summary"].interval[0], high=c["summary"].interval[1],
            )
            for c in costs
        ]  # fmt: skip
        if points:
            svg = tradeoff(
                points, name=f"{title} {axis}", cost=axis, chance=bounds["chance"],
                ceiling=bounds["ceiling"],
            )  # fmt: skip
            found.append((heading, svg))
    return found


def _recalls(main: Sequence[Summary]) -> dict[str, object]:
    """Classes x models, those first on which the models differ most."""
    if not main:
        return {"models": [], "lines": []}
    lines: list[dict[str, Any]] = []
    for label in main[0].classes:
        values = [s.classes[label] for s in main]
        known = [value for value in values if not math.isnan(value)]
        spread = max(known) - min(known) if known else -1.0
        lines.append({"label": label, "values": values, "spread": spread})
    lines.sort(key=lambda line: -line["spread"])
    return {
        "models": [s.model for s in main],
        "lines": lines[:CLASSES_SHOWN],
        "left": max(0, len(lines) - CLASSES_SHOWN),
    }


def _facts(rows: Rows, meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What holds for the whole study; several values where runs differ."""

    def all_of(name: str) -> str:
        return ", ".join(sorted({str(row[name]) for row in rows if row[name] not in (None, "")}))

    made = meta["commit"] or {}
    commits = all_of("commit") or str(made.get("hash", "unknown"))
    changed = any(row["changed"] in (True, "True") for row in rows)
    cores = f"{meta['machine']['cores']} cores, {_count(meta['jobs'], 'run')} at a time"
    facts = [
        ("command", meta["command"]),
        ("commit", commits + (" with changed files" if changed else "")),
        ("machine", f"{all_of('machine') or meta['machine']['cpu']}, {cores}"),
        ("threads of a run", all_of("threads")),
        ("device", all_of("device")),
        ("precision", all_of("precision")),
        ("decoder", all_of("decoder")),
        ("python", all_of("python")),
        ("torch", all_of("torch")),
        ("kinema", all_of("kinema")),
        ("written", meta["written"]),
    ]
    return [(name, value) for name, value in facts if value]
