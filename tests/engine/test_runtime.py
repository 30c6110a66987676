"""Device, number format, seeds, signals, the machine's card."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess

import numpy as np
import pytest
import torch

from kinema.engine import runtime
from kinema.engine.runtime import (
    choose_device,
    choose_precision,
    commit,
    machine,
    open_runtime,
    seed_everything,
    step_seed,
    stop_signals,
    versions,
)


def test_precision_follows_the_instructions(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(runtime, "has_bf16", lambda device: True)
    assert choose_precision(cpu, "auto") == ("bf16", "this cpu has bf16 instructions")
    monkeypatch.setattr(runtime, "has_bf16", lambda device: False)
    assert choose_precision(cpu, "auto") == ("fp32", "this cpu has no bf16 instructions")
    assert "only emulates" in choose_precision(cpu, "bf16")[1]
    assert choose_precision(cpu, "fp32") == ("fp32", "asked for")


@pytest.mark.parametrize(("able", "expected"), [({"avx512_bf16": True}, True), ({}, False)])
def test_bf16_is_read_from_the_processor(monkeypatch, able, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    assert runtime.has_bf16(torch.device("cpu")) is expected


def test_autocast_computes_in_the_chosen_format():
    x = torch.ones(2, 2)
    with open_runtime("cpu", "bf16").autocast():
        assert (x @ x).dtype == torch.bfloat16
    with open_runtime("cpu", "fp32").autocast():
        assert (x @ x).dtype == torch.float32


@pytest.mark.parametrize("device", ["tpu9", "cuda:99", "meta", "mps"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(ValueError, match="device="):
        choose_device(device)


@pytest.mark.parametrize(("minutes", "expected"), [("", 30), ("0.5", 0.5)])
def test_processes_wait_half_an_hour_for_each_other(monkeypatch, minutes, expected):
    asked = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("KINEMA_WAIT_MINUTES", minutes)
    monkeypatch.setattr(runtime.dist, "init_process_group", lambda *a, **k: asked.update(k))
    monkeypatch.setattr(runtime.atexit, "register", lambda call: None)
    open_runtime("cpu")
    assert asked["timeout"].total_seconds() == expected * 60


def test_one_process_needs_no_group():
    here = open_runtime("cpu")
    assert (here.rank, here.world, here.first) == (0, 1, True)
    assert here.gather(3) == [3]
    assert here.any(True, False) == (True, False)
    assert not torch.distributed.is_initialized()


def test_seeds_reach_every_generator():
    def draw():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    seed_everything(2**40 + 1)
    first = draw()
    seed_everything(2**40 + 1)
    assert draw() == first
    seed_everything(2**40 + 2)
    assert draw() != first


def test_every_step_has_its_own_seed():
    places = [(s, p, e, i, r) for s in (0, 1) for p in (0, 1) for e in (0, 1) for i in (0, 1)
              for r in (0, 1)]  # fmt: skip
    assert len({step_seed(*place) for place in places}) == len(places)
    assert step_seed(0, 1, 2, 3, 0) == step_seed(0, 1, 2, 3, 0)
    assert all(0 <= step_seed(*place) < 2**63 for place in places)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request_and_the_second_acts(number):
    before = signal.getsignal(number)
    heard = []
    signal.signal(number, lambda n, f: heard.append(n))
    try:
        with stop_signals() as request:
            assert request.asked == ""
            os.kill(os.getpid(), number)
            assert request.asked == signal.Signals(number).name
            assert heard == []
            os.kill(os.getpid(), number)
            assert heard == [number]
    finally:
        signal.signal(number, before)


def test_the_card_is_plain_data(tmp_path, monkeypatch):
    json.dumps([machine(), versions()])
    assert versions()["torch"] == torch.__version__
    assert machine()["cores"] >= 1
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit() is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for call in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *call], check=True)
    found = commit()
    assert len(found["hash"]) == 40
    assert found["changed"] is False
    (tmp_path / "new").write_text("x")
    assert commit()["changed"] is True
