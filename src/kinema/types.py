"""The words every layer shares: what a model expects, what a clip is, what comes out.

`InputSpec` is the only treaty between `kinema.data` and `kinema.models`: the data side promises to
deliver what it says, the model side promises to ask for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import torch
from torch import Tensor

JSON: TypeAlias = "None | bool | int | float | str | list[JSON] | dict[str, JSON]"
Modality = Literal["rgb", "flow", "rgb_diff"]
Sampling = Literal["segments", "segments_tsm", "shared", "dense"]
Crop = Literal["center", "three", "ten"]
Activation = Literal["softmax", "sigmoid"]

RGB_STATISTICS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet."""
MOTION_STATISTICS = (0.5,), (0.226,)
"""Of flow and differences, as TSN's authors have them."""

CROPS: Mapping[Crop, int] = {"center": 1, "three": 3, "ten": 10}


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """Everything needed to turn a video into the tensor a model expects.

    Attributes:
        modality: what a frame is.
        frames: T of the clip the model receives.
        sampling: how the T frames are chosen. `segments`: one per equal part of the video (TSN,
            mmaction2's arithmetic); `segments_tsm`: the same with the TSM authors' rule for short
            videos; `shared`: segments with one offset for all of them (bLVNet); `dense`: neighbours
            `stride` frames apart.
        stride: distance of neighbouring frames in source frames; `dense` only.
        stack: frames merged into channels at each time step (flow: 5; rgb_diff: 5).
        resize: short side in pixels before cropping.
        crop: side in pixels of the square the model is trained on.
        mean: per channel, on the 0..1 scale; repeated over the stack. (): the modality's usual one,
            ImageNet's for rgb, 0.5 for the others.
        std: like `mean`; 0.226 for the others.
    """

    modality: Modality = "rgb"
    frames: int = 8
    sampling: Sampling = "segments"
    stride: int = 1
    stack: int = 1
    resize: int = 256
    crop: int = 224
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        usual = RGB_STATISTICS if self.modality == "rgb" else MOTION_STATISTICS
        object.__setattr__(self, "mean", self.mean or usual[0])
        object.__setattr__(self, "std", self.std or usual[1])
        for name in ("frames", "stride", "stack", "resize", "crop"):
            if getattr(self, name) < 1:
                raise ValueError(f"input.{name}={getattr(self, name)} must be at least 1")
        if self.crop > self.resize:
            raise ValueError(
                f"input.crop={self.crop} must not exceed input.resize={self.resize}: "
                "the crop is cut from frames of that short side; raise resize or lower crop"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not values or self.channels % len(values):
                raise ValueError(
                    f"input.{name} has {len(values)} values, but {self.modality} with "
                    f"stack={self.stack} has {self.channels} channels; "
                    "give one value or one per channel"
                )
        if min(self.std) <= 0:
            raise ValueError(f"input.std={self.std} must be positive")

    @property
    def channels(self) -> int:
        """Channels of one time step: rgb 3, flow 2 x stack, rgb_diff 3 x stack."""
        return {"rgb": 3, "flow": 2 * self.stack, "rgb_diff": 3 * self.stack}[self.modality]

    def to_input(self, clips: Tensor, device: torch.device | str | None = None) -> Tensor:
        """The one way from stored pixels to a model's input.

        Args:
            clips: (M, C, T, H, W) uint8.
            device: where to go; the bytes travel, the floats are made there.

        Returns:
            (M, C, T, H, W) float32, normalised, in channels_last_3d memory.
        """
        if clips.ndim != 5 or clips.shape[1] != self.channels:
            raise ValueError(
                f"clips of shape {tuple(clips.shape)} must be (M, {self.channels}, T, H, W)"
            )
        repeat = self.channels // len(self.mean), self.channels // len(self.std)
        x = clips.to(device, non_blocking=True)
        x = x.to(dtype=torch.float32, memory_format=torch.channels_last_3d, copy=True)
        mean = torch.tensor(self.mean * repeat[0], device=x.device)[:, None, None, None]
        std = torch.tensor(self.std * repeat[1], device=x.device)[:, None, None, None]
        return x.sub_(mean * 255).div_(std * 255)


@dataclass(frozen=True, kw_only=True)
class EvalProtocol:
    """Which views of a video are scored, and how their scores become one.

    Attributes:
        views: clips along time.
        crop: crops of each clip in space.
        size: side of a crop in pixels; None: the model's crop for `center` and `ten`, its short
            side for `three` (so that three crops cover the whole frame, as in the published "256"
            tests).
        resize: short side in pixels before cropping; None: the model's.
        average: `prob` averages probabilities (mmaction2), `logit` averages logits and then makes
            them probabilities (TSM).
    """

    views: int = 1
    crop: Crop = "center"
    size: int | None = None
    resize: int | None = None
    average: Literal["prob", "logit"] = "prob"

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"protocol.views={self.views} must be at least 1")

    @classmethod
    def named(cls, name: str) -> EvalProtocol:
        """The protocol called VIEWSxCROPS: `1x1`, `10x3` (Kinetics), `2x3` (Something), ..."""
        views, _, crops = name.partition("x")
        by_count = {count: crop for crop, count in CROPS.items()}
        if (
            not views.isdecimal()
            or not crops.isdecimal()
            or int(views) < 1
            or int(crops) not in by_count
        ):
            raise ValueError(
                f"protocol {name!r} must be VIEWSxCROPS with 1, 3 or 10 crops, such as 1x1, 10x3"
            )
        return cls(views=int(views), crop=by_count[int(crops)])

    @property
    def name(self) -> str:
        """`views x crops`."""
        return f"{self.views}x{CROPS[self.crop]}"

    def sides(self, spec: InputSpec) -> tuple[int, int]:
        """(short side, crop side) in pixels for a model with this input."""
        resize = self.resize or spec.resize
        size = self.size or (resize if self.crop == "three" else spec.crop)
        if size > resize:
            raise ValueError(f"protocol crop side {size} must not exceed the short side {resize}")
        return resize, size

    def combine(self, logits: Tensor, activation: Activation = "softmax") -> Tensor:
        """Probabilities of a video from logits of its views: (N, V, K) -> (N, K) float64.

        Args:
            logits: of any float type.
            activation: what makes probabilities of them, see `ModelSpec`.
        """
        logits = logits.double()
        if self.average == "prob":
            return _probabilities(logits, activation).mean(1)
        return _probabilities(logits.mean(1), activation)


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What rebuilds a model and says how to feed it: the plain-data half of a model file.

    Attributes:
        name: of `list_models()`.
        overrides: its options.
        input: the clips it wants.
        labels: class names.
        protocol: the views it is tested with.
        activation: what makes probabilities of its logits, as it was trained: `softmax`, where the
            labels compete and add up to one, or `sigmoid`, where each is true or not by itself.
    """

    name: str
    overrides: Mapping[str, JSON] = field(default_factory=dict)
    input: InputSpec = InputSpec()
    labels: tuple[str, ...] = ()
    protocol: EvalProtocol = EvalProtocol()
    activation: Activation = "softmax"


@dataclass(frozen=True, init=False)
class Record:
    """One labelled video, or one stretch of it.

    Attributes:
        id: unique in its manifest; what scores are filed under.
        path: a video file or a folder of frames.
        labels: indices into the manifest's labels, each once; empty: not known. A single index, or
            None, may be given in place of a tuple.
        start: where the stretch begins, in seconds.
        end: where it ends, in seconds; None: at the end of the video.
        group: the source it was cut from; records of one group stay together when data are split.
            None: told from the file's name.
    """

    id: str
    path: Path
    labels: tuple[int, ...]
    start: float = 0.0
    end: float | None = None
    group: str | None = None

    def __init__(
        self,
        id: str,
        path: Path,
        labels: int | Iterable[int] | None,
        start: float = 0.0,
        end: float | None = None,
        group: str | None = None,
    ) -> None:
        if not start >= 0 or (end is not None and not end > start):
            raise ValueError(f"record {id!r}: start={start} end={end} must be 0 <= start < end")
        given = () if labels is None else (labels,) if isinstance(labels, int) else tuple(labels)
        if len(set(given)) < len(given):
            raise ValueError(f"record {id!r}: labels {given} must name each label once")
        self.__dict__.update(
            id=id, path=path, labels=given, start=start, end=end, group=group
        )  # past the lock of a frozen dataclass

    @property
    def label(self) -> int | None:
        """The only label; None where there is none, or where there are several."""
        return self.labels[0] if len(self.labels) == 1 else None


@dataclass
class Sample:
    """One video as the loader makes it.

    clips (V, C, T, H, W) uint8; target () int64 (-1: unknown), or (K,) float in data whose videos
    have several labels: 1 for each of them (all 0: unknown); spans (V, 2) float64: first and last
    second of each view.
    """

    clips: Tensor
    target: Tensor
    id: str
    spans: Tensor

    def __repr__(self) -> str:
        shape = tuple(self.clips.shape)
        return f"Sample(id={self.id!r}, clips={shape}, target={self.target.tolist()})"


@dataclass
class Batch:
    """Samples of one shape.

    clips (N, V, C, T, H, W) uint8, ids of length N, spans (N, V, 2) float64 seconds. targets (N,)
    int64 where every video has one label; (N, K) float from 0 to 1 where videos have several or
    clips are mixed: how much of each label the clip shows.
    """

    clips: Tensor
    targets: Tensor
    ids: list[str]
    spans: Tensor

    def __post_init__(self) -> None:
        counts = len(self.clips), len(self.targets), len(self.ids), len(self.spans)
        if len(set(counts)) > 1:
            raise ValueError(
                f"a batch needs equal counts of clips, targets, ids and spans, got {counts}"
            )

    def __repr__(self) -> str:
        shapes = f"clips={tuple(self.clips.shape)}, targets={tuple(self.targets.shape)}"
        return f"Batch({shapes}, ids={self.ids})"

    def pin_memory(self) -> Batch:
        """Called by the loader where a GPU is fed: page-locked copies make transfers overlap."""
        return Batch(self.clips.pin_memory(), self.targets.pin_memory(), self.ids, self.spans)


@dataclass
class Outputs:
    """What one forward pass gives.

    logits (N, K), embedding (N, D), features name -> (N, C, T, H, W).
    """

    logits: Tensor
    embedding: Tensor
    features: dict[str, Tensor]

    def __repr__(self) -> str:
        shapes = {name: tuple(x.shape) for name, x in self.features.items()}
        logits, embedding = tuple(self.logits.shape), tuple(self.embedding.shape)
        return f"Outputs(logits={logits}, embedding={embedding}, features={shapes})"


@dataclass(frozen=True)
class Prediction:
    """Probabilities (K,) of the labels over the stretch of video from start to end, in seconds."""

    labels: tuple[str, ...]
    scores: Tensor
    start: float
    end: float

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k most probable labels, best first."""
        values, indices = self.scores.topk(min(k, len(self.labels)))
        return [(self.labels[i], float(p)) for p, i in zip(values, indices.tolist(), strict=True)]


def _probabilities(logits: Tensor, activation: Activation) -> Tensor:
    return logits.softmax(-1) if activation == "softmax" else logits.sigmoid()
