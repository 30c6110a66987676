"""Names of facebookresearch/SlowFast: the slow path alone, and both paths.

Its model zoo has PyTorch files and files of Caffe2, whose blobs have names of their own. Both hold
the same numbers: running variances are variances there too, though their blobs are called `riv`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from ..models import VideoModel
from ..types import JSON, InputSpec
from .naming import as_volumes
from .source import Source

_BLOCK = re.compile(r"backbone\.(?:(slow|fast)\.)?layer(\d)\.(\d+)\.(.+)\.(\w+)")
_STEM = re.compile(r"backbone\.(?:(slow|fast)\.)?(conv|bn)1\.(\w+)")
_LATERAL = re.compile(r"backbone\.lateral\.layer(\d)\.(conv|bn)\.(\w+)")
_PATHWAYS = {None: 0, "slow": 0, "fast": 1}
_PARTS = {
    "conv1": "branch2.a", "conv2": "branch2.b", "conv3": "branch2.c", "downsample.0": "branch1",
    "bn1": "branch2.a_bn", "bn2": "branch2.b_bn", "bn3": "branch2.c_bn",
    "downsample.1": "branch1_bn",
}  # fmt: skip

# Caffe2: the fast path's names begin with t_, blocks are res<stage>_<index>_branch<1, 2a, 2b, 2c>,
# what joins the paths is called after what it stands behind.
_BLOB = re.compile(
    r"(?P<fast>t_)?(?:"
    r"(?:pool1|res(?P<behind>[234])_\d+_branch2c_bn)(?P<joins>_subsample)"
    r"|res(?P<stage>[2345])_(?P<index>\d+)_branch(?P<branch>[12])(?P<conv>[abc]?)"
    r"|(?P<stem>conv1|res_conv1)"
    r")(?P<norm>_bn)?_(?P<tensor>w|b|s|rm|riv)"
)
_CLASSIFIER = re.compile(r"pred_(w|b)")
_TENSORS = {
    "w": "weight", "b": "bias", "s": "weight", "rm": "running_mean", "riv": "running_var",
}  # fmt: skip
_RECORDS = re.compile(r".*_momentum|lr|model_iter")  # of training


def _official_slowfast(model: VideoModel, key: str) -> str:
    """Stages are s1 (the stem) to s5, what joins the paths behind s<k> is s<k>_fuse."""
    if block := _BLOCK.fullmatch(key):
        path, stage, index, part, tensor = block.groups()
        name = f"pathway{_PATHWAYS[path]}_res{index}.{_PARTS.get(part, part)}.{tensor}"
        return f"s{int(stage) + 1}.{name}"
    if stem := _STEM.fullmatch(key):
        return f"s1.pathway{_PATHWAYS[stem[1]]}_stem.{stem[2]}.{stem[3]}"
    if lateral := _LATERAL.fullmatch(key):
        part = "conv_f2s" if lateral[2] == "conv" else "bn"
        return f"s{lateral[1]}_fuse.{part}.{lateral[3]}"
    return key.replace("head.fc.", "head.projection.")


def slowfast_options(lateral: Tensor | None) -> dict[str, JSON]:
    """What a lateral convolution's weight tells, of shape (2 C, C, k, 1, 1).

    A kernel of 7 is that of "8x8", whose slow path sees every fourth frame. Other kernels do not
    tell `alpha`.
    """
    options: dict[str, JSON] = {}
    if lateral is not None:
        options["fusion_kernel"] = lateral.shape[2]
        if lateral.shape[2] == 7:
            options["alpha"] = 4
    return options


def _options(name: str, state: Mapping[str, Tensor]) -> dict[str, JSON]:
    if not name.startswith("slowfast_"):
        return {}
    options = slowfast_options(state.get("s1_fuse.conv_f2s.weight"))
    options |= {"slow_frames": "spread", "lateral_norm": True}
    return options


def _from_caffe2(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Blobs under the names of the PyTorch files; those are left as they are."""
    if "pred_w" not in state:
        return state
    return {_name_of_blob(key): x for key, x in state.items() if not _RECORDS.fullmatch(key)}


def _name_of_blob(key: str) -> str:
    """`t_res2_0_branch2a_bn_s` is `s2.pathway1_res0.branch2.a_bn.weight`; unknown ones stay."""
    if head := _CLASSIFIER.fullmatch(key):
        return f"head.projection.{_TENSORS[head[1]]}"
    found = _BLOB.fullmatch(key)
    if found is None:
        return key
    tensor, norm, path = _TENSORS[found["tensor"]], found["norm"] or "", int(bool(found["fast"]))
    if found["joins"]:
        return f"s{found['behind'] or 1}_fuse.{'bn' if norm else 'conv_f2s'}.{tensor}"
    if found["stem"]:
        return f"s1.pathway{path}_stem.{'bn' if norm else 'conv'}.{tensor}"
    part = f"branch{found['branch']}" + (f".{found['conv']}" if found["conv"] else "")
    return f"s{found['stage']}.pathway{path}_res{found['index']}.{part}{norm}.{tensor}"


def _input(spec: InputSpec) -> InputSpec:
    """The project's pixels: one mean and one deviation for all colours."""
    return replace(spec, mean=(0.45,), std=(0.225,)) if spec.modality == "rgb" else spec


SLOWFAST_AUTHORS = Source(
    rename=_official_slowfast,
    heads=("head.projection.weight",),
    adapt=_from_caffe2,
    input=_input,
    options=_options,
    export=as_volumes,
)
