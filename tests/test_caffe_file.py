"""`.caffemodel` files, written here byte by byte as protocol buffers are."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kinema.published import read_checkpoint


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(x: Tensor, *, old: bool = False, packed: bool = True) -> bytes:
    values = struct.pack(f"<{x.numel()}f", *x.flatten().tolist())
    if old:
        dims = [1] * (4 - x.ndim) + list(x.shape)
        return b"".join(field(i + 1, d) for i, d in enumerate(dims)) + field(5, values)
    dims_packed = field(1, b"".join(map(varint, x.shape)))
    dims_single = b"".join(field(1, d) for d in x.shape)
    return field(7, dims_packed if packed else dims_single) + field(5, values)


def net(layers: dict[str, list[bytes]], *, old: bool = False) -> bytes:
    name, blobs, outer = (4, 6, 2) if old else (1, 7, 100)
    content = field(1, b"a net") + field(3, b"data")
    for title, parts in layers.items():
        inner = field(name, title.encode()) + field(30, 7) + varint(31 << 3 | 5) + b"\0\0\0\0"
        content += field(outer, inner + b"".join(field(blobs, part) for part in parts))
    return content


@pytest.mark.parametrize("packed", [True, False])
def test_new_files_hold_blobs_with_a_shape(tmp_path: Path, packed: bool) -> None:
    weight, bias = torch.randn(4, 3, 1, 7, 7), torch.randn(300)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net({"conv1": [blob(weight, packed=packed)], "fc": [blob(bias)], "relu": []}))
    found = read_checkpoint(path)
    assert found.keys() == {"conv1.0", "fc.0"}
    assert torch.equal(found["conv1.0"], weight)
    assert torch.equal(found["fc.0"], bias)


def test_old_files_have_four_dimensions(tmp_path: Path) -> None:
    weight = torch.randn(5, 2, 3, 3)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net({"conv": [blob(weight, old=True)]}, old=True))
    assert torch.equal(read_checkpoint(path)["conv.0"], weight)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    whole = net({"conv1": [blob(torch.randn(8, 8))]})
    short = blob(torch.randn(8))[:-8]
    for content, text in (
        (whole[:-9], "ends within a field"), (b"\xff" * 20, "does not end"),
        (b"plain text, no message", "is no .caffemodel file"), (b"", "holds no layer"),
        (net({"conv1": [short]}), "ends within a field"),
    ):  # fmt: skip
        path.write_bytes(content)
        with pytest.raises(ValueError, match=text):
            read_checkpoint(path)
