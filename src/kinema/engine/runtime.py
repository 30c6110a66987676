"""What a run stands on: device, number format, processes, seeds, signals, versions."""

from __future__ import annotations

import atexit
import os
import platform
import random
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Literal, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..progress import console
from ..types import JSON

T = TypeVar("T")
Precision = Literal["fp32", "bf16"]
COLLECTIVE_MINUTES = 30.0
"""How long a process waits for the others, who may decode or write; KINEMA_WAIT_MINUTES says else.
"""
PACKAGES = ("kinema", "torch", "numpy", "av", "safetensors", "pyarrow")


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """One process of a run and its place among the others.

    Attributes:
        device: where the model is.
        precision: number format of the convolutions and products in training.
        reason: why that one, for the log.
        rank: 0 is the process that writes.
        world: number of processes.
    """

    device: torch.device
    precision: Precision = "fp32"
    reason: str = ""
    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[None]:
        """The context of a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def total(self, values: Tensor) -> Tensor:
        """Sum over the processes, in place."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """The value of every process, by rank; it must pickle."""
        if self.world == 1:
            return [value]
        values: list[T | None] = [None] * self.world
        dist.all_gather_object(values, value)
        return cast(list[T], values)

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether it is up on any process."""
        if self.world == 1:
            return flags
        return tuple(
            bool(x) for x in self.total(torch.tensor(flags, dtype=torch.int32, device=self.device))
        )

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()

    def share_buffers(self, module: nn.Module) -> None:
        """Gives every process the first one's buffers (batch norm statistics differ until then)."""
        if self.world > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)


def open_runtime(
    device: str | torch.device | None = None, precision: Literal["auto", "fp32", "bf16"] = "fp32"
) -> Runtime:
    """Chooses the device, and joins the other processes if `torchrun` started this one.

    Processes stay joined until they end.

    Args:
        device: None: a GPU if there is one.
        precision: `auto` takes bf16 where the device computes in it.

    Raises:
        ValueError: for a device this machine does not have.
    """
    chosen = choose_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if chosen.type == "cuda":
            torch.cuda.set_device(chosen)
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        minutes = float(os.environ.get("KINEMA_WAIT_MINUTES") or COLLECTIVE_MINUTES)
        dist.init_process_group(backend, timeout=timedelta(minutes=minutes))
        # For good: a second group would wait for ever on what the first one left in the store.
        atexit.register(dist.destroy_process_group)
    joined = dist.is_available() and dist.is_initialized()
    number_format, reason = choose_precision(chosen, precision)
    return Runtime(
        device=chosen,
        precision=number_format,
        reason=reason,
        rank=dist.get_rank() if joined else 0,
        world=dist.get_world_size() if joined else 1,
    )


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device a process works on; with several processes on a machine, each GPU has one.

    Raises:
        ValueError: for a device that is no CPU or GPU, or that this machine does not have.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise ValueError(f"device={device} must be cpu, cuda or cuda:N")
    if chosen.type == "cuda":
        count = torch.cuda.device_count()
        index = chosen.index if chosen.index is not None else int(os.environ.get("LOCAL_RANK", "0"))
        if index >= count:
            raise ValueError(
                f"device={chosen.type}:{index} must be below the {count} GPUs there are"
            )
        return torch.device("cuda", index)
    return chosen


def choose_precision(
    device: torch.device, wish: Literal["auto", "fp32", "bf16"] = "auto"
) -> tuple[Precision, str]:
    """(format, reason). `auto` is bf16 where the device has instructions for it, else fp32."""
    native = has_bf16(device)
    if wish == "auto":
        has = "has" if native else "has no"
        return ("bf16" if native else "fp32"), f"this {device.type} {has} bf16 instructions"
    slow = wish == "bf16" and not native
    return (
        wish,
        f"this {device.type} only emulates bf16: expect it to be slower" if slow else "asked for",
    )


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 in hardware.

    GPU: Ampere or newer. CPU: AVX512-BF16, AMX, or ARM's BF16.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        able = torch.cpu.get_capabilities()
        return any(bool(able.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False


def seed_everything(seed: int) -> None:
    """Python, numpy and torch, on every device."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  the global generator is the one third parties draw from
    torch.manual_seed(seed)


def step_seed(*path: int) -> int:
    """A seed of its own for every place in a run: (seed, phase, epoch, step, rank)."""
    return int(np.random.SeedSequence(path).generate_state(1, np.uint64)[0] >> 1)


class StopRequest:
    """Whether somebody asked the run to end. `asked` is the signal's name."""

    def __init__(self) -> None:
        self.asked = ""


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Turns the first Ctrl-C or SIGTERM into a request; the second acts as always.

    Signals reach only the main thread; in another one the request never comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: FrameType | None) -> None:
        request.asked = signal.Signals(number).name
        console.print("stopping after this step; the same again stops at once")
        for s, handler in before.items():
            signal.signal(s, handler)

    for s in before:
        signal.signal(s, ask)
    try:
        yield request
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


def machine() -> dict[str, JSON]:
    """What the run ran on, for the result card."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "gpus": list(gpus),
        "cuda": torch.version.cuda,
    }


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return str(able.get("cpu_name") or platform.processor() or platform.machine())


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, JSON]:
    """Of Python and the packages that decide the numbers; None: not installed."""
    found: dict[str, JSON] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found


def command() -> str:
    """What was typed to start this process, without the folder of the program."""
    program = Path(sys.argv[0])
    name = "kinema" if program.name == "__main__.py" else program.name
    return shlex.join([name, *sys.argv[1:]])


def commit() -> dict[str, JSON] | None:
    """Commit of the working directory's project, and whether files differ; None outside git."""

    def git(*arguments: str) -> str:
        call = ["git", *arguments]
        return subprocess.run(call, capture_output=True, text=True, check=True, timeout=10).stdout

    try:
        return {
            "hash": git("rev-parse", "HEAD").strip(),
            "changed": bool(git("status", "--porcelain")),
        }
    except (OSError, subprocess.SubprocessError):
        return None
