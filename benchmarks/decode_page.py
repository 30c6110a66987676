"""Writes docs/decoding.md from what benchmarks/decode.py measured.

python benchmarks/decode_page.py [runs/benchmarks/decode.json]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import fill

ROOT = Path(__file__).resolve().parent.parent
KNOWN = "kinema, index known"
NAMES = {  # of the columns
    "kinema": "kinema",
    KNOWN: KNOWN,
    "torchcodec": "torchcodec",
    "torchcodec, approximate": "torchcodec, approx.",
    "decord": "decord",
    "OpenCV": "OpenCV",
    "PyAV from the start": "PyAV from the start",
}

PAGE = """# Decoding

How the frames of a video file are read, and how long that takes.

One pass over the packets of a file, of which none is decoded, says where its frames are and from
which of them decoding can begin. Then only what is needed is decoded: from the key frame before a
wanted frame on, without frames that nobody wants and no other refers to (B-frames of H.264), up to
the wanted one, for which the decoder is asked at once instead of being fed with what comes after
it. Frames are scaled while they are converted from YUV. `kinema data check` keeps the indexes
beside the manifest, so that training need not make that pass again. Workers of a loader decode with
one thread each; `predict` lets FFmpeg choose how many, which share whole frames from 1280x720 on
and slices below. None of this changes a pixel against decoding from the start.

What readers make of damaged and unusual files: [hard-files.md](hard-files.md).

## How fast

Eight frames spread over a video, and 64 frames at stride 2, as one tensor of bytes with a short
side of 256; each call opens the file anew. Median milliseconds of processor time, all threads
together; the readers take turns in one process. The last three columns: how many times as fast
kinema is as the fastest other one, by processor time, by that with the index known, and by the
clock on the wall.

{table}

{verdicts}

What there is to gain depends on the file. With key frames every 250 and x264's B-frames half of
the frames have to be decoded whatever is wanted; without B-frames, and of other codecs than H.264,
all of them up to the last one wanted. What remains there is the filter: swscale's bilinear one
takes 0.4 ms for a picture of 454x256, and half of the time of a dense clip of UCF-101, whose
pictures are scaled up. OpenCV scales in less, with a filter that gives other pixels; swscale's is
part of a model's numerics and stays.

{measured}
"""

MEASURED = """Measured on {date} by `python benchmarks/decode.py` with {decoders}, torch {torch}, on
{cores} cores of a machine that others used as well: load {load} over 1, 5 and 15 minutes, so that
times by the wall clock vary by a factor of two. Its ceiling in the same run: {ceiling}. The
generated videos are ten seconds of a drifting texture with grain, 30 frames per second, x264's own
settings; the others are real. Where the size stays, all readers give equal pixels; where pictures
are scaled, the others use other filters."""


def main() -> None:
    """Reads the measurements and writes the page."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "runs/benchmarks/decode.json"
    found = json.loads(file.read_text())
    machine, cases = found["machine"], by_case(found["rows"])
    names = [name for name in NAMES if any(name in case["cpu"] for case in cases)]
    head = ["video", "frames", "threads", *(NAMES[name] for name in names), "cpu", "known", "wall"]
    lines = [head, ["---"] * 3 + ["--:"] * (len(names) + 3)]
    lines += [line(case, names) for case in cases]
    measured = MEASURED.format(
        decoders=", ".join(f"{name} {version}" for name, version in found["decoders"].items()),
        ceiling="; ".join(f"{k}: {v:.0f}" for k, v in machine["ceiling"].items()),
        load=", ".join(map(str, machine["load"])),
        **{name: machine[name] for name in ("date", "torch", "cores")},
    )
    page = PAGE.format(
        table="\n".join(f"| {' | '.join(cells)} |" for cells in lines),
        verdicts=verdicts(cases),
        measured=fill(measured, 100, break_on_hyphens=False),
    )
    (ROOT / "docs/decoding.md").write_text(page)


def by_case(rows: list[dict]) -> list[dict]:
    """One entry per video, read and number of threads: medians and verdict by each clock."""
    cases: dict[tuple, dict] = {}
    for row in rows:
        key = row["video"], row["read"], "one" if row["threads"] else "all"
        case = cases.setdefault(key, {"key": key, "cpu": {}, "wall": {}, "best": {}, "factor": {}})
        case[row["clock"]][row["variant"]] = row["median_ms"]
        case["best"][row["clock"]] = row["best_other"]
        case["factor"][row["clock"]] = row["against_it"]
    return list(cases.values())


def line(case: dict, names: list[str]) -> list[str]:
    """The cells of a case."""
    times = [f"{case['cpu'][name]:.0f}" if name in case["cpu"] else "" for name in names]
    known = case["cpu"][case["best"]["cpu"]] / case["cpu"][KNOWN]
    factors = case["factor"]["cpu"], known, case["factor"]["wall"]
    return [*case["key"], *times, *(f"{factor:.2f}" for factor in factors)]


def verdicts(cases: list[dict]) -> str:
    """Where kinema is not the fastest by processor time, said plainly."""
    lost = [case for case in cases if case["factor"]["cpu"] < 1]
    won = f"kinema is the fastest in {len(cases) - len(lost)} of {len(cases)} cases."
    if not lost:
        return won
    told = [
        f"- {', '.join(case['key'])} {'thread' if case['key'][2] == 'one' else 'threads'}: "
        f"{case['best']['cpu']} needs {case['factor']['cpu']:.2f} of kinema's time"
        for case in lost
    ]
    return f"By processor time {won} Not in:\n\n" + "\n".join(told)


if __name__ == "__main__":
    main()
