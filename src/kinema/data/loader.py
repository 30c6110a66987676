"""From a manifest to batches: the same ones for the same seed, whatever number of workers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..types import Batch, EvalProtocol, InputSpec, Sample
from .fetch import Fetch, Fetched, Key, Reading, end_workers, start_worker, whole
from .flips import mirrored_labels
from .manifest import Manifest
from .mixing import Mixing
from .order import EpochOrder
from .readers import (
    Decoder,
    Reader,
    VideoError,
    check_decoder,
    index_cache,
    is_flow_folder,
    load_opencv,
    open_reader,
)
from .sampling import Sampler, expand_stack, frames_per_step, make_sampler
from .transforms import (
    Augment,
    Transform,
    eval_transform,
    mirror,
    stack_channels,
    train_transform,
)
from .unread import OnError, Unread

WORKER_TROUBLE = ("timed out", "exited unexpectedly", "is killed by")  # in texts of torch


def read_views(
    reader: Reader,
    spec: InputSpec,
    sampler: Sampler,
    transform: Transform,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """Cuts the views of a video: the one path for training, testing and prediction.

    Args:
        reader: of the video; its frames should have the transform's short side.
        spec: what the model expects.
        sampler: chooses the frames.
        transform: cuts the crops.
        rng: drawn from by the sampler first, then by the transform.

    Returns:
        clips (V, C, T, H, W) uint8, V = clips in time x crops, the crops of one clip together;
        spans (V, 2) float64: when the first frame of the view begins and its last one ends, in
        seconds of the video.
    """
    anchors = sampler(len(reader), rng)  # (v, T)
    indices = expand_stack(anchors, frames_per_step(spec), len(reader))  # (v, T, K)
    frames = reader.read(indices.ravel().tolist())  # (v*T*K, C, H, W)
    steps = stack_channels(frames, indices.shape, spec.modality)  # (v, T, C, H, W)
    clips = [transform(step, spec.modality, rng) for step in steps]  # v x (S, T, C, h, w)
    first = reader.times(indices.min(axis=(1, 2)).tolist())
    last = reader.times(indices.max(axis=(1, 2)).tolist()) + 1 / reader.fps
    spans = torch.from_numpy(np.stack([first, last], axis=1))  # (v, 2)
    crops = clips[0].shape[0]
    return torch.cat(clips).transpose(1, 2).contiguous(), spans.repeat_interleave(crops, 0)


class VideoDataset(Dataset[Sample]):
    """The videos of a manifest as samples; what a sample holds depends on its key alone.

    Args:
        manifest: the videos.
        spec: what the model expects.
        sampler: chooses the frames.
        transform: cuts the crops.
        seed: of everything random.
        flip: mirror half of the clips, with the manifest's flip map for the labels.
        decoder: what reads video files.

    Raises:
        ImportError: for a decoder that does not load here, and where flow has to be computed and
            OpenCV is not installed (told by the first record).
    """

    def __init__(
        self,
        manifest: Manifest,
        spec: InputSpec,
        sampler: Sampler,
        transform: Transform,
        *,
        seed: int = 0,
        flip: bool = False,
        decoder: Decoder = "pyav",
    ) -> None:
        check_decoder(decoder)
        if (
            spec.modality == "flow"
            and manifest.records
            and not is_flow_folder(manifest.records[0].path)
        ):
            load_opencv()
        self.manifest, self.spec, self.sampler, self.transform = manifest, spec, sampler, transform
        self.seed, self.flip, self.decoder = seed, flip, decoder
        self._several, self._indexes = manifest.several, index_cache(manifest.packets)

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, key: int | Key) -> Sample:
        """The sample of an index, or of (epoch, index); an index alone means epoch 0.

        Raises:
            VideoError: naming the file, the frame and the cause.
        """
        epoch, index, *draw = key if isinstance(key, tuple) else (0, key)
        record, spec = self.manifest.records[index], self.spec
        rng = np.random.default_rng((self.seed, epoch, index, *draw))
        short_side = self.transform.short_side
        opened = open_reader(
            record,
            spec.modality,
            short_side=short_side,
            decoder=self.decoder,
            cache=self._indexes,
        )
        with closing(opened) as reader:
            clips, spans = read_views(reader, spec, self.sampler, self.transform, rng)
        labels = record.labels
        if self.flip and labels and rng.random() < 0.5:
            after = mirrored_labels(labels, self.manifest.flip_map)
            if after is not None:
                clips, labels = mirror(clips, spec.modality, channels=1), after
        return Sample(clips, self._target(labels), record.id, spans)

    def _target(self, labels: tuple[int, ...]) -> Tensor:
        """() int64, or (K,) float where a video of the manifest has several labels."""
        if not self._several:
            return torch.tensor(labels[0] if labels else -1)
        target = torch.zeros(self.manifest.num_classes)
        target[list(labels)] = 1.0
        return target


def train_dataset(
    manifest: Manifest,
    spec: InputSpec,
    augment: Augment,
    *,
    seed: int,
    decoder: Decoder = "pyav",
) -> VideoDataset:
    """Random frames, crops, colours and mirror images of a manifest."""
    sampler = make_sampler(spec, jitter=True)
    transform = train_transform(spec, augment)
    return VideoDataset(
        manifest, spec, sampler, transform, seed=seed, flip=augment.flip, decoder=decoder
    )


def eval_dataset(
    manifest: Manifest, spec: InputSpec, protocol: EvalProtocol, *, decoder: Decoder = "pyav"
) -> VideoDataset:
    """The fixed views of a test protocol."""
    sampler = make_sampler(spec, views=protocol.views)
    return VideoDataset(manifest, spec, sampler, eval_transform(spec, protocol), decoder=decoder)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stacks samples of one shape."""
    return Batch(
        clips=torch.stack([sample.clips for sample in samples]),
        targets=torch.stack([sample.target for sample in samples]),
        ids=[sample.id for sample in samples],
        spans=torch.stack([sample.spans for sample in samples]),
    )


