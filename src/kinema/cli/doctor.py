"""`kinema doctor`: what is installed and what this machine can do."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from .verb import Verb


def arguments(parser: ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: Namespace) -> int:
    """Prints every finding; the exit status is 1 where something will not work."""
    import json

    from ..plain import to_plain
    from ..tools.doctor import examine

    findings = examine()
    failed = [f for f in findings if not f.ok]
    if args.json:
        print(json.dumps(to_plain(findings), indent=2))
        return 1 if failed else 0
    group = ""
    for finding in findings:
        if finding.group != group:
            group = finding.group
            print(f"\n{group}" if finding is not findings[0] else group)
        print(f"  {'ok ' if finding.ok else 'NO '} {finding.name:<16} {finding.value}")
    print(f"\n{len(failed)} of {len(findings)} need attention" if failed else "\neverything works")
    return 1 if failed else 0


VERB = Verb(
    name="doctor",
    summary="show versions, the machine, and whether videos can be read",
    arguments=arguments,
    run=run,
    examples=("kinema doctor", "kinema doctor --json > doctor.json"),
)
