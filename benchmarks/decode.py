"""Our reader against torchcodec, decord and OpenCV: 8 frames of a video, and a dense clip.

python benchmarks/decode.py [--out FILE] [--rounds 11] [--size 340x256] [--video FILE ...]
python benchmarks/decode_page.py   # the table in docs/decoding.md

Every call opens the file, reads the frames with a short side of 256 and gives them as one
(n, 3, H, W) tensor of bytes, as training does; once also with the packet index of the file known,
as after `kinema data check`. The videos are generated: ten seconds of a drifting texture with
grain, H.264, key frames every 250 and every 12 frames. The other decoders are used where they are
installed, preferably in a folder of their own:

    pip install --target decoders decord==0.6.0 opencv-python-headless 'torchcodec>=0.11.1,<0.14'
    PYTHONPATH=decoders python benchmarks/decode.py
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from importlib import import_module, metadata
from pathlib import Path

import av
import numpy as np
import torch
from timing import table, wall_and_cpu, write
from torch import Tensor

from kinema.data import open_reader
from kinema.data.readers import IndexCache, index_cache
from kinema.data.readers._scaler import short_side_size
from kinema.types import Record

FRAMES, FPS = 300, 30
SHORT_SIDE = 256
GRAIN = 10  # grey levels; 450 kbit per second, as the usual copies of Kinetics have
OURS, CACHED = "kinema", "kinema, index known"
INSTALL = {
    "torchcodec.decoders": "'torchcodec>=0.11.1,<0.14' (and FFmpeg, as shared libraries)",
    "decord": "decord==0.6.0",
    "cv2": "opencv-python-headless",
}
Read = Callable[[Path, Sequence[int], int], Tensor]
"""Path, ascending frames, threads (0: all) -> (n, 3, H, W) uint8."""


def ours(
    path: Path, frames: Sequence[int], threads: int, *, cache: IndexCache | None = None
) -> Tensor:
    """This project's reader."""
    record, options = Record(str(path), path, None), {"short_side": SHORT_SIDE, "cache": cache}
    with closing(open_reader(record, threads=threads, **options)) as reader:
        return reader.read(frames)


def pyav_from_the_start(path: Path, frames: Sequence[int], threads: int) -> Tensor:
    """What anybody writes first: every frame up to the last one wanted is decoded."""
    wanted, pictures = set(frames), []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = threads
        height, width = target(stream.codec_context.height, stream.codec_context.width)
        for index, frame in enumerate(container.decode(stream)):
            if index in wanted:
                rgb = frame.reformat(width, height, "rgb24", interpolation="BILINEAR", threads=1)
                pictures.append(rgb.to_ndarray())
            if index == frames[-1]:
                break
    return pack(np.stack(pictures))


def torchcodec(path: Path, frames: Sequence[int], threads: int, *, mode: str) -> Tensor:
    """torchcodec; `approximate` believes the header instead of reading all packets first."""
    decoders = import_module("torchcodec.decoders")
    options = {"num_ffmpeg_threads": threads, "seek_mode": mode}
    decoder = decoders.VideoDecoder(str(path), **options)
    size = decoder.metadata.height, decoder.metadata.width
    if target(*size) != size:
        resize = import_module("torchcodec.transforms").Resize(target(*size))
        decoder = decoders.VideoDecoder(str(path), transforms=[resize], **options)
    return decoder.get_frames_at(list(frames)).data.contiguous()


def decord(path: Path, frames: Sequence[int], threads: int, *, sides: tuple[int, int]) -> Tensor:
    """Decord; it has to be told the size before it opens the file."""
    module = import_module("decord")
    height, width = sides
    reader = module.VideoReader(str(path), width=width, height=height, num_threads=threads)
    return pack(reader.get_batch(list(frames)).asnumpy())


def opencv(path: Path, frames: Sequence[int], threads: int) -> Tensor:
    """OpenCV's quickest exact way: grab every frame, fetch the wanted ones."""
    cv2 = import_module("cv2")
    cv2.setNumThreads(threads or -1)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, threads])
    wanted, pictures = set(frames), []
    for index in range(frames[-1] + 1):
        if not capture.grab():
            raise RuntimeError(f"OpenCV finds no frame {index} in {path}")
        if index in wanted:
            picture = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
            height, width = target(*picture.shape[:2])
            pictures.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR))
    capture.release()
    return pack(np.stack(pictures))


def target(height: int, width: int) -> tuple[int, int]:
    """The size of the pictures wanted."""
    return short_side_size(height, width, SHORT_SIDE)


