"""`.caffemodel` files as named tensors, without Caffe: what is needed of protocol buffers.

A file is a message `NetParameter` (caffe.proto): fields with a number and one of four encodings. Of
the layers, name and blobs are read; everything else is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

# Numbers of fields: NetParameter's lists of layers, new and old, with those of name and blobs in
# them, and BlobProto's.
LAYERS = {100: (1, 7), 2: (4, 6)}
OLD_SHAPE = (1, 2, 3, 4)
DATA, SHAPE, DOUBLES = 5, 7, 8
DIMENSIONS = 1  # of BlobShape

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def read_caffe_file(path: Path) -> dict[str, Tensor]:
    """Blobs as `<layer>.<number>`, float32.

    Raises:
        ValueError: for a file that is no such message, or holds no blobs.
    """
    try:
        found = dict(_blobs(memoryview(path.read_bytes())))
    except (IndexError, UnicodeDecodeError, struct.error, ValueError) as error:
        raise ValueError(f"{path} is no .caffemodel file: {error}") from None
    if not found:
        raise ValueError(f"{path} holds no layer with weights; it must be a .caffemodel file")
    return found


def _blobs(net: memoryview) -> Iterator[tuple[str, Tensor]]:
    for field, layer in _fields(net):
        if field not in LAYERS or not isinstance(layer, memoryview):
            continue
        name_field, blob_field = LAYERS[field]
        name, blobs = "", list[memoryview]()
        for part, value in _fields(layer):
            if part == name_field and isinstance(value, memoryview):
                name = str(value, "utf-8")
            elif part == blob_field and isinstance(value, memoryview):
                blobs.append(value)
        for number, blob in enumerate(blobs):
            yield f"{name}.{number}", _tensor(blob)


def _tensor(blob: memoryview) -> Tensor:
    old, shape = dict[int, int](), list[int]()
    parts = list[np.ndarray]()
    for field, value in _fields(blob):
        if isinstance(value, int):
            if field in OLD_SHAPE:
                old[field] = value
        elif field in (DATA, DOUBLES):
            parts.append(np.frombuffer(value, "<f4" if field == DATA else "<f8"))
        elif field == SHAPE:
            shape = [n for part, dims in _fields(value) for n in _integers(part, dims)]
    values = np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)
    shape = shape or [old[field] for field in OLD_SHAPE if field in old] or [len(values)]
    if int(np.prod(shape)) != len(values):
        raise ValueError(f"a blob of shape {shape} has {len(values)} values")
    return torch.from_numpy(values).view(shape)


def _integers(field: int, value: int | memoryview) -> list[int]:
    """The dimensions of a BlobShape, packed or one by one."""
    if field != DIMENSIONS:
        return []
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of a message's fields: an integer, or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if kind == BYTES:
            size, at = _varint(message, at)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            size = 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError(f"byte {at} begins a field of kind {kind}, which does not exist")
        if at + size > len(message):
            raise ValueError(f"it ends within a field, at byte {len(message)} of a message")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """(number, place behind it): seven bits a byte, the lowest first."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return number, at
        if shift > 63:
            raise ValueError(f"byte {at} lies within a number that does not end")
