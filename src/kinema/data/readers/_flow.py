"""Optical flow between neighbouring frames, by OpenCV (extra `flow`), as the bytes a model reads.

One byte holds a component of -BOUND to BOUND pixels, 128 where nothing moves: what TSN's authors
store (arXiv:1608.00859, their `dense_flow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ._protocol import Reader, VideoError, check_indices

FlowMethod: TypeAlias = Literal["dis", "dis_fast", "farneback", "tvl1"]
"""DIS (arXiv:1603.03590) at OpenCV's presets medium and fast, Farneback (SCIA 2003), TV-L1 (Zach,
Pock and Bischof 2007), the slow and exact one of the first two-stream networks."""

FLOW_METHODS: tuple[FlowMethod, ...] = get_args(FlowMethod)
METHOD: FlowMethod = "dis"  # of flow that is computed while reading
BOUND = 20.0  # pixels; what moves further counts as so far
STILL = 128
NEEDED = "pip install 'kinema[flow]'"

Grey: TypeAlias = NDArray[np.uint8]


def load_opencv() -> ModuleType:
    """The package `cv2`.

    Raises:
        ImportError: saying why it does not load and what to install.
    """
    try:
        import cv2
    except Exception as error:  # a broken installation raises whatever it likes
        raise ImportError(
            f"flow is computed by OpenCV, which cannot be loaded ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); it needs: {NEEDED}; or give folders of flow_x_00001"
            ".jpg and flow_y_00001.jpg"
        ) from error
    return cv2


class FlowEstimator:
    """Computes how far every pixel of a picture moves to the next one.

    Args:
        method: see `FlowMethod`; parameters are OpenCV's own, Farneback's those of its manual.
        threads: of OpenCV, in this whole process; 0 lets it choose.

    Raises:
        ImportError: where OpenCV is not installed, or for TV-L1 is not the contrib build.
        ValueError: for a method that does not exist.
    """

    def __init__(self, method: FlowMethod = METHOD, *, threads: int = 1) -> None:
        if method not in FLOW_METHODS:
            raise ValueError(f"flow method {method!r} must be one of {', '.join(FLOW_METHODS)}")
        self.method = method
        self._cv2: Any = load_opencv()  # a module's names have no types
        self._cv2.setNumThreads(threads or -1)
        self._algorithm: Any = None
        if method == "tvl1":
            if not hasattr(self._cv2, "optflow"):
                raise ImportError(
                    "flow method 'tvl1' is in OpenCV's contrib build only; uninstall opencv-python "
                    f"and the like, then {NEEDED}; or use dis"
                )
            self._algorithm = self._cv2.optflow.DualTVL1OpticalFlow_create()
        elif method != "farneback":
            fast = method == "dis_fast"
            preset = "FAST" if fast else "MEDIUM"
            self._algorithm = self._cv2.DISOpticalFlow_create(
                getattr(self._cv2, f"DISOPTICAL_FLOW_PRESET_{preset}")
            )

    @property
    def version(self) -> str:
        """Of OpenCV."""
        return str(self._cv2.__version__)

    def grey(self, frame: Tensor) -> Grey:
        """(3, H, W) uint8 RGB -> (H, W) uint8."""
        pixels = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
        return np.asarray(self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2GRAY))

    def __call__(self, first: Grey, second: Grey) -> NDArray[np.float32]:
        """Two pictures (H, W) uint8 -> (H, W, 2) pixels to the right and down.

        Raises:
            ValueError: for pictures that the method cannot work on.
        """
        try:
            if self.method == "farneback":
                flow = self._cv2.calcOpticalFlowFarneback(
                    first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0
                )
            else:
                flow = self._algorithm.calc(first, second, None)
        except self._cv2.error as error:
            rule = " ".join(str(error).split()).partition("error: ")[2]
            height, width = first.shape
            raise ValueError(
                f"no flow can be computed of {width}x{height} pixels: {rule}"
            ) from error
        return np.asarray(flow, dtype=np.float32)


def quantise(flow: NDArray[np.float32], bound: float = BOUND) -> Grey:
    """Pixels (H, W, 2) as bytes (2, H, W): -bound is 0, bound 255, what lies beyond is cut off."""
    scaled = np.rint(np.clip((flow + bound) * (255 / (2 * bound)), 0, 255))
    return np.ascontiguousarray(scaled.astype(np.uint8).transpose(2, 0, 1))


def rescale(flow: Tensor, factor: float) -> Tensor:
    """Bytes of flow whose pictures were scaled, in the pixels they have now: any shape, uint8."""
    if factor == 1:
        return flow
    return ((flow.float() - STILL) * factor + STILL).round_().clamp_(0, 255).byte()


class FlowReader:
    """The flow of a video: frame n of this reader is what moves from the video's frame n to n + 1.

    A video of N frames has N - 1 of them, each shown when the first of its two is. They are
    computed at the size that the frames are read with.

    Args:
        frames: RGB; closed with this reader.
        path: for messages.
        threads: of OpenCV.

    Raises:
        ImportError: where OpenCV is not installed.
        VideoError: for a video, or a stretch of one, with a single frame.
    """

    def __init__(self, frames: Reader, path: Path | str, *, threads: int = 1) -> None:
        self.fps = frames.fps
        self._frames, self._path = frames, path
        try:
            self._estimator = FlowEstimator(threads=threads)
            check_pairs(path, len(frames))
        except BaseException:
            frames.close()
            raise

    def __len__(self) -> int:
        return len(self._frames) - 1

    def read(self, indices: Sequence[int]) -> Tensor:
        """(len(indices), 2, H, W) uint8, as `quantise` makes them."""
        check_indices(self._path, indices, len(self))
        pairs = sorted({int(i) for i in indices})
        places = sorted({place for i in pairs for place in (i, i + 1)})
        pictures = self._frames.read(places)
        grey = {i: self._estimator.grey(x) for i, x in zip(places, pictures, strict=True)}
        flows = {i: self._flow(i, grey[i], grey[i + 1]) for i in pairs}
        return torch.stack([flows[int(i)] for i in indices])

    def times(self, indices: Sequence[int]) -> NDArray[np.float64]:
        """Those of the first frame of each pair, in seconds: (n,)."""
        check_indices(self._path, indices, len(self))
        return self._frames.times(indices)

    def close(self) -> None:
        """Closes the video."""
        self._frames.close()

    def _flow(self, index: int, first: Grey, second: Grey) -> Tensor:
        try:
            return torch.from_numpy(quantise(self._estimator(first, second)))
        except ValueError as error:
            raise VideoError(self._path, index, str(error)) from error


def check_pairs(path: Path | str, frames: int) -> None:
    """Raises VideoError where there are not two frames that something could move between."""
    if frames < 2:
        raise VideoError(path, None, "has one frame; flow is what moves between two")
