"""Writes docs/results.md from the result files in results/; `make results` calls it.

Each folder below results/ is a finished run: its card.json and metrics.csv, as training left them,
and predictions.jsonl where some videos were classified with it (`kinema predict --json`).

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

HEADER = """# Results

Measured with this code; nothing here is copied from a paper. This page is generated from the files
in `results/` by `make results`.

| run | data | tested on | top-1 | 95 % interval | mean class | chance | minutes |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Takes over runs where asked to, then writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="run folders to take over")
    for run in parser.parse_args().add:
        target = ROOT / "results" / run.name
        target.mkdir(parents=True, exist_ok=True)
        for name in KEPT:
            if (run / name).exists():
                shutil.copy(run / name, target / name)
    runs = {folder.parent.name: read(folder.parent) for folder in ROOT.glob("results/*/card.json")}
    page = HEADER + "".join(row(name, run) for name, run in sorted(runs.items()))
    page += "".join(section(name, run) for name, run in sorted(runs.items()))
    (ROOT / "docs" / "results.md").write_text(page, encoding="utf-8")
    print(f"docs/results.md: {len(runs)} runs")


def read(folder: Path) -> dict[str, Any]:
    """A run's card, with the rows of its metrics."""
    card: dict[str, Any] = json.loads((folder / "card.json").read_text(encoding="utf-8"))
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
