"""Flipped bytes: no crash, no hang, no other frame in the place of the one asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .hard_files import FLIPPED

FILES = 12  # changed copies of each kind: about three seconds
GRACE = 120.0  # seconds until a process counts as hung
# Share of frames that may be others than the one asked for: a codec without checksums cannot notice
# every flip. docs/hard-files.md has the rates over more files.
OTHERS = {"H.264, mp4": 0.03, "H.264, mkv": 0.03, "MPEG-2, mpg": 0.0}
PIXELS = {"H.264, mp4": 0.2, "H.264, mkv": 0.2, "MPEG-2, mpg": 0.06}


@pytest.mark.parametrize("kind", OTHERS)
def test_flipped_bytes(tmp_path: Path, repository: Path, kind: str) -> None:
    file, write = FLIPPED[kind]
    path = write(tmp_path / file)
    code = (
        f"import json, sys; sys.path.insert(0, {str(repository / 'tests')!r})\n"
        "from pathlib import Path; from data.hard_outcomes import flip\n"
        f"print(json.dumps(flip(Path({str(path)!r}), range({FILES}))))"
    )
    # a process of its own: a crash of the decoder is a result, not the end of the tests
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=GRACE, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["files"] == FILES
    assert seen["right"] > 0.4 * seen["asked"], seen
    assert seen["other"] <= OTHERS[kind] * seen["asked"], seen
    assert seen["pixels"] <= PIXELS[kind] * seen["asked"], seen