class Loader:
    """Batches of a data set, epoch by epoch. Build it with `build_loader`.

    Workers start at the first epoch and stay; no file is open before they do.

    Attributes:
        dataset: where samples come from.
        batch: samples per batch on this rank.
        timeout: seconds to wait for a batch before the loader gives up; 0: for ever.
    """

    def __init__(
        self,
        dataset: VideoDataset,
        order: EpochOrder,
        *,
        batch: int,
        workers: int,
        mixing: Mixing | None,
        on_error: OnError,
        pin: bool,
        timeout: float,
    ) -> None:
        self.dataset, self.batch, self.timeout = dataset, batch, timeout
        self._order, self._workers, self._pin = order, workers, pin
        self._reading = Reading(workers)
        self._fetch = Fetch(
            dataset, collate, order, mixing=mixing, on_error=on_error, reading=self._reading
        )
        self._unread: list[Unread] = []
        self._plan: list[list[Key]] = []
        self._loader: DataLoader[object] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Batches of one epoch on this rank."""
        items, batch = self._order.items, self.batch
        return items // batch if self._order.drop_last else math.ceil(items / batch)

    def epoch(self, epoch: int, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, which depend on the seed and the epoch only.

        One epoch at a time: asking for the next one ends the one before.

        Args:
            epoch: counted from 0.
            skip: batches at the beginning that are left out, without being read.

        Raises:
            VideoError: for a video that cannot be read, and with `skip` in training for one in
                whose place no other could be read either.
            TimeoutError: no batch came in time; names the file being read.
        """
        indices = self._order(epoch)
        steps = range(skip, self.steps_per_epoch)
        cuts = [indices[step * self.batch : (step + 1) * self.batch] for step in steps]
        self._plan[:] = [[(epoch, int(index)) for index in cut] for cut in cuts]
        plan = list(self._plan)
        self._unread.clear()
        batches = iter(self._data_loader())
        for keys in plan:
            item = self._next(batches, keys)
            if isinstance(item, VideoError):
                raise item
            assert isinstance(item, Fetched)
            self._unread += item.unread
            if item.batch is not None:
                yield item.batch

    def take_unread(self) -> list[Unread]:
        """What could not be read for the batches of this epoch since this was last asked."""
        taken = list(self._unread)
        self._unread.clear()
        return taken

    def close(self) -> None:
        """Stops the workers. The next epoch would start new ones."""
        self._loader = None

    def _next(self, batches: Iterator[object], keys: list[Key]) -> object:
        try:
            return next(batches)
        except RuntimeError as error:  # torch's word for both a late and a dead worker
            text = str(error)
            if not any(sign in text for sign in WORKER_TROUBLE):
                raise
            end_workers(batches)
            self.close()
            if "timed out" in text:
                files = self._files(self._reading.for_batch([key[1] for key in keys]), keys)
                raise TimeoutError(
                    f"no batch came within timeout={self.timeout:g} s; {files}"
                ) from None
            numbers = re.search(r"pid(?:\(s\))? ([\d, ]+)", text)
            processes = [int(n) for n in numbers[1].split(",")] if numbers else []
            raise RuntimeError(
                f"a loader process died ({text.splitlines()[0]}); "
                f"{self._files(self._reading.by_process(processes), keys)}; "
                "if memory or /dev/shm is short, use fewer workers"
            ) from None

    def _files(self, read: Sequence[int], keys: Sequence[Key]) -> str:
        """The files being read, or where that is not known those of the batch waited for."""
        indices = read or [key[1] for key in keys]
        paths = ", ".join(str(self.dataset.manifest.records[i].path) for i in indices)
        plural = len(indices) > 1
        doing = "being read" if read else "waited for"
        return f"the file{'s' * plural} {doing} {'are' if plural else 'is'}: {paths}"

    def _data_loader(self) -> DataLoader[object]:
        if self._loader is None:
            self._loader = DataLoader(
                self._fetch,
                batch_sampler=self._plan,
                num_workers=self._workers,
                collate_fn=whole,
                pin_memory=self._pin,
                timeout=self.timeout if self._workers else 0,
                worker_init_fn=start_worker,
                persistent_workers=self._workers > 0,
                # its own: the default would draw from the global generator at every epoch
                generator=torch.Generator(),
            )
        return self._loader


