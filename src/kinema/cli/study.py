"""`kinema study`: several models compared like for like, from one file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("file", metavar="FILE", type=Path, help="what to compare, as YAML")
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="the study's folder (runs/NAME); goes on there"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs at a time (one per GPU, or one per core)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (all GPUs if there are any)")


def run(args: Namespace) -> int:
    """Runs what is not done yet; 1 if a run failed."""
    from ..engine.train import Stopped
    from ..tools.study import load_study, run_study

    study = load_study(args.file)
    out = args.out or Path("runs") / study.name
    try:
        outcome = run_study(study, out, jobs=args.jobs, device=args.device)
    except Stopped as stopped:
        print(f"kinema: {stopped}", file=sys.stderr)
        return 130
    for name, reason in outcome.failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    print(f"results: {out / 'results.csv'}")
    print(f"page:    {outcome.page}")
    return 1 if outcome.failed else 0


VERB = Verb(
    name="study",
    summary="compare models like for like: models x data x seeds under one budget",
    arguments=arguments,
    run=run,
    examples=(
        "kinema study studies/motion-tiny.yaml",
        "kinema study mine.yaml --out runs/mine --jobs 4",
        "kinema study mine.yaml    # again: goes on where it was stopped",
    ),
)
