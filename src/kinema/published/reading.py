"""Checkpoint files as named tensors; code in a file is never run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .caffe_file import read_caffe_file
from .paddle_files import read_paddle_file, read_paddle_folder
from .pickled_arrays import read_caffe2_file


class _Inert:
    """Stands in for training records that checkpoints carry beside their weights; never used."""

    def __init__(self, *args: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


# Globals that checkpoints of mmengine refer to. None of them runs: each name is bound to `_Inert`.
_RECORDS = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.logging.message_hub.MessageHub",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "numpy.dtypes.Float64DType",
    "_codecs.encode",
)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, without wrappers; code in the file is never run.

    Args:
        path: a `.safetensors` file, a torch file, a `.caffemodel` file, a `.pkl` file of Caffe2, a
            `.pdparams` file of Paddle, or a folder where it wrote one file per variable; tensors
            may lie under `state_dict`, `model_state` or `model`.

    Raises:
        FileNotFoundError: where there is no file.
        ValueError: for a file that needs code to load, or that holds no tensors.
    """
    path = Path(path)
    if path.is_dir():
        return read_paddle_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    if path.suffix == ".safetensors":
        return strip_wrappers(load_file(path))
    if path.suffix == ".caffemodel":
        return read_caffe_file(path)
    if path.suffix == ".pkl":
        return read_caffe2_file(path)
    if path.suffix == ".pdparams":
        return read_paddle_file(path)
    try:
        with torch.serialization.safe_globals([(_Inert, name) for name in _RECORDS]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises several kinds, all of them meaning "not a plain file"
        raise ValueError(
            f"{path} does not load as plain weights: {str(error).splitlines()[0]}"
        ) from error
    return strip_wrappers(content)


def strip_wrappers(content: object) -> dict[str, Tensor]:
    """The name -> tensor mapping inside what a file held; the prefix `module.` goes."""
    while isinstance(content, Mapping):
        inner = [
            k for k in ("state_dict", "model_state", "model") if isinstance(content.get(k), Mapping)
        ]
        if not inner:
            break
        content = content[inner[0]]
    if not isinstance(content, Mapping) or not any(isinstance(x, Tensor) for x in content.values()):
        raise ValueError("the checkpoint holds no named tensors")
    return {
        str(key).removeprefix("module."): x for key, x in content.items() if isinstance(x, Tensor)
    }
