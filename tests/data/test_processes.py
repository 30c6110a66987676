"""Work in several processes: one dies, the work is wrong, the one that asked for it is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from kinema.data.processes import spread
from waiting import ended, wait_for

KILLED = """
import time
from kinema.data.processes import spread

def wait(number):
    time.sleep(0.05)
    return number

if __name__ == "__main__":
    for _ in spread(wait, range(10**6), workers=2, crashed=int):
        print("one done", flush=True)
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


def test_no_process_outlives_the_one_that_started_it() -> None:
    words = [sys.executable, "-c", KILLED]
    with subprocess.Popen(words, stdout=subprocess.PIPE, start_new_session=True) as one:
        assert one.stdout is not None
        assert one.stdout.readline()
        one.kill()
    wait_for(lambda: ended(one.pid))
