"""Work in several processes: one dies, the work is wrong, the one that asked for it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from kinema.data.processes import spread

KILLED = """
import os, sys, time
from kinema.data.processes import spread

def name_and_wait(number):
    if number < 2:
        print(os.getpid(), flush=True)
    time.sleep(0.05)
    return number

if __name__ == "__main__":
    for _ in spread(name_and_wait, range(10**6), workers=2, crashed=int):
        pass
"""


def double_or_die(number: int) -> int:
    if number == 3:
        os._exit(9)
    return 2 * number


def minus(number: int) -> int:
    return -number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_dying_process_costs_one_job(workers: int) -> None:
    results = spread(double_or_die, range(12), workers=workers, crashed=minus)
    assert sorted(results) == sorted([-3, *(2 * n for n in range(12) if n != 3)])


def fail(number: int) -> int:
    raise KeyError(number)


@pytest.mark.parametrize("work", [fail])
def test_an_error_of_the_work_itself_is_raised(work: Callable[[int], int]) -> None:
    with pytest.raises(KeyError):
        list(spread(work, [1], workers=1, crashed=minus))
    with pytest.raises(ValueError, match="workers=-1"):
        list(spread(work, [1], workers=-1, crashed=minus))


@pytest.mark.skipif(sys.platform == "win32", reason="processes are asked for by signal 0")
def test_no_process_outlives_the_one_that_started_it() -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        workers = [int(one.stdout.readline()) for _ in range(2)]
        one.kill()
    deadline = time.monotonic() + 20
    while any(is_alive(worker) for worker in workers):
        assert time.monotonic() < deadline, f"of {workers} some go on"
        time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
