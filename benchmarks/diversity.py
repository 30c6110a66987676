"""What the temporal diversity loss adds to a training step.

python benchmarks/diversity.py [--model tsm_resnet50] [--side 224] [--batch 2] [--rounds 7]

Forward and backward through the objective with cross entropy alone, and with the loss on half of
the channels of three blocks (TDRL, arXiv:2007.07626); then the loss by itself on the same maps: the
difference without the noise of two whole steps. About a minute and a half on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from timing import interleaved, table, write

from kinema import create_model
from kinema.losses import CrossEntropyConfig, DiversityConfig, Objective
from kinema.types import InputSpec


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tsm_resnet50")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/diversity.json"))
    args = parser.parse_args()
    spec = InputSpec(frames=args.frames, resize=args.side, crop=args.side)
    model = create_model(args.model, input=spec, num_classes=174, width=args.width).train()
    pixels = torch.randint(0, 256, (args.batch, 3, args.frames, args.side, args.side))
    clip, target = spec.to_input(pixels.byte()), torch.arange(args.batch)

    def step(*terms: CrossEntropyConfig | DiversityConfig) -> Callable[[], None]:
        objective = Objective(model, [term.build(model) for term in terms])

        def run() -> None:
            objective.zero_grad()
            objective(clip, target).total.backward()

        return run

    loss = DiversityConfig().build(model)
    with torch.no_grad():
        out = model.run(clip, loss.taps)
    out.features = {name: x.detach().requires_grad_() for name, x in out.features.items()}
    times = interleaved(
        {
            "cross entropy": step(CrossEntropyConfig()),
            "and temporal diversity": step(CrossEntropyConfig(), DiversityConfig()),
            "temporal diversity by itself": lambda: loss(out, target).backward(),
        },
        args.rounds,
    )
    shape = f"{args.batch}x{args.frames}x{args.side}x{args.side}"
    write(args.out, table(f"training step of {args.model}, {shape}, width {args.width}", times))


if __name__ == "__main__":
    main()
