"""Frames in as they come, predictions out: cameras and endless recordings.

A causal model keeps what it needs of the past and looks at each frame once (`StepStream`); any
other model looks at the newest clip again and again (`WindowStream`). Memory stays the same however
long the stream is.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..data import ArrayReader, eval_transform
from ..layers.streaming import State
from ..models import VideoModel
from ..types import EvalProtocol, Prediction

Frame = npt.NDArray[np.uint8]


class Stream(Protocol):
    """Classifies the newest frames."""

    def push(self, frame: Frame) -> Prediction | None:
        """Takes one frame (H, W, 3) uint8 RGB.

        Returns:
            Probabilities over the frames they rest on; None while there are too few of them, and
            for frames that are left out.
        """
        ...

    def reset(self) -> None:
        """Forgets all frames: the next one is the first of another video."""
        ...


class _Stream:
    """What both kinds share: which frames count, how they are prepared, how scores are smoothed."""

    span: int  # looked-at frames that one score rests on

    def __init__(self, model: VideoModel, every: int, smooth: int, fps: float) -> None:
        self.model = model.eval()
        self._every, self._smooth, self._fps = every, smooth, fps
        self._transform = eval_transform(model.spec.input, EvalProtocol())
        self._rng = np.random.default_rng(0)  # test transforms draw nothing
        self.reset()

    def reset(self) -> None:
        """See `Stream`."""
        self._count = 0
        self._logits: deque[Tensor] = deque(maxlen=self._smooth)

    @torch.no_grad()
    def push(self, frame: Frame) -> Prediction | None:
        """See `Stream`."""
        number, self._count = self._count, self._count + 1
        if number % self._every:
            return None
        logits = self._score(self._prepare(frame))
        if logits is None:
            return None
        self._logits.append(logits)
        views = torch.stack(list(self._logits), dim=1)  # (1, V, K)
        scores = EvalProtocol(average="logit").combine(views, self.model.spec.activation)[0]
        frames = (self.span + len(self._logits) - 1) * self._every
        end = (number + 1) / self._fps
        start = max(0.0, (number + self._every - frames) / self._fps)
        return Prediction(self.model.spec.labels, scores.cpu(), start, end)

    def _prepare(self, frame: Frame) -> Tensor:
        """(H, W, 3) uint8 -> (1, C, 1, crop, crop) uint8, on the same way as a test's frames."""
        reader = ArrayReader(frame[None], self._fps, self._transform.short_side)
        pixels = self._transform(reader.read([0]), "rgb", self._rng)  # (1, 1, C, h, w)
        return pixels.transpose(1, 2)

    def _score(self, frame: Tensor) -> Tensor | None:
        """(1, C, 1, h, w) uint8 -> logits (1, K), or None."""
        raise TypeError(f"{type(self).__name__} must define _score")


class StepStream(_Stream):
    """Every frame goes through a causal model once; the model's state is the past."""

    span = 1

    def reset(self) -> None:
        """See `Stream`."""
        super().reset()
        self._state: State = None

    def _score(self, frame: Tensor) -> Tensor:
        x = self.model.spec.input.to_input(frame, self.model.device)
        logits, self._state = self.model.step(x, self._state)
        return logits


class WindowStream(_Stream):
    """The newest T looked-at frames are one clip."""

    def reset(self) -> None:
        """See `Stream`."""
        super().reset()
        self.span = self.model.spec.input.frames
        self._window: deque[Tensor] = deque(maxlen=self.span)

    def _score(self, frame: Tensor) -> Tensor | None:
        self._window.append(frame)
        if len(self._window) < self.span:
            return None
        clip = torch.cat(list(self._window), dim=2)  # (1, C, T, h, w)
        return self.model(self.model.spec.input.to_input(clip, self.model.device))


def open_stream(model: VideoModel, *, every: int = 1, smooth: int = 1, fps: float = 25.0) -> Stream:
    """A stream for any model: by steps where the model is causal, else over a sliding window.

    Args:
        model: changed to eval mode.
        every: look at every n-th frame only. Choose it so that the frames looked at are as far
            apart as in training.
        smooth: average the logits of so many looks.
        fps: frames pushed per second; it only dates the predictions.

    Raises:
        ValueError: for a model that reads other than RGB frames.
    """
    if min(every, smooth) < 1 or fps <= 0:
        raise ValueError(f"every={every} and smooth={smooth} must be at least 1, fps={fps} above 0")
    spec = model.spec.input
    if spec.modality != "rgb":
        raise ValueError(f"{model.spec.name} reads {spec.modality}; a stream has RGB frames")
    kind = StepStream if _can_step(model) else WindowStream
    return kind(model, every, smooth, fps)


def _can_step(model: VideoModel) -> bool:
    """Whether the model runs frame by frame; tried on the smallest frame."""
    training = model.training
    frame = torch.zeros(1, model.spec.input.channels, 1, 32, 32, device=model.device)
    try:
        with torch.no_grad():
            model.eval().step(frame)
    except TypeError:
        return False
    finally:
        model.train(training)
    return True
