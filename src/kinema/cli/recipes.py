"""`kinema recipes`: the training settings that have a name."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "name", nargs="?", default="*", help="a pattern; the full name of one recipe shows it all"
    )


def run(args: Namespace) -> int:
    """Lists recipes, or prints one as the YAML that `kinema train --recipe FILE` reads."""
    import yaml

    from ..engine import recipes as _  # noqa: F401  registers them
    from ..engine.config import list_recipes, recipes
    from ..plain import to_plain

    names = list_recipes(args.name)
    if names == [args.name]:
        print(yaml.safe_dump(to_plain(recipes[args.name]()), sort_keys=False), end="")
        return 0
    if not names:
        raise ValueError(f"no recipe matches {args.name!r}; kinema recipes shows all")
    width = max(map(len, names))
    print(f"{'recipe':<{width}}  {'model':<18} {'frames':>7} {'length':>12} {'batch':>6}  test")
    for name in names:
        recipe = recipes[name]()
        frames = "+".join(str(p.frames) for p in recipe.phases)
        length = "+".join(str(p.length) for p in recipe.phases) + f" {recipe.phases[0].unit}"
        print(
            f"{name:<{width}}  {recipe.model:<18} {frames:>7} {length:>12} "
            f"{recipe.phases[0].batch:>6}  {recipe.eval.name}"
        )
    return 0


VERB = Verb(
    name="recipes",
    summary="list the training recipes, or show one in full",
    arguments=arguments,
    run=run,
    examples=(
        "kinema recipes",
        "kinema recipes 'tsm*'",
        "kinema recipes NAME > mine.yaml    # then: kinema train DATA --recipe mine.yaml",
    ),
)
