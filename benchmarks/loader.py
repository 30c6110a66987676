"""Clips per second from video files to batches, and where the time of a clip goes.

python benchmarks/loader.py [VIDEOS] [--out loader.json] [--rounds 7] [--epochs 2] [--workers 0 1 2]

VIDEOS is a folder of videos (../shared/data/videos/ucf101). A transcoded copy of it stands beside
it in every table: short side 256, a key frame every 12 frames.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from timing import interleaved, write

from kinema.data import Augment, Manifest, build_loader, open_reader, train_dataset
from kinema.data.loader import VideoDataset, collate
from kinema.data.readers import VIDEO_ENDINGS, Reader
from kinema.data.readers._scaler import Scaler
from kinema.data.sampling import expand_stack, frames_per_step
from kinema.data.transcode import transcode
from kinema.data.transforms import stack_channels
from kinema.types import InputSpec, Record, Sample

SPEC = InputSpec(frames=8)  # 8 frames spread over the video, short side 256, crops of 224
BATCH = 8
STAGES = ("open and demux", "decode", "convert and scale", "crop and augment", "collate")
SENDING = "send between processes"


def manifest_of(folder: Path) -> Manifest:
    """Every video below a folder, all of one class."""
    paths = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in VIDEO_ENDINGS]
    if not paths:
        raise SystemExit(f"{folder} holds no videos; name a folder that does")
    return Manifest(folder.name, ("any",), tuple(Record(p.name, p, 0) for p in paths))


class Clock:
    """Adds up the seconds of every stage."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Counts what the block takes."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - began


@contextmanager
def scaling_counted(clock: Clock) -> Iterator[None]:
    """Counts the conversion of decoded frames, which happens inside the readers."""
    real = Scaler.__call__

    def counted(self: Scaler, frame: object) -> torch.Tensor:
        with clock.time("convert and scale"):
            return real(self, frame)  # type: ignore[arg-type]

    Scaler.__call__ = counted  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Scaler.__call__ = real  # type: ignore[method-assign]


def stages(dataset: VideoDataset, epoch: int) -> dict[str, float]:
    """Seconds of every stage over the videos of a data set, in this process.

    The steps are those of `read_views` and `VideoDataset.__getitem__`.
    """
    clock, samples = Clock(), []
    for index, record in enumerate(dataset.manifest.records):
        rng = np.random.default_rng((dataset.seed, epoch, index))
        with clock.time("open and demux"):
            reader: Reader = open_reader(record, short_side=dataset.transform.short_side)
        with closing(reader):
            indices = expand_stack(
                dataset.sampler(len(reader), rng), frames_per_step(SPEC), len(reader)
            )
            with scaling_counted(clock), clock.time("decode"):
                frames = reader.read(indices.ravel().tolist())
            with clock.time("crop and augment"):
                (step,) = stack_channels(frames, indices.shape, SPEC.modality)
                clip = dataset.transform(step, SPEC.modality, rng).transpose(1, 2).contiguous()
            spans = torch.zeros(1, 2, dtype=torch.float64)
            samples.append(Sample(clip, torch.tensor(0), record.id, spans))
        if len(samples) == BATCH or index == len(dataset) - 1:
            with clock.time("collate"):
                collate(samples)
            samples.clear()
    clock.seconds["decode"] -= clock.seconds["convert and scale"]
    return clock.seconds


class Ready(VideoDataset):
    """Gives one clip over and over: what is left of a loader is collating and sending.

    Sending is what one worker takes longer for that than this process.
    """

    def __getitem__(self, key: object) -> Sample:
        if not hasattr(self, "_clip"):
            self._clip = super().__getitem__((0, 0))
        return self._clip


def loading(dataset: VideoDataset, workers: int, epochs: int) -> Callable[[], None]:
    """Some epochs of a loader, whose processes stay from one call to the next."""
    loader = build_loader(dataset, batch=BATCH, workers=workers, shuffle=True)

    def run() -> None:
        for epoch in range(epochs):
            for _ in loader.epoch(epoch):
                pass

    return run


def speeds(times: Mapping[str, list[float]], clips: int) -> list[dict[str, object]]:
    """Prints and returns clips per second."""
    rows = []
    print(f"\n{'end to end':<34}{'clips/s':>10}{'(10 % to 90 %)':>18}")
    for name, values in times.items():
        rates = sorted(1e3 * clips / value for value in values)
        low, high = rates[len(rates) // 10], rates[-1 - len(rates) // 10]
        row = {"case": "end to end", "variant": name, "clips_per_s": statistics.median(rates)}
        rows.append({**row, "low": low, "high": high})
        print(f"{name:<34}{row['clips_per_s']:>10.1f}{low:>10.1f}{high:>8.1f}")
    return rows


def shares(parts: Mapping[str, list[dict[str, float]]], clips: int) -> list[dict[str, object]]:
    """Prints and returns the milliseconds that a clip spends in every stage."""
    rows = []
    print(f"\n{'ms per clip, one process':<34}" + "".join(f"{name:>14}" for name in parts))
    for stage in (*STAGES, SENDING):
        line = f"{stage:<34}"
        for name, rounds in parts.items():
            value = statistics.median(1e3 * one[stage] / clips for one in rounds)
            rows.append({"case": "stages", "variant": name, "stage": stage, "ms_per_clip": value})
            line += f"{value:>14.2f}"
        print(line)
    return rows


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path, nargs="?", default="../shared/data/videos/ucf101")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/loader.json"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as copy:
        transcode(args.videos, copy, shown=False)
        folders = {"original": args.videos, "transcoded": Path(copy)}
        datasets = {
            name: train_dataset(manifest_of(folder), SPEC, Augment(flip=False), seed=0)
            for name, folder in folders.items()
        }
        clips = len(datasets["original"])
        variants = {
            f"{name}, {workers} workers": loading(dataset, workers, args.epochs)
            for workers in args.workers
            for name, dataset in datasets.items()
        }
        rows = speeds(interleaved(variants, args.rounds), clips * args.epochs)
        one = datasets["original"]
        ready = Ready(one.manifest, one.spec, one.sampler, one.transform)
        times = interleaved({str(n): loading(ready, n, args.epochs) for n in (0, 1)}, args.rounds)
        sent = [(b - a) / 1e3 / args.epochs for a, b in zip(times["0"], times["1"], strict=True)]
        parts: dict[str, list[dict[str, float]]] = {name: [] for name in datasets}
        for epoch in range(args.rounds):
            for name, dataset in datasets.items():
                parts[name].append({**stages(dataset, epoch), SENDING: sent[epoch]})
        rows += shares(parts, clips)
        write(args.out, rows)


if __name__ == "__main__":
    main()
