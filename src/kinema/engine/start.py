"""Where training starts from: fresh weights, ImageNet, a model file, a published checkpoint."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path

from torch import Tensor

from .. import checkpoint, published
from ..files import atomic
from ..layers.weights import adapt_stem, inflate
from ..models import VideoModel
from ..models.base import models
from ..models.blvnet import BigLittleResNet
from ..models.slowfast import SlowFastResNet
from ..progress import Progress
from ..types import InputSpec, ModelSpec
from .optim import roles

IMAGENET_URL = "https://download.pytorch.org/models/"
IMAGENET_FILES: Mapping[str, str] = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "mobilenetv2": "mobilenet_v2-b0353104.pth",
}
"""pytorch/vision's ImageNet weights, version 1; a name ends in the beginning of the SHA-256."""

IMAGENET_CLASSES = 1000
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class StartReport:
    """What a run starts from.

    Attributes:
        source: as it was asked for, with the file where there is one.
        kept: names of loaded tensors.
        new: names of tensors that have fresh weights.
        fitted: names of loaded tensors whose shape was changed to fit (inflated, or a stem for
            other channels).
        left: names of tensors in the file that the model has no place for.
        parameters: (kept, new), counted in numbers.
        head: what became of the classifier.
    """

    source: str
    kept: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    fitted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    parameters: tuple[int, int] = (0, 0)
    head: str = "new"

    def lines(self) -> list[str]:
        """For people: what was kept and what is new."""
        if not self.kept:
            return [f"start: {self.source}, every weight is new"]
        kept, new = self.parameters
        lines = [
            f"start: {self.source}",
            f"  kept {kept:,} weights in {len(self.kept)} tensors, new {new:,} in {len(self.new)}; "
            f"classifier: {self.head}",
        ]
        for what, names in (("new", self.new), ("fitted", self.fitted), ("not used", self.left)):
            if names:
                lines.append(f"  {what}: {_listed(names)}")
        return lines


def start_from(
    model: VideoModel, init: str = "scratch", *, source: str = "", cache: Path | None = None
) -> StartReport:
    """Fills a fresh model with the weights a run begins with.

    Args:
        model: changed in place.
        init: `scratch`, `imagenet`, or a path: a kinema model file, or with `source` a published
            checkpoint.
        source: the repository a published file was released with, see `kinema.published.SOURCES`.
        cache: where downloads are kept; None: `KINEMA_CACHE`, or `~/.cache/kinema`.

    Raises:
        ValueError: for weights that belong to another architecture, or of which none fits.
        FileNotFoundError: where there is no file, and for a download without a network: says what
            to put where.
    """
    if init == "scratch":
        names = tuple(model.state_dict())
        return StartReport(source="scratch", new=names, parameters=(0, _count(model, names)))
    if init == "imagenet":
        path = imagenet_file(model, cache or cache_folder())
        return _from_published(
            model, path, "pytorch/vision", f"imagenet ({path})", classes=IMAGENET_CLASSES
        )
    path = Path(init)
    if not (path.is_file() or (source and path.is_dir())):
        raise FileNotFoundError(
            f"init={init!r} must be scratch, imagenet, or the path of a model file that exists"
        )
    if source:
        return _from_published(model, path, source, f"{path} ({source})")
    donor = checkpoint.load(path)
    same = donor.spec.labels == model.spec.labels
    return _transplant(model, donor.state_dict(), f"{path} ({donor.spec.name})", same_labels=same)


def _from_published(
    model: VideoModel, path: Path, source: str, title: str, *, classes: int | None = None
) -> StartReport:
    spec = model.spec
    # An image network has an RGB stem; `_transplant` fits it, and says so.
    images = source in published.SOURCES and published.SOURCES[source].images
    try:
        donor = published.convert(
            path,
            source=source,
            model=spec.name,
            num_classes=classes,
            input=InputSpec() if images else spec.input,
            **spec.overrides,
        )
    except ValueError as error:
        raise ValueError(_shortened(str(error), title, spec)) from error
    _check_options(model, donor, title)
    rename = published.SOURCES[source].rename
    state = {name: x for name, x in donor.state_dict().items() if rename(donor, name) is not None}
    return _transplant(model, state, title, same_labels=False)


def _check_options(model: VideoModel, donor: VideoModel, title: str) -> None:
    """Refuses weights that compute something else with the model's options than with theirs."""
    defaults = signature(models[model.spec.name]).parameters
    for key, value in donor.spec.overrides.items():
        own = model.spec.overrides.get(key, defaults[key].default)
        if own != value:
            raise ValueError(
                f"{title} needs {key}={value}, the model has {key}={own}: give "
                f"model_args.{key}={value}, or {key}={own} yourself to go on with other arithmetic"
            )


def _shortened(text: str, title: str, spec: ModelSpec) -> str:
    """A refusal of `published.convert` with the first of the tensors it lists, one per line."""
    head, *tensors = (" ".join(line.split()) for line in text.splitlines())
    if not tensors:
        return f"{title}: {head}"
    width = spec.overrides.get("width")
    remedy = "" if width is None else f"; published weights have the usual width, not width={width}"
    return f"{title}: {head} {'; '.join(tensors[:3])}{', ...' * (len(tensors) > 3)}{remedy}"


