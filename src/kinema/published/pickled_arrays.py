"""Pickles that hold arrays in plain containers, read without running what they contain."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def _latin1(text: str, encoding: str) -> bytes:
    """How pickles of Python 2 spell bytes; nothing but this encoding is needed."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes bytes as {encoding}")
    return text.encode("latin1")


_rebuild = getattr(np, "_core", None) or np.core
# All that a mapping from names to arrays needs. Nothing else is looked up, so nothing else runs.
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _rebuild.multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _rebuild.multiarray._reconstruct,
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every name that is not in `_ALLOWED`."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it needs {module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path: Path) -> object:
    """What a pickle of arrays, texts, numbers and plain containers holds.

    Raises:
        ValueError: for a file that needs anything else to load.
    """
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not load as plain weights: {error}") from error


def read_caffe2_file(path: Path) -> dict[str, Tensor]:
    """A `.pkl` file of Caffe2: a pickled mapping `blobs` from names to arrays.

    Raises:
        ValueError: for a file that needs anything but arrays to load, or that has no blobs.
    """
    content = read_pickle(path)
    blobs = content.get("blobs") if isinstance(content, Mapping) else None
    arrays = {
        str(name): torch.from_numpy(np.array(value))
        for name, value in (blobs.items() if isinstance(blobs, Mapping) else ())
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu"
    }
    if not arrays:
        raise ValueError(f"{path} holds no arrays named under `blobs`, as a file of Caffe2 does")
    return arrays
