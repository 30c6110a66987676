"""How a look at several model files tests them: all on the same videos, in the same way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ... import checkpoint
from ...data import Decoder, Manifest
from ...data.unread import MAX_SKIPPED, OnError
from ...engine.evaluate import evaluate
from ...engine.held_out import REMEMBERED, targets_of, trained_on
from ...engine.metrics import truth_of
from ...engine.runtime import choose_device
from ...engine.scores import Evaluation
from ...models import VideoModel
from ...progress import console
from ...types import EvalProtocol, InputSpec


@dataclass(frozen=True, kw_only=True)
class Testing:
    """The options of `evaluate` that hold for every model.

    Attributes:
        protocol: None: the one each model file states.
        device: None: a GPU if there is one.
        batch: clips in one forward pass.
        workers: decoding processes; -1: as many as there are cores, at most 8.
        on_error: what an unreadable video does.
        max_skipped: how many may be skipped.
        decoder: what reads video files.
    """

    __test__ = False  # pytest takes names that begin with Test for tests

    protocol: str | None = None
    device: str | None = None
    batch: int = 8
    workers: int = -1
    on_error: OnError = "raise"
    max_skipped: float = MAX_SKIPPED
    decoder: Decoder = "pyav"

    def load(self, file: Path, manifest: Manifest) -> VideoModel:
        """A model on the device; says so where it was trained on these videos."""
        if trained_on(file, manifest):
            console.print(f"{file}: {REMEMBERED}", soft_wrap=True)
        return checkpoint.load(file, choose_device(self.device))

    def protocol_of(self, model: VideoModel) -> EvalProtocol:
        """The views it is tested with."""
        return EvalProtocol.named(self.protocol) if self.protocol else model.spec.protocol

    def score(self, model: VideoModel, manifest: Manifest, fed: InputSpec) -> Evaluation:
        """Tests a model that is fed in another way than it states."""
        stated = model.spec
        model.spec = replace(stated, input=fed)
        try:
            return evaluate(
                model,
                manifest,
                protocol=self.protocol,
                batch=self.batch,
                workers=self.workers,
                on_error=self.on_error,
                max_skipped=self.max_skipped,
                decoder=self.decoder,
            )
        finally:
            model.spec = stated


def chance(model: VideoModel, manifest: Manifest) -> float:
    """Top-1 of a guess; with several labels per video that of naming one of them."""
    return float(truth_of(targets_of(manifest, model), len(model.spec.labels)).mean())
