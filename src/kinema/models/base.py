"""What a video model is made of: backbone, optional neck, head."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from ..layers.layout import lay_out
from ..layers.streaming import State, step
from ..layers.taps import Taps
from ..registry import Registry
from ..types import ModelSpec, Outputs


class Backbone(Protocol):
    """From a clip to a feature map."""

    tap_channels: Mapping[str, int]
    """Every tap in the order of the pass -> its channels; the last is the output."""
    recompute: bool
    """Keep no activations inside blocks while training, compute them again in the backward pass."""

    def __call__(self, clip: Tensor, taps: Taps) -> Tensor:
        """(N, C, T, H, W) -> (N, C', T', H', W')."""
        ...


class Neck(Protocol):
    """From several feature maps to one."""

    taps: tuple[str, ...]
    """What it reads, e.g. ("layer3", "layer4")."""
    out_channels: int

    def __call__(self, features: Mapping[str, Tensor]) -> Tensor:
        """Name -> (N, C, T, H, W) to (N, out_channels, T', H', W')."""
        ...


class VideoModel(nn.Module):
    """Clips in, logits out. It knows no files; `spec` says how it wants to be fed.

    Args:
        backbone: also an nn.Module.
        head: returns (logits, embedding).
        neck: between them; None: the head reads the backbone's output.
    """

    spec: ModelSpec

    def __init__(self, backbone: Backbone, head: nn.Module, neck: Neck | None = None) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        lay_out(self)  # behind initialisation, which draws numbers in the order of memory

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, clip: Tensor) -> Tensor:
        """(N, C, T, H, W) float, normalised -> logits (N, K)."""
        return self.run(clip).logits

    def run(self, clip: Tensor, taps: Collection[str] = ()) -> Outputs:
        """One pass that also returns the embedding (N, D) and the wanted taps.

        Raises:
            KeyError: naming the taps that do not exist.
        """
        reads = self.neck.taps if self.neck else ()
        collected = Taps((*taps, *reads))
        x = self.backbone(clip, collected)
        found = collected.found()
        if self.neck:
            x = self.neck(found)
        logits, embedding = self.head(x)
        return Outputs(logits, embedding, {name: found[name] for name in taps})

    def step(self, frame: Tensor, state: State = None) -> tuple[Tensor, State]:
        """One frame of a stream: (N, C, 1, H, W), state -> this frame's logits (N, K), new state.

        The mean of the logits over a clip's frames is `forward` of that clip. Raises TypeError for
        a model that looks ahead.
        """
        if self.neck is not None:
            raise TypeError(
                f"{self.spec.name} has a neck over whole clips and cannot run frame by frame"
            )
        assert isinstance(self.backbone, nn.Module)
        x, state = step(self.backbone, frame, state)
        return self.head(x)[0], state

    @torch.no_grad()
    def score_views(self, clips: Tensor, *, limit: int | None = None) -> Tensor:
        """Logits of every view of every video; the one way from stored pixels to scores.

        Args:
            clips: (N, V, C, T, H, W) uint8.
            limit: clips in one forward pass at most; None: all at once.

        Returns:
            (N, V, K) float32 on the CPU. The caller has set eval mode.
        """
        flat = clips.flatten(0, 1)  # (N*V, C, T, H, W)
        # TF32, which GPUs use for float32 unless told otherwise, would give other scores there.
        fast = torch.backends.cudnn.benchmark
        with torch.backends.cudnn.flags(enabled=True, benchmark=fast, allow_tf32=False):
            parts = [
                self(self.spec.input.to_input(part, self.device)).float().cpu()
                for part in flat.split(limit or len(flat))
            ]
        return torch.cat(parts).unflatten(0, clips.shape[:2])


models: Registry[Callable[..., VideoModel]] = Registry("model")
register_model = models.register