def _transplant(
    model: VideoModel, state: Mapping[str, Tensor], title: str, *, same_labels: bool
) -> StartReport:
    """Copies every tensor that has a place.

    The classifier only where it names the same classes and reads as many channels: a neck on a
    backbone that was trained without one changes them.
    """
    own = model.state_dict()
    role_of = roles(model, model)
    head = {name: x for name, x in own.items() if name.startswith("head.")}
    fits = all(name in state and state[name].shape == x.shape for name, x in head.items())
    keeps_head = same_labels and fits
    filled: dict[str, Tensor] = {}
    fitted, wrong = [], []
    for name, x in own.items():
        if name not in state or (name in head and not keeps_head):
            continue
        value = state[name]
        if value.shape != x.shape:
            value = _fit(value, x, stem=role_of.get(name) == "stem")
            fitted.append(name)
        if value.shape != x.shape:
            wrong.append(f"{name} {tuple(state[name].shape)}, here {tuple(x.shape)}")
        filled[name] = value
    if not any(role_of.get(name) in ("stem", "weight") for name in filled):
        raise ValueError(
            f"{title} has no convolution in common with {model.spec.name}; "
            f"it holds {_listed(tuple(state))}"
        )
    if wrong:
        raise ValueError(
            f"{title} is not the same architecture as {model.spec.name} "
            f"{dict(model.spec.overrides)}: {len(wrong)} tensors have another shape, "
            f"the first: {'; '.join(wrong[:3])}"
        )
    model.load_state_dict(own | filled)
    new = tuple(name for name in own if name not in filled)
    return StartReport(
        source=title,
        kept=tuple(filled),
        new=new,
        fitted=tuple(fitted),
        left=tuple(name for name in state if name not in filled and not name.startswith("head.")),
        parameters=(_count(model, filled), _count(model, new)),
        head="kept" if keeps_head and head else "new",
    )


def _fit(value: Tensor, wanted: Tensor, *, stem: bool) -> Tensor:
    """Inflates 2D kernels and adapts a stem; other differences stay, for the caller to report."""
    if value.ndim == 4 and wanted.ndim == 5:
        value = inflate(value, wanted.shape)
    if stem and value.ndim == wanted.ndim and value.shape[1] != wanted.shape[1]:
        value = adapt_stem(value, wanted.shape[1])
    return value


def _count(model: VideoModel, names: Mapping[str, Tensor] | tuple[str, ...]) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if name in names)


def _listed(names: tuple[str, ...], limit: int = 4) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


# ---------------------------------------------------------------- downloads


def cache_folder() -> Path:
    """`KINEMA_CACHE`, or `~/.cache/kinema`."""
    return Path(os.environ.get("KINEMA_CACHE") or Path.home() / ".cache" / "kinema")


def imagenet_file(model: VideoModel, cache: Path) -> Path:
    """The checked file of the model's image network, downloaded if it is not in the cache."""
    found = re.search(r"resnet\d+|mobilenetv2", model.spec.name)
    if isinstance(model.backbone, BigLittleResNet):
        raise ValueError(
            f"init=imagenet: nobody serves image weights for {model.spec.name}; give the file of "
            "IBM/BigLittleNet: init=FILE init_source=IBM/BigLittleNet"
        )
    two_paths = isinstance(model.backbone, SlowFastResNet)
    if found is None or found[0] not in IMAGENET_FILES or two_paths:
        raise ValueError(
            f"init=imagenet: there are no ImageNet weights for {model.spec.name}; "
            f"there are for {', '.join(IMAGENET_FILES)}"
        )
    name = IMAGENET_FILES[found[0]]
    return fetch(IMAGENET_URL + name, cache / name, check=lambda path: check_hash(path, name))


def check_hash(path: Path, name: str) -> None:
    """Compares a file's SHA-256 with its beginning in the official name (`...-f37072fd.pth`).

    Raises:
        ValueError: where they differ.
    """
    wanted = Path(name).stem.rpartition("-")[2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(wanted):
        raise ValueError(
            f"{path} has SHA-256 {digest[: len(wanted)]}..., its name promises {wanted}: "
            "it is damaged or another file; delete it and try again"
        )


def fetch(url: str, path: Path, *, check: Callable[[Path], None]) -> Path:
    """A file from the network, fetched once; `check` sees it before each use.

    Raises:
        FileNotFoundError: without a network; says what to put where.
        ValueError: from `check`.
    """
    if path.is_file():
        check(path)
        return path
    try:
        with urllib.request.urlopen(url, timeout=30) as answer, atomic(path) as temporary:
            size = int(answer.headers.get("Content-Length") or 0)
            bar = Progress(f"download {path.name} (MB)", size // CHUNK or None)
            with bar, temporary.open("wb") as file:
                while chunk := answer.read(CHUNK):
                    file.write(chunk)
                    bar.advance()
            check(temporary)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise FileNotFoundError(
            f"{url} cannot be reached ({reason}); fetch it elsewhere and put it at {path}, "
            "or set KINEMA_CACHE to a folder that holds it"
        ) from error
    return path
