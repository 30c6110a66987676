"""From video files to batches. Knows nothing of models: `InputSpec` is all they share."""

from .datasets import list_datasets, load_data, register_dataset
from .loader import (
    Loader,
    VideoDataset,
    build_loader,
    collate,
    eval_dataset,
    read_views,
    train_dataset,
)
from .manifest import DataSplits, Manifest, ManifestError, flip_map_from_names
from .readers import ArrayReader, Decoder, Reader, VideoError, decoder_version, open_reader
from .sampling import DenseSampler, Sampler, SegmentSampler, expand_stack, make_sampler
from .transforms import Augment, Transform, eval_transform, train_transform

__all__ = [
    "ArrayReader",
    "Augment",
    "DataSplits",
    "Decoder",
    "DenseSampler",
    "Loader",
    "Manifest",
    "ManifestError",
    "Reader",
    "Sampler",
    "SegmentSampler",
    "Transform",
    "VideoDataset",
    "VideoError",
    "build_loader",
    "collate",
    "decoder_version",
    "eval_dataset",
    "eval_transform",
    "expand_stack",
    "flip_map_from_names",
    "list_datasets",
    "load_data",
    "make_sampler",
    "open_reader",
    "read_views",
    "register_dataset",
    "train_dataset",
    "train_transform",
]
