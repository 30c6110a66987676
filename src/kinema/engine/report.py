"""One HTML file per run: how it learned, how good it is, where it is wrong; complete in itself."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import atomic
from ..types import JSON
from . import charts
from .announce import WAITING
from .metrics import ClassScore, Ints, Metrics, calibration, confusion, per_class, summarise
from .mistakes import rank_mistakes, worst_mistakes
from .pages import Tile, percent, render
from .scores import Scores, read_scores
from .temporal import MIN_VIDEOS, NO_LOSS, ORDERS, ClassUse, score_files, summarise_orders

# parts of the card that the page has elsewhere
ELSEWHERE = ("format", "recipe", "metrics", "labels", "temporal", "fusion")
FUSION_FILE = "fusion.csv"  # accuracy of every weighting that a fusion tried
CHARTED = 40  # classes in the chart of orders


def write_report(run: Path) -> Path:
    """Writes `report.html` into a run folder, from what lies in it.

    Args:
        run: holds `scores.parquet`, `metrics.csv`, `card.json`, `recipe.yaml` and, of a fusion,
            `fusion.csv`; what is missing is left out of the page. The videos named in the scores
            are opened for thumbnails; a missing one is noted.

    Raises:
        ValueError: where there is neither a scores file nor a metrics file.
    """
    names = ("scores.parquet", "metrics.csv", "card.json", "recipe.yaml")
    scores_file, history_file, card_file, recipe_file = (run / name for name in names)
    if not scores_file.exists() and not history_file.exists():
        raise ValueError(
            f"{run} must be a run folder with scores.parquet or metrics.csv; `kinema train` and "
            "`kinema eval --out` make one"
        )
    scores = read_scores(scores_file) if scores_file.exists() else None
    history = read_history(history_file) if history_file.exists() else {}
    card = json.loads(card_file.read_text(encoding="utf-8")) if card_file.exists() else {}
    text = render(
        "report.html.j2",
        kind="kinema report",
        title=run.resolve().name,
        subtitle=_subtitle(card, scores),
        history=_curves(history, scores),
        advice=_advice(history),
        test=_test(scores) if scores else None,
        temporal=_temporal(run) if scores and "temporal" in card else None,
        fusion=_fusion(run, card["fusion"], card["metrics"]) if "fusion" in card else None,
        facts=_facts(card),
        recipe=recipe_file.read_text(encoding="utf-8") if recipe_file.exists() else "",
    )
    out = run / "report.html"
    with atomic(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return out


def read_history(path: Path) -> dict[str, list[float]]:
    """Columns of `metrics.csv` as numbers; an empty cell is nan. A column of text is an error."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    try:
        return {
            name: [float(row[name]) if row[name] else math.nan for row in rows]
            for name in (rows[0] if rows else ())
        }
    except ValueError as error:
        raise ValueError(f"{path} must hold numbers only: {error}") from None


def _curves(history: Mapping[str, Sequence[float]], scores: Scores | None) -> list[tuple[str, str]]:
    """(title, SVG) of loss, accuracy, average precision and learning rate over optimizer steps."""
    if not history.get("step"):
        return []
    steps, phases = history["step"], history.get("phase", [])
    borders = [
        (before + after) / 2
        for before, after, old, new in zip(steps, steps[1:], phases, phases[1:], strict=False)
        if old != new
    ]
    several = "val_mean_ap" in history
    charted = []
    for title, columns, shares in (
        ("Loss", {"training": "train_loss", "validation": "val_loss"}, False),
        (
            "Hit@1" if several else "Top-1 accuracy",
            {"training": "train_top1", "validation": "val_top1"},
            True,
        ),
        ("Mean average precision", {"validation": "val_mean_ap"}, True),
        ("Learning rate", {"learning rate": "lr"}, False),
    ):
        series = {name: history[key] for name, key in columns.items() if key in history}
        if series:
            chance = scores.chance if shares and scores else None
            svg = charts.curve(
                steps, series, name=title, percent=shares, chance=chance, borders=borders
            )
            charted.append((title, svg))
    return charted