def build_loader(
    dataset: VideoDataset,
    *,
    batch: int,
    workers: int,
    seed: int = 0,
    shuffle: bool = False,
    balanced: bool = False,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = False,
    augment: Augment | None = None,
    on_error: OnError = "raise",
    pin: bool = False,
    timeout: float = 300.0,
) -> Loader:
    """A loader for training (`shuffle`) or testing.

    Args:
        dataset: where samples come from.
        batch: samples per batch on this process.
        workers: processes that decode; 0: this one.
        seed: of the order, and of mixup and cutmix.
        shuffle: training: a new order each epoch, the same number of steps on every rank.
        balanced: draw every class equally often; needs `shuffle`. A video with several labels is
            drawn for each of them.
        rank: of this process.
        world: number of processes.
        drop_last: leave out the batch at the end that is not full.
        augment: gives mixup and cutmix, which mix the clips of a batch; targets become (N, K).
        on_error: what an unreadable video does: `raise`, or `skip`, see `Fetch`; those skipped are
            told by `take_unread`.
        pin: page-locked batches, for a GPU.
        timeout: seconds to wait for a batch from the workers; 0: for ever.

    Raises:
        ValueError: for sizes that give no batch, or labels that cannot be balanced or mixed.
    """
    if batch < 1:
        raise ValueError(f"batch={batch} must be at least 1")
    if workers < 0:
        raise ValueError(f"workers={workers} must be 0 or more")
    if not 0 <= rank < world:
        raise ValueError(f"rank={rank} must be in 0..{world - 1} (world={world})")
    if balanced and not shuffle:
        raise ValueError("balanced=True needs shuffle=True: testing looks at every video once")
    if shuffle and drop_last and len(dataset) < batch * world:
        raise ValueError(
            f"batch={batch} on {world} process{'es' if world > 1 else ''} needs at least "
            f"{batch * world} clips, there are {len(dataset)}; lower the batch"
        )
    labels = [record.labels for record in dataset.manifest.records]
    mixing = None
    if augment is not None and (augment.mixup or augment.cutmix):
        mixing = Mixing(dataset.manifest.num_classes, augment.mixup, augment.cutmix)
    if () in labels and (balanced or mixing):
        record = dataset.manifest.records[labels.index(())]
        what = "balanced=True" if balanced else "mixup and cutmix"
        raise ValueError(f"{what} needs labels, but record {record.id!r} has none")
    order = EpochOrder(
        labels,
        batch=batch,
        seed=seed,
        shuffle=shuffle,
        balanced=balanced,
        rank=rank,
        world=world,
        drop_last=drop_last,
    )
    return Loader(
        dataset,
        order,
        batch=batch,
        workers=workers,
        mixing=mixing,
        on_error=on_error,
        pin=pin,
        timeout=timeout,
    )
