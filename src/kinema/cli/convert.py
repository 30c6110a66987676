"""`kinema convert`: a published checkpoint in, a kinema model file out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the published checkpoint")
    parser.add_argument("--source", required=True, help="the repository it was released with")
    parser.add_argument("--model", required=True, help="a name from kinema models")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="the model file to write"
    )
    parser.add_argument(
        "--classes", type=int, metavar="K", help="number of classes (400, or as the source says)"
    )
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="class names, one per line, in index order"
    )


def run(args: Namespace) -> int:
    """Converts strictly: a key of either side that is left over is an error."""
    import yaml

    from ..tools.convert import convert_file

    overrides = {}
    for assignment in args.overrides:
        key, _, text = assignment.partition("=")
        overrides[key] = yaml.safe_load(text)
    if args.classes:
        overrides["num_classes"] = args.classes
    if args.labels:
        names = args.labels.read_text(encoding="utf-8").splitlines()
        overrides["labels"] = [name for name in names if name.strip()]
    model = convert_file(
        args.file, args.out, source=args.source, model=args.model, overrides=overrides
    )
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{args.out}: {args.model}, {parameters:,} parameters, {len(model.spec.labels)} classes")
    return 0


VERB = Verb(
    name="convert",
    summary="turn a published checkpoint into a kinema model file",
    arguments=arguments,
    run=run,
    overrides=True,
    examples=(
        "kinema convert TSM_kinetics_RGB_resnet50.pth --source mit-han-lab/temporal-shift-module "
        "--model tsm_resnet50 --out tsm.safetensors",
        "kinema convert resnet50-0676ba61.pth --source pytorch/vision --model tsn_resnet50 "
        "--classes 1000 --out imagenet.safetensors",
    ),
)
