"""What is installed, what this machine can do, and whether videos can be read on it."""

from __future__ import annotations

import io
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch

from ..data.readers import Decoder
from ..engine.runtime import cores, has_bf16
from ..types import Record

PACKAGES = (
    "kinema", "torch", "numpy", "av", "safetensors", "pyyaml", "rich", "matplotlib", "jinja2",
    "pyarrow", "tensorboard", "opencv-contrib-python-headless",
)  # fmt: skip
OPTIONAL = {"tensorboard": "log", "opencv-contrib-python-headless": "flow"}  # and their extras
FRAMES, SIDE = 12, 64  # of the clip a decoder is tried on
TOLERANCE = 8.0  # grey levels a lossy encoder may move a frame by; neighbours differ by 18
SHARED_MEMORY = 1 << 30  # bytes below which loader workers may run out


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination.

    Attributes:
        group: what it belongs to.
        name: what was looked at.
        value: what was found.
        ok: False: something will not work; `value` says why and what to do.
    """

    group: str
    name: str
    value: str
    ok: bool = True


def examine() -> list[Finding]:
    """Everything worth knowing before asking for help, in the order it is shown."""
    return [*_software(), *_machine(), *_decoders()]


def _software() -> list[Finding]:
    wanted = sys.version_info >= (3, 11)
    python = f"{platform.python_version()} at {sys.executable}"
    found = [Finding(group="software", name="python", value=python, ok=wanted)]
    for name in PACKAGES:
        try:
            value, ok = metadata.version(name), True
        except metadata.PackageNotFoundError:
            value, ok = "not installed", name in OPTIONAL
            if ok:
                value += f" (optional: pip install 'kinema[{OPTIONAL[name]}]')"
        found.append(Finding(group="software", name=name, value=value, ok=ok))
    return found


def _machine() -> list[Finding]:
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    names = [n for n in ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "bf16") if able.get(n)]
    build = f"{torch.__version__}, {'CUDA ' + torch.version.cuda if torch.version.cuda else 'CPU'}"
    bf16 = "yes" if has_bf16(torch.device("cpu")) else "no, training computes in fp32"
    findings = [
        Finding(group="machine", name="system", value=platform.platform()),
        Finding(
            group="machine", name="cores", value=f"{cores()}, torch uses {torch.get_num_threads()}"
        ),
        Finding(group="machine", name="instructions", value=", ".join(names) or "not known"),
        Finding(group="machine", name="torch build", value=build),
        Finding(group="machine", name="bf16 on the cpu", value=bf16),
        Finding(group="machine", name="gpu", value=_gpus()),
    ]
    memory = Path("/dev/shm")
    if memory.is_dir():
        free = shutil.disk_usage(memory).free
        value = f"{free / 2**30:.1f} GiB free"
        if free < SHARED_MEMORY:
            value += "; loader workers pass clips through it: give the container --shm-size=2g"
        findings.append(
            Finding(group="machine", name="shared memory", value=value, ok=free >= SHARED_MEMORY)
        )
    return findings


def _gpus() -> str:
    if not torch.cuda.is_available():
        return "none that torch can use"
    found = []
    for index in range(torch.cuda.device_count()):
        about = torch.cuda.get_device_properties(index)
        bf16 = ", bf16" if has_bf16(torch.device("cuda", index)) else ""
        found.append(f"{about.name} ({about.total_memory / 2**30:.0f} GiB{bf16})")
    return ", ".join(found)


def _decoders() -> list[Finding]:
    """Every way of reading frames, tried on a clip that is made here and now."""
    tried: tuple[tuple[str, Callable[[Path], str]], ...] = (
        ("PyAV, H.264 mp4", _try_video),
        ("torchcodec", _try_torchcodec),
        ("frame folder", _try_folder),
    )
    findings = []
    for name, attempt in tried:
        with tempfile.TemporaryDirectory(prefix="kinema-doctor-") as folder:
            try:
                value, ok = attempt(Path(folder)), True
            except Exception as error:  # the reason is the finding
                value, ok = f"{type(error).__name__}: {' '.join(str(error).split())}", False
        findings.append(Finding(group="decoders", name=name, value=value, ok=ok))
    return findings


def _levels() -> list[int]:
    """A different grey for every frame, so that reading the wrong one is seen."""
    return [16 + 18 * i for i in range(FRAMES)]


def _read_back(path: Path, decoder: Decoder = "pyav") -> str:
    from ..data.readers import open_reader

    with closing(open_reader(Record("doctor", path, None), decoder=decoder)) as reader:
        order = [FRAMES - 1, 0, FRAMES // 2]
        frames = reader.read(order)
        count = len(reader)
    means = frames.float().mean(dim=(1, 2, 3)).tolist()
    wanted = [_levels()[i] for i in order]
    if count != FRAMES or any(abs(m - w) > TOLERANCE for m, w in zip(means, wanted, strict=True)):
        raise ValueError(f"wrote {FRAMES} frames of grey {wanted}, read {count} of {means}")
    return f"works: {FRAMES} frames written and read back, the right ones"


def _try_video(folder: Path) -> str:
    return _read_back(_write_video(folder))


def _try_torchcodec(folder: Path) -> str:
    from importlib.util import find_spec

    if find_spec("torchcodec") is None:
        return "not installed (optional: pip install 'kinema[fast]')"
    return _read_back(_write_video(folder), "torchcodec")


def _write_video(folder: Path) -> Path:
    import av

    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for level in _levels():
            picture = np.full((SIDE, SIDE, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def _try_folder(folder: Path) -> str:
    from matplotlib.image import imsave

    for number, level in enumerate(_levels(), start=1):
        buffer = io.BytesIO()
        imsave(buffer, np.full((SIDE, SIDE, 3), level, np.uint8), format="jpg")
        (folder / f"img_{number:05d}.jpg").write_bytes(buffer.getvalue())
    return _read_back(folder)
