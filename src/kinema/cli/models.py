"""`kinema models`: what can be built, and how large it is."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("pattern", nargs="?", default="*", help="names to show, such as 'tsm*'")
    parser.add_argument(
        "--classes", type=int, default=400, metavar="K", help="number of classes (400)"
    )
    parser.add_argument(
        "--macs",
        action="store_true",
        help="also count the multiply-adds of one view, 8 frames of 224x224 (slower)",
    )


def run(args: Namespace) -> int:
    """Prints one line per model; shapes only, no weights are made."""
    import torch

    from ..models import create_model, list_models

    names = list_models(args.pattern)
    if not names:
        raise ValueError(f"no model matches {args.pattern!r}; kinema models shows all")
    if args.macs:
        from ..tools.profile import profile
    width = max(map(len, names))
    print(f"{'model':<{width}}  {'parameters':>12}" + ("  GMACs per view" if args.macs else ""))
    for name in names:
        with torch.device("meta"):
            model = create_model(name, num_classes=args.classes)
        parameters = sum(p.numel() for p in model.parameters())
        macs = f"  {profile(model).macs / 1e9:>14.2f}" if args.macs else ""
        print(f"{name:<{width}}  {parameters:>12,}{macs}")
    return 0


VERB = Verb(
    name="models",
    summary="list the models with their sizes",
    arguments=arguments,
    run=run,
    examples=("kinema models", "kinema models 'tsm*' --classes 174", "kinema models --macs"),
)