def pack(pictures: np.ndarray) -> Tensor:
    """(n, H, W, 3) -> (n, 3, H, W), in that order in memory."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def readers(sides: tuple[int, int]) -> dict[str, Read]:
    """The readers that load here; says what is missing and how to get it."""
    found: dict[str, Read] = {OURS: ours, CACHED: partial(ours, cache=index_cache())}
    others: dict[str, dict[str, Read]] = {
        "torchcodec.decoders": {
            "torchcodec": partial(torchcodec, mode="exact"),
            "torchcodec, approximate": partial(torchcodec, mode="approximate"),
        },
        "decord": {"decord": partial(decord, sides=sides)},
        "cv2": {"OpenCV": opencv},
    }
    for module, spellings in others.items():
        try:
            import_module(module)
        except Exception as error:  # a build for another torch or FFmpeg raises anything
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            name = module.partition(".")[0]
            print(f"left out: {name} ({reason}); pip install --target decoders {INSTALL[module]}")
        else:
            found |= spellings
    return found | {"PyAV from the start": pyav_from_the_start}


def make_video(path: Path, width: int, height: int, keys: int) -> Path:
    """Ten seconds of a drifting texture with grain, 30 frames per second, x264's own settings."""
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, height // 8, width // 8)))
    size = (2 * height, 2 * width)
    ground = torch.nn.functional.interpolate(coarse, size=size, mode="bicubic")[0]
    ground = ground.permute(1, 2, 0).numpy()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "23"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = keys
        for i in range(FRAMES):
            top, left = (int(s * (1 + np.sin(i / r)) / 2) for s, r in ((height, 31), (width, 47)))
            picture = ground[top : top + height, left : left + width]
            picture = picture + rng.normal(0, GRAIN, picture.shape)
            frame = picture.clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def jobs(count: int) -> dict[str, list[int]]:
    """The frames of the two tasks in a video of `count` frames."""
    begin = max(0, (count - 127) // 2)
    dense = [min(begin + 2 * i, count - 1) for i in range(64)]
    spread = [(2 * i + 1) * count // 16 for i in range(8)]
    return {"8 frames spread": spread, "64 frames, stride 2": sorted(set(dense))}


def compare(path: Path, frames: Sequence[int], found: Mapping[str, Read]) -> dict[str, str]:
    """How the pictures of each reader differ from ours, in grey levels."""
    mine = ours(path, frames, 1).short()
    told = {}
    for name, read in found.items():
        theirs = read(path, frames, 1).short()
        if theirs.shape != mine.shape:
            told[name] = f"shape {tuple(theirs.shape)}"
            continue
        off = (theirs - mine).abs()
        mean, most = float(off.float().mean()), int(off.max())
        told[name] = "equal" if most == 0 else f"mean {mean:.2f}, at most {most}"
    return told


def verdict(times: Mapping[str, list[float]]) -> tuple[str, float]:
    """The fastest reader that is not this project's, and how many times as fast ours is."""
    others = {name: values for name, values in times.items() if name not in (OURS, CACHED)}
    best = min(others, key=lambda name: statistics.median(others[name]))
    pairs = zip(others[best], times[OURS], strict=True)
    return best, statistics.median(theirs / mine for theirs, mine in pairs)


def main() -> None:
    """Measures, prints, writes. torch has one thread throughout: what is compared are decoders."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/decode.json"))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--size", default="340x256", help="of the generated videos (340x256)")
    parser.add_argument("--video", type=Path, nargs="*", default=[], help="real ones as well")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        videos = {
            f"{args.size}, key frames every {keys}": make_video(
                Path(folder, f"{keys}.mp4"), width, height, keys
            )
            for keys in (250, 12)
        } | {path.name: path for path in args.video}
        for title, path in videos.items():
            rows += measure(title, path, args.rounds)
    write(args.out, rows, decoders=versions())


def versions() -> dict[str, str]:
    """Of the decoders that are installed."""
    names = ("av", "torchcodec", "decord", "opencv-python-headless")
    found = {d.name: d.version for d in metadata.distributions() if d.name in names}
    return {name: found[name] for name in names if name in found}


def measure(title: str, path: Path, rounds: int) -> list[dict[str, object]]:
    """Both tasks on one video, with one thread and with all."""
    with closing(open_reader(Record(title, path, None), short_side=SHORT_SIDE)) as reader:
        count = len(reader)
        height, width = reader.read([0]).shape[-2:]
    found = readers((height, width))
    rows: list[dict[str, object]] = []
    for job, frames in jobs(count).items():
        differs = compare(path, frames, found)
        for threads in (1, 0):
            variants = {name: partial(read, path, frames, threads) for name, read in found.items()}
            wall, cpu = wall_and_cpu(variants, rounds)
            case = f"{title}: {job}, {'one thread' if threads else 'all threads'}"
            for clock, times in (("wall", wall), ("cpu", cpu)):
                part = table(f"{case}, {clock} time", times)
                best, factor = verdict(times)
                print(f"ours is {factor:.2f} times as fast as the fastest other, {best}")
                about = {"video": title, "read": job, "threads": threads, "clock": clock,
                         "best_other": best, "against_it": factor}  # fmt: skip
                rows += [row | about | {"differs": differs[str(row["variant"])]} for row in part]
        print("pictures, against ours: " + "; ".join(f"{k}: {v}" for k, v in differs.items()))
    return rows


if __name__ == "__main__":
    main()
