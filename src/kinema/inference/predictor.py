"""A model file and a video in, probabilities out.

The path is the test's: `read_views`, `score_views`, `EvalProtocol.combine`, so that a prediction is
what the test would have counted for that video.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from .. import checkpoint
from ..data import (
    ArrayReader,
    Decoder,
    Reader,
    eval_transform,
    make_sampler,
    open_reader,
    read_views,
)
from ..data.readers import ARRAY_NAME, FlowReader
from ..models import VideoModel
from ..remote import RemotePath, to_path
from ..types import EvalProtocol, Prediction, Record

Video: TypeAlias = str | Path | npt.NDArray[np.uint8] | Reader
DEFAULT_FPS = 25.0  # of frames in memory whose rate nobody said


class Predictor:
    """Classifies whole videos.

    Args:
        model: a model, changed to eval mode and moved, or the path of its file.
        device: where it runs.
        protocol: the views, or their name such as `10x3`; None: those the model file states.
        batch: clips in one forward pass.
        threads: of the decoder; 0 lets it choose.
        decoder: what reads video files: `pyav`, or `torchcodec` (extra `fast`).
    """

    def __init__(
        self,
        model: VideoModel | str | Path,
        *,
        device: str | torch.device = "cpu",
        protocol: EvalProtocol | str | None = None,
        batch: int = 8,
        threads: int = 0,
        decoder: Decoder = "pyav",
    ) -> None:
        if batch < 1:
            raise ValueError(f"batch={batch} must be at least 1")
        loaded = model if isinstance(model, VideoModel) else checkpoint.load(model)
        if isinstance(protocol, str):
            protocol = EvalProtocol.named(protocol)
        self.model = loaded.to(device).eval()
        self.protocol = protocol or loaded.spec.protocol
        self.batch = batch
        self.threads, self.decoder = threads, decoder
        spec = loaded.spec.input
        self._sampler = make_sampler(spec, views=self.protocol.views)
        self._transform = eval_transform(spec, self.protocol)

    def predict(
        self,
        video: Video,
        *,
        fps: float = DEFAULT_FPS,
        start: float = 0.0,
        end: float | None = None,
    ) -> Prediction:
        """Probabilities of the labels for one video.

        Args:
            video: a file, a folder of frames, frames in memory (T, H, W, 3) uint8 RGB, or an open
                reader, which stays open. For a model of flow, also a folder of flow; flow of the
                others is computed.
            fps: of frames in memory; it only dates the result.
            start: first second that counts; files and folders only.
            end: first second that does not; None: the whole rest.

        Returns:
            Probabilities, and the time from the first to the last frame that was looked at.

        Raises:
            ImportError: where flow has to be computed and OpenCV is not installed.
            VideoError: naming the file, the frame and the cause.
            ValueError: for frames in memory that are not as said above.
        """
        spec, short_side = self.model.spec.input, self._transform.short_side
        if isinstance(video, np.ndarray):
            frames: Reader = ArrayReader(video, fps, short_side)
            if spec.modality == "flow":
                frames = FlowReader(frames, ARRAY_NAME, threads=self.threads)
            context: AbstractContextManager[Reader] = closing(frames)
        elif isinstance(video, str | Path | RemotePath):
            record = Record(str(video), to_path(video), None, start, end)
            opened = open_reader(
                record,
                spec.modality,
                short_side=short_side,
                threads=self.threads,
                decoder=self.decoder,
            )
            context = closing(opened)
        else:
            context = nullcontext(video)
        with context as reader:
            rng = np.random.default_rng(0)  # test samplers and transforms draw nothing from it
            clips, spans = read_views(reader, spec, self._sampler, self._transform, rng)
        logits = self.model.score_views(clips[None], limit=self.batch)  # (1, V, K)
        return Prediction(
            labels=self.model.spec.labels,
            scores=self.protocol.combine(logits, self.model.spec.activation)[0],
            start=float(spans[:, 0].min()),
            end=float(spans[:, 1].max()),
        )
