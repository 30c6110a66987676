"""Whether training on some data will wait for its videos, measured before it begins."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from ..data import Manifest, train_dataset
from ..engine.config import Recipe
from ..engine.evaluate import share_workers
from ..engine.optim import build_optimizer, freeze, group_parameters, set_rate
from ..engine.runtime import Runtime, choose_precision, cores
from ..engine.session import micro_batch
from ..losses import Objective
from ..models import create_model
from ..types import InputSpec

CLIPS = 24  # decoded to measure
CPU_BATCH = 8  # a whole batch of a large model takes minutes on a CPU; its rate shows with fewer
STEPS = 2  # timed, after one that is not


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What a clip costs on both sides.

    Attributes:
        model: its name.
        device: where the step was measured.
        precision: in which number format.
        clip: what was decoded, in words.
        clips: training clips of an epoch.
        decode_ms: from file to clip, with augmentation, in one process; mean.
        decoded: clips this was measured on.
        step_ms: forward, backward and optimizer step of a batch; mean.
        batch: clips of that step.
        workers: processes that decode in training.
        cores: of this machine.
        shared: whether the step and the decoders take turns on the same cores (a CPU).
    """

    model: str
    device: str
    precision: str
    clip: str
    clips: int
    decode_ms: float
    decoded: int
    step_ms: float
    batch: int
    workers: int
    cores: int
    shared: bool

    @property
    def decode_rate(self) -> float:
        """Clips per second that all processes decode, with nothing else to do."""
        return min(self.workers, self.cores) * 1000 / self.decode_ms

    @property
    def model_rate(self) -> float:
        """Clips per second that the model learns from, with nothing to wait for."""
        return self.batch * 1000 / self.step_ms

    @property
    def rate(self) -> float:
        """Clips per second to expect: the slower of the two; on shared cores, one after another."""
        if self.shared:
            return 1 / (1 / self.model_rate + self.decode_ms / 1000 / self.cores)
        return min(self.decode_rate, self.model_rate)

    @property
    def share(self) -> float:
        """Share of the time that goes into decoding, or into waiting for it."""
        return 1 - self.rate / self.model_rate

    @property
    def bound(self) -> bool:
        """Whether decoding, and not the model, decides how long training takes."""
        return self.share > 0.5 if self.shared else self.decode_rate < self.model_rate

    def verdict(self) -> str:
        """The forecast in one sentence."""
        if self.shared:
            who = "Decoding decides" if self.bound else "The model decides"
            return (
                f"{who} how long training takes: both share {self.cores} cores, and decoding "
                f"takes {self.share:.0%} of the time."
            )
        ratio = self.model_rate / self.decode_rate
        if not self.bound:
            return (
                f"Training will not wait for videos: they are decoded {1 / ratio:.1f} times as "
                "fast as the model learns."
            )
        return (
            f"Training will be bound by decoding: the model could learn {ratio:.1f} times as fast "
            f"and will wait {self.share:.0%} of the time; {self.wanted_workers} cores would do."
        )

    @property
    def wanted_workers(self) -> int:
        """Processes, each on a core of its own, that keep up with the model."""
        return math.ceil(self.model_rate * self.decode_ms / 1000)

    def lines(self) -> list[str]:
        """The measurements, then the forecast."""
        minutes = self.clips / self.rate / 60
        return [
            f"decoding: {self.decode_ms:.1f} ms per clip ({self.clip}; mean of {self.decoded} "
            f"clips, one process); {self.workers} processes on {self.cores} cores: "
            f"{self.decode_rate:.1f} clips/s",
            f"training: {self.step_ms:.0f} ms per step of {self.batch} clips ({self.model}, "
            f"{self.device}, {self.precision}): {self.model_rate:.1f} clips/s",
            f"{self.verdict()} About {self.rate:.1f} clips/s, {minutes:.1f} minutes per epoch of "
            f"{self.clips} clips.",
        ]


def forecast(manifest: Manifest, recipe: Recipe, spec: InputSpec, device: torch.device) -> Forecast:
    """Decodes some training clips, takes some training steps on noise, and compares.

    Args:
        manifest: readable training clips.
        recipe: gives model, batch, augmentation and workers; of its phases the first counts.
        spec: how clips are cut.
        device: where the model is to be trained.

    Raises:
        ValueError: for an empty manifest, or a model that cannot be made.
    """
    if not manifest.records:
        raise ValueError(f"{manifest.name} has no clips left to measure")
    precision, _ = choose_precision(device, recipe.precision)
    runtime = Runtime(device=device, precision=precision)
    decode_ms, decoded = _time_clips(manifest, recipe, spec)
    step_ms, batch = _time_step(manifest, recipe, spec, runtime)
    how = f"stride {spec.stride}" if spec.sampling == "dense" else spec.sampling
    return Forecast(
        model=recipe.model,
        device=str(device),
        precision=precision,
        clip=f"{spec.frames} frames, {how}, short side {spec.resize}",
        clips=len(manifest),
        decode_ms=decode_ms,
        decoded=decoded,
        step_ms=step_ms,
        batch=batch,
        workers=max(1, share_workers(recipe.workers, runtime)),
        cores=cores(),
        shared=device.type == "cpu",
    )


def _time_clips(manifest: Manifest, recipe: Recipe, spec: InputSpec) -> tuple[float, int]:
    """Milliseconds per clip, as a loader process works: one thread. The first clip only warms."""
    dataset = train_dataset(
        manifest, spec, recipe.augment, seed=recipe.seed, decoder=recipe.decoder
    )
    count = min(CLIPS, len(manifest))
    chosen = np.random.default_rng(recipe.seed).permutation(len(manifest))[:count]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        dataset[int(chosen[0])]
        began = time.perf_counter()
        for index in chosen:
            dataset[int(index)]
        return (time.perf_counter() - began) / count * 1000, count
    finally:
        torch.set_num_threads(threads)


def _time_step(
    manifest: Manifest, recipe: Recipe, spec: InputSpec, runtime: Runtime
) -> tuple[float, int]:
    """(milliseconds, clips) of an optimizer step on noise."""
    device, phase = runtime.device, recipe.phases[0]
    batch = micro_batch(phase, recipe, 1)
    if device.type == "cpu":
        batch = min(batch, CPU_BATCH)
    model = create_model(
        recipe.model,
        input=spec,
        labels=manifest.labels,
        **recipe.model_args,  # type: ignore[arg-type]  # create_model checks them
    )
    model.backbone.recompute = recipe.recompute
    freeze(model, recipe.freeze, recipe.freeze_bn)
    objective = Objective(model, [term.build(model) for term in recipe.loss]).to(device).train()
    groups = group_parameters(objective, model, recipe.optim.rules)
    optimizer = build_optimizer(objective, groups, recipe.optim)
    set_rate(optimizer, 1e-6)
    shape = (batch, spec.channels, spec.frames, spec.crop, spec.crop)
    clips = torch.randint(256, shape, dtype=torch.uint8)
    targets = torch.arange(batch, device=device) % manifest.num_classes
    for step in range(1 + STEPS):
        if step == 1:
            began = _now(device)
        optimizer.zero_grad(set_to_none=True)
        x = spec.to_input(clips, device)
        with runtime.autocast():
            report = objective(x, targets)
        report.total.backward()
        optimizer.step()
    return (_now(device) - began) / STEPS * 1000, batch


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