def _advice(history: Mapping[str, Sequence[float]]) -> str:
    waits = [v for v in history.get("data_share", []) if math.isfinite(v)]
    if not waits or np.mean(waits) <= WAITING:
        return ""
    return (
        f"Training waited for clips {percent(float(np.mean(waits)))} of the time. More workers, "
        "smaller videos or more key frames in them make it faster."
    )


def _test(scores: Scores) -> dict[str, object]:
    """Everything the page shows of a test."""
    probs, labels, kind = scores.probs, scores.labels, scores.activation
    counts = confusion(probs, scores.targets, activation=kind)
    figures = summarise(probs, scores.targets, unread=scores.unread, activation=kind)
    bins = calibration(probs, scores.targets, activation=kind)
    views = scores.protocol.views
    return {
        "tiles": _tiles(scores, figures),
        "several": scores.several,
        "clips": len(scores.ids),
        "classes": len(labels),
        "wrong": len(rank_mistakes(scores)),
        "single_view": percent(scores.view_top1) if scores.protocol.name != "1x1" else "",
        "views": views,
        "matrix": charts.confusion_matrix(counts, labels),
        "pairs": _confused_pairs(counts, labels),
        "rows": _rows(scores, counts),
        "reliability": charts.reliability(bins),
        "ece": percent(figures.ece),
        "tendency": _tendency(scores),
        "mistakes": worst_mistakes(scores),
    }


