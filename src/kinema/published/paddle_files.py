"""Paddle's two files of weights, read without Paddle and without running what they contain."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .pickled_arrays import read_pickle

_TYPES = {2: "<i4", 3: "<i8", 4: "<f2", 5: "<f4", 6: "<f8"}  # of paddle's VarType.Type


def read_paddle_file(path: Path) -> dict[str, Tensor]:
    """A `.pdparams` file: a pickled mapping from names to arrays.

    Raises:
        ValueError: for a file that needs anything but arrays to load.
    """
    content = read_pickle(path)
    arrays = {}
    for name, value in content.items() if isinstance(content, Mapping) else ():
        # Paddle 2 stores (name, array)
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if isinstance(array, np.ndarray) and array.dtype.kind in "fiu":
            arrays[str(name)] = torch.from_numpy(np.array(array))
    if not arrays:
        raise ValueError(f"{path} holds no named tensors")
    return arrays


def read_paddle_folder(folder: Path) -> dict[str, Tensor]:
    """A folder with one file per variable, as `save_params` of Paddle 1 wrote it.

    Raises:
        ValueError: naming the file that is no variable.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    named = {path.name: path for path in files if not path.name.startswith(("__", "."))}
    if not named:
        raise ValueError(f"{folder} holds no named tensors")
    return {name: _variable(path) for name, path in named.items()}


def _variable(path: Path) -> Tensor:
    """One variable: version, levels of detail, version, description, values.

    All numbers are little-endian; the description is a protobuf message of type and sides.
    """
    content = path.read_bytes()
    try:
        version, levels = struct.unpack_from("<IQ", content)
        place = 12
        for _ in range(levels):
            (size,) = struct.unpack_from("<Q", content, place)
            place += 8 + size
        again, size = struct.unpack_from("<Ii", content, place)
        place += 8
        kind, shape = _description(content[place : place + size])
        place += size
        dtype = np.dtype(_TYPES[kind])
        wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if version or again or len(content) - place != wanted:
            raise ValueError("its parts do not add up")
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no variable that Paddle 1 saved: {error}") from None
    values = np.frombuffer(content, dtype, offset=place).reshape(shape)
    return torch.from_numpy(values.copy())


def _description(message: bytes) -> tuple[int, list[int]]:
    """(type, sides) of the protobuf message `TensorDesc`: fields 1 and 2."""
    kind, shape, place = -1, [], 0
    while place < len(message):
        field, place = _varint(message, place)
        value, place = _varint(message, place)
        if field == 0x08:
            kind = value
        elif field == 0x10:
            shape.append(value)
        elif field == 0x12:  # packed: a length, then numbers
            end = place + value
            while place < end:
                side, place = _varint(message, place)
                shape.append(side)
        else:
            raise ValueError(f"its description has a field {field >> 3}")
    return kind, shape


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """(number, place behind it): seven bits per byte, the lowest first."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
