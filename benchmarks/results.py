"""Writes docs/results.md from the result files in results/; `make results` calls it.

Each folder below results/ is a study, with the study.yaml, results.csv and meta.json that `kinema
study` left; a fusion, with the card.json of `kinema fuse --out`; or a finished run: its card.json
and metrics.csv, as training left them, and predictions.jsonl where some videos were classified with
it (`kinema predict --json`).

python benchmarks/results.py [--add runs/name ...]
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ("card.json", "metrics.csv", "predictions.jsonl")
KEPT_OF_STUDY = ("study.yaml", "results.csv", "meta.json")

HEADER = """# Results

Measured with this code; nothing here is copied from a paper. This page is generated from the files
in `results/` by `make results`; what to take from it is in [findings.md](findings.md).
"""
STUDIES = """
Several models compared like for like, several seeds of each ([what the figures
mean](studies.md#how-the-figures-are-made)):

"""
FUSIONS = """
Scores of several models as one answer ([two streams](two-stream.md)):

| fusion | top-1 | 95 % interval | streams alone |
|---|---|---|---|
"""
RUNS = """
Single runs:

| run | data | tested on | top-1 | 95 % interval | mean class | chance | minutes |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Takes over runs and studies where asked to, then writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--add", type=Path, nargs="*", default=[], help="folders of runs or studies to take over"
    )
    for folder in parser.parse_args().add:
        add(folder, ROOT / "results" / folder.resolve().name)
    page = write(ROOT / "results")
    (ROOT / "docs" / "results.md").write_text(page, encoding="utf-8")
    print(f"docs/results.md: {page.count(chr(10) + '## ')} sections")


def add(folder: Path, target: Path) -> None:
    """Copies the small files of a run or a study."""
    kept = KEPT_OF_STUDY if (folder / "study.yaml").exists() else KEPT
    if not (folder / kept[0]).exists():
        raise SystemExit(f"{folder} holds neither a finished run nor a study")
    target.mkdir(parents=True, exist_ok=True)
    for name in kept:
        if (folder / name).exists():
            shutil.copy(folder / name, target / name)


def write(results: Path) -> str:
    """The page of a folder of results."""
    cards = {f.parent.name: json.loads(f.read_text("utf-8")) for f in results.glob("*/card.json")}
    fusions = {name: card for name, card in cards.items() if "fusion" in card}
    runs = {name: read(results / name, card) for name, card in cards.items() if name not in fusions}
    studies = {f.parent.name: read_study(f.parent) for f in results.glob("*/study.yaml")}
    page = HEADER
    if studies:
        page += STUDIES + "".join(f"- [{name}](#{name})\n" for name in sorted(studies))
    if fusions:
        page += FUSIONS + "".join(fusion_row(name, card) for name, card in sorted(fusions.items()))
    if runs:
        page += RUNS + "".join(row(name, run) for name, run in sorted(runs.items()))
    page += "".join(study_section(name, *study) for name, study in sorted(studies.items()))
    page += "".join(fusion_section(name, card) for name, card in sorted(fusions.items()))
    return page + "".join(section(name, run) for name, run in sorted(runs.items()))


def read_study(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """A study's meta.json and the rows of its results.csv."""
    meta: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return meta, list(csv.DictReader(file))


def study_section(name: str, meta: dict[str, Any], rows: list[dict[str, str]]) -> str:
    """A study: how it was made, accuracy on every test, cost."""

    def all_of(column: str) -> str:
        return ", ".join(dict.fromkeys(row[column] for row in rows if row[column]))

    changed = " with changed files" if any(row["changed"] == "True" for row in rows) else ""
    commits = ", ".join(text[:12] for text in all_of("commit").split(", "))
    packages = ", ".join(
        f"{package} {all_of(package)}" for package in ("python", "torch", "kinema")
    )
    facts = {
        "command": f"`{meta['command']}`",
        "commit": f"{commits or 'unknown'}{changed}",
        "seeds": all_of("seed"),
        "budget": f"{all_of('budget')}: {all_of('steps')} steps",
        "machine": f"{all_of('machine')}, {meta['machine']['cores']} cores; {all_of('jobs')} runs "
        f"at a time, threads of each: {all_of('threads')}; {all_of('device')}, "
        f"{all_of('precision')}",
        "versions": f"{packages}; {all_of('decoder')}",
        "runs": f"{meta['runs'] - len(meta['missing'])} of {meta['runs']} finished",
    }
    if meta["missing"]:
        facts["missing"] = ", ".join(meta["missing"])
    lines = [f"\n## {name}\n", *(f"- {key}: {value}" for key, value in facts.items())]
    for data, about in meta["data"].items():
        found = [line for line in meta["summary"] if line["data"] == data]
        if found:
            lines += study_tables(data, about, found, rows, meta["baseline"])
    return "\n".join(lines) + "\n"


def study_tables(
    data: str,
    about: dict[str, Any],
    found: list[dict[str, Any]],
    rows: list[dict[str, str]],
    baseline: str,
) -> list[str]:
    """Accuracy and cost of every model on one data set."""
    version = f", {about['definition']} version {about['version']}" if about["definition"] else ""
    lines = [f"\n### {data}\n"]
    lines += [f"{about['claim']}\n"] if about["claim"] else []
    lines += [
        f"{about['videos']} training clips, {about['classes']} classes{version}, fingerprint "
        f"{about['fingerprint'][:12]}.\n",
        f"| test | model | top-1 | 95 % interval | each seed | against {baseline} | chance "
        "| order-blind ceiling |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in found:
        bounds = about["tests"][line["test"]]
        ceiling = "" if bounds["ceiling"] is None else f"{bounds['ceiling']:.1%}"
        against = ""
        if line["difference"] is not None:
            low, high = (100 * end for end in line["difference_interval"])
            against = f"{100 * line['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
        each = ", ".join(f"{100 * value:.1f}" for value in line["each"])
        low, high = line["interval"]
        lines.append(
            f"| {line['test']} | {line['model']} | {line['top1']:.1%} | {low:.1%} to {high:.1%} "
            f"| {each} | {against} | {bounds['chance']:.1%} | {ceiling} |"
        )
    lines += [
        "\n| model | frames | GMACs | parameters | file, MiB | memory, MiB | training, clips/s "
        "| inference, clips/s | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in found:
        if line["test"] == found[0]["test"]:
            own = [
                row
                for row in rows
                if (row["data"], row["model"], row["test"])
                == (about["data"], line["model"], line["test"])
            ]
            lines.append(f"| {line['model']} | {cost(own)} |")
    return lines


def cost(rows: list[dict[str, str]]) -> str:
    """Cells of the cost table: means over the seeds."""

    def mean(column: str, digits: int) -> str:
        values = [float(row[column]) for row in rows if row[column]]
        return f"{sum(values) / len(values):,.{digits}f}" if values else ""

    digits = {"frames": 0, "gmacs": 3, "params": 0, "model_mib": 2, "memory_mib": 0}
    digits |= {"train_clips_per_s": 1, "test_clips_per_s": 1, "minutes": 1}
    return " | ".join(mean(column, count) for column, count in digits.items())


def fusion_row(name: str, card: dict[str, Any]) -> str:
    """One line of the table at the top."""
    metrics, streams = card["metrics"], card["fusion"]["streams"]
    low, high = metrics["interval"]
    alone = ", ".join(f"{one['name']} {one['metrics']['top1']:.1%}" for one in streams)
    return f"| [{name}](#{name}) | {metrics['top1']:.1%} | {low:.1%} to {high:.1%} | {alone} |\n"


def fusion_section(name: str, card: dict[str, Any]) -> str:
    """How it was made, and every stream beside the whole."""
    fusion, commit = card["fusion"], card["commit"] or {}
    averaged = {"prob": "probabilities", "logit": "logits"}[fusion["average"]]
    lines = [
        f"\n## {name}\n",
        f"- command: `{card['command']}`",
        f"- commit: {commit.get('hash', 'unknown')[:12]}",
        f"- averaged: {averaged}",
        "\n| stream | weight | top-1 | 95 % interval | fusion gains | 95 % interval |",
        "|---|---|---|---|---|---|",
    ]
    for one in fusion["streams"]:
        (low, high), (least, most) = one["metrics"]["interval"], one["gain_interval"]
        lines.append(
            f"| {one['name']} | {one['weight']:.3f} | {one['metrics']['top1']:.1%} "
            f"| {low:.1%} to {high:.1%} | {100 * one['gain']:+.1f} "
            f"| {100 * least:+.1f} to {100 * most:+.1f} |"
        )
    low, high = card["metrics"]["interval"]
    lines.append(f"| fusion | | {card['metrics']['top1']:.1%} | {low:.1%} to {high:.1%} | | |")
    return "\n".join(lines) + "\n"


def read(folder: Path, card: dict[str, Any]) -> dict[str, Any]:
    """A run's card, with the rows of its metrics."""
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        card["rows"] = list(csv.DictReader(file))
    lines = folder / "predictions.jsonl"
    texts = lines.read_text(encoding="utf-8").splitlines() if lines.exists() else []
    card["predictions"] = [json.loads(text) for text in texts]
    return card


def row(name: str, card: dict[str, Any]) -> str:
    """One line of the table at the top."""
    metrics, data = card["metrics"], card["data"]
    low, high = metrics["interval"]
    tested = f"{data['videos'][metrics['split']]} {metrics['split']} videos, {card['protocol']}"
    return (
        f"| [{name}](#{name}) | {data['name']} | {tested} | {metrics['top1']:.1%} "
        f"| {low:.1%} to {high:.1%} | {metrics['mean_class']:.1%} | {1 / data['classes']:.1%} "
        f"| {card['training']['seconds'] / 60:.0f} |\n"
    )


def section(name: str, card: dict[str, Any]) -> str:
    """Everything needed to judge the run and to repeat it."""
    training, machine, commit = card["training"], card["machine"], card["commit"] or {}
    versions = ", ".join(f"{k} {v}" for k, v in card["versions"].items() if v)
    changed = " with changed files" if commit.get("changed") else ""
    phases = card["recipe"]["phases"]
    videos = ", ".join(f"{n} {name}" for name, n in card["data"]["videos"].items())
    facts = {
        "command": f"`{card['command']}`",
        "commit": f"{commit.get('hash', 'unknown')[:12]}{changed}",
        "seed": card["seed"],
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} in use; "
        f"GPUs {', '.join(machine['gpus']) or 'none'}",
        "versions": f"{versions}; {card['decoder']}",
        "data": f"{card['data']['name']}, {videos}, fingerprint of the training "
        f"split {card['data']['fingerprint']['train'][:12]}",
        "start": card["start"]["source"],
        "phases": "; ".join(
            f"{p['epochs'] or p['steps']} {'epochs' if p['epochs'] else 'steps'} of batches of "
            f"{p['batch']}, {p['frames']} frames, lr {p['lr']} for {p['lr_batch'] or p['batch']}"
            for p in phases
        ),
        "training": f"{training['steps']} steps in {training['seconds'] / 60:.1f} minutes, "
        f"{training['precision']}",
    }
    lines = [f"\n## {name}\n", *(f"- {key}: {value}" for key, value in facts.items())]
    lines += ["\n| epoch | step | train loss | train top-1 | val loss | val top-1 |"]
    lines += ["|---|---|---|---|---|---|"]
    columns = ("train_loss", "train_top1", "val_loss", "val_top1")
    for r in card["rows"]:
        numbers = " | ".join(f"{float(r[c]):.3f}" if r[c] else "" for c in columns)
        lines.append(f"| {r['epoch']} | {r['step']} | {numbers} |")
    if card["predictions"]:
        lines += ["\n| video | seconds | first | second |", "|---|---|---|---|"]
    for p in card["predictions"]:
        best = " | ".join(f"{t['label']} {t['probability']:.1%}" for t in p["top"][:2])
        lines.append(f"| {Path(p['video']).name} | {p['start']:.1f} to {p['end']:.1f} | {best} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