def _temporal(run: Path) -> dict[str, object]:
    """The section on the order of frames, from the scores of all orders."""
    scores = {order: read_scores(path) for order, path in score_files(run).items()}
    normal = scores["normal"]
    for order, other in scores.items():
        if other.ids != normal.ids or other.fingerprint != normal.fingerprint:
            raise ValueError(
                f"{run}: the scores of the {order} order are of other videos than the normal ones; "
                "run `kinema eval --temporal` again"
            )
    probs = {order: part.probs for order, part in scores.items()}
    use = summarise_orders(probs, normal.targets, normal.labels)
    chosen: Sequence[ClassUse] = use.classes
    if len(chosen) > CHARTED:
        chosen = [*chosen[: CHARTED // 2], *chosen[-CHARTED // 2 :]]
    return {
        "use": use,
        "orders": ORDERS,
        "chance": 1 / len(normal.labels),
        "chart": charts.dots(
            [row.label for row in chosen],
            {order: [row.recall[order] for row in chosen] for order in ORDERS},
        ),
        "charted": len(chosen),
        "counts": Counter(row.verdict for row in use.classes),
        "no_loss": NO_LOSS,
        "min_videos": MIN_VIDEOS,
    }


def _fusion(run: Path, about: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, object]:
    """The section on a fusion: its streams alone and together, and how their weights were found."""
    streams = about["streams"]
    charted = ""
    if about["searched"] and len(streams) == 2:
        tried, axis = read_history(run / FUSION_FILE), f"weight of {streams[1]['name']}"
        charted = charts.curve(
            tried[axis], {"top-1": tried["top1"]}, name="fusion", percent=True, axis=axis
        )
    return {**about, "chart": charted, "metrics": metrics}


def _tiles(scores: Scores, figures: Metrics) -> list[Tile]:
    """The figures on top of the page; of several labels these are hit@k and mean AP."""
    classes, chance = len(scores.labels), scores.chance
    largest = float(scores.truth.mean(axis=0).max())
    guess = f"chance {percent(chance)}"
    if largest > 1.5 * chance:
        guess += f", largest class {percent(largest)}"
    if figures.unread:
        guess += (
            f"; {figures.unread} of {figures.clips} videos could not be read and count as wrong"
        )
    low, high = figures.interval
    best, five = ("Hit@1", "Hit@5") if scores.several else ("Top-1 accuracy", "Top-5 accuracy")
    cost = "nats per video"
    if scores.activation == "sigmoid":
        cost += " and class"
    elif not scores.several:
        cost += f"; guessing costs {math.log(classes):.3f}"
    tiles = [
        Tile(
            name=best, value=percent(figures.top1),
            note=f"95 % interval {percent(low)} to {percent(high)}; {guess}",
            share=figures.top1, low=low, high=high, mark=chance,
        ),
        Tile(name="Mean average precision", value=percent(figures.mean_ap),
             note="every class counts the same", share=figures.mean_ap, mark=chance)
        if scores.several else
        Tile(name="Mean-class accuracy", value=percent(figures.mean_class),
             note="every class counts the same", share=figures.mean_class, mark=chance),
        Tile(name="Calibration error", value=percent(figures.ece),
             note="mean gap between probability and accuracy"),
        Tile(name="Test loss", value=f"{figures.loss:.3f}", note=cost),
    ]  # fmt: skip
    if classes > 5:
        random = min(1.0, 5 * chance)
        tiles.insert(1, Tile(name=five, value=percent(figures.top5),
                             note=f"chance {percent(random)}",
                             share=figures.top5, mark=random))  # fmt: skip
    return tiles


def _confused_pairs(
    counts: Ints, labels: Sequence[str], limit: int = 10
) -> list[dict[str, object]]:
    """The most frequent mistakes: true label, predicted label, count, share of the true class."""
    off = counts - np.diag(np.diag(counts))
    cells = np.argsort(-off, axis=None, kind="stable")[:limit]
    return [
        {
            "true": labels[row],
            "predicted": labels[column],
            "count": int(off[row, column]),
            "share": off[row, column] / counts[row].sum(),
        }
        for row, column in zip(*np.unravel_index(cells, off.shape), strict=True)
        if off[row, column]
    ]


def _rows(scores: Scores, counts: Ints) -> list[dict[str, object]]:
    """The per-class table, weakest class first."""
    off = counts - np.diag(np.diag(counts))
    rows = []
    found = per_class(
        scores.probs, scores.targets, unread=scores.unread, activation=scores.activation
    )
    for row in sorted(found, key=_weakness):
        other = int(off[row.index].argmax())
        rows.append(
            {
                "name": scores.labels[row.index],
                "support": row.support,
                "recall": row.recall,
                "precision": row.precision,
                "f1": row.f1,
                "ap": row.ap,
                "taken_for": scores.labels[other] if off[row.index, other] else "",
            }
        )
    return rows


def _weakness(row: ClassScore) -> tuple[bool, float]:
    """Sorts classes without videos last; nan alone has no place in an order."""
    return math.isnan(row.recall), row.recall


def _tendency(scores: Scores) -> str:
    confidence = float(scores.probs.max(axis=1).mean())
    accuracy = float(np.mean(scores.right))
    word = "over-confident" if confidence > accuracy else "under-confident"
    if abs(confidence - accuracy) < 0.02:
        word = "well balanced"
    return (
        f"On average the predicted label has probability {percent(confidence)} and is right "
        f"{percent(accuracy)} of the time: {word}."
    )


def _subtitle(card: Mapping[str, JSON], scores: Scores | None) -> str:
    recipe = card.get("recipe")
    model = recipe.get("model") if isinstance(recipe, dict) else card.get("model")
    parts = [str(model)] if model else []
    if scores:
        parts += [f"{len(scores.ids) + len(scores.unread)} videos", f"{len(scores.labels)} classes"]
        streams = _streams(card)
        parts += [f"{streams} streams" if streams else f"protocol {scores.protocol.name}"]
    return " \u00b7 ".join(parts)


def _streams(card: Mapping[str, JSON]) -> int:
    fusion = card.get("fusion")
    streams = fusion.get("streams") if isinstance(fusion, dict) else None
    return len(streams) if isinstance(streams, list) else 0


def _facts(card: Mapping[str, JSON]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The result card as (group, rows of name and value), without what the page has elsewhere."""
    plain: list[tuple[str, str]] = []
    groups = [("run", plain)]
    for key, value in card.items():
        if key in ELSEWHERE:
            continue
        if isinstance(value, dict):
            groups.append((key, list(_leaves(value))))
        else:
            plain += _leaves({key: value})
    return [(name, rows) for name, rows in groups if rows]


def _leaves(values: Mapping[str, JSON], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Names and values of a nested mapping, without the empty ones."""
    for key, value in values.items():
        name = prefix + key.replace("_", " ")
        if isinstance(value, dict):
            yield from _leaves(value, f"{name} ")
        elif isinstance(value, list) and value:
            yield name, ", ".join(map(str, value))
        elif value not in (None, "", []):
            yield name, f"{value:,}" if type(value) is int and value > 9999 else str(value)
