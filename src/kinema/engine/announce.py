"""What a run says about itself: hints before the first step, the first lines, the result card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..data import DataSplits, Manifest, decoder_version
from ..models import VideoModel
from ..plain import to_plain
from ..types import JSON
from .config import Recipe
from .metrics import Metrics
from .run import Place, Row, RunFolder
from .runtime import Runtime, command, commit, machine, versions
from .scores import Evaluation
from .start import StartReport

WAITING = 0.3  # share of time spent waiting for data from which a run says so
FEW = 5  # training clips of a class below which a hint is given
SHOWN = 8  # clips that are named when the loss is no number
SKEW = 5  # largest class over smallest from which balancing is suggested


def check_data(splits: DataSplits) -> list[str]:
    """Refuses data that cannot be trained on; returns hints about data that can.

    Raises:
        ManifestError: for missing files, one class only, training clips without a label.
        ValueError: for splits with other labels.
    """
    train = splits.train
    train.check("train")
    counts = Counter(label for record in train.records for label in record.labels)
    for name, part in (("val", splits.val), ("test", splits.test)):
        if not part:
            continue
        part.check("test")
        if part.labels != train.labels:
            raise ValueError(
                f"{part.name}: the labels of {name} must be those of train, in the same order"
            )
    hints = []
    if not splits.test:
        hints.append("no test split: the final figure is on val, which also chose the best model")
    if not splits.val:
        hints.append("no val split: the last model is taken, not the best")
    absent = [label for i, label in enumerate(train.labels) if i not in counts]
    if absent:
        hints.append(f"{len(absent)} classes have no training clip: {', '.join(absent[:3])}")
    small = [train.labels[i] for i, n in counts.items() if n < FEW]
    if small:
        hints.append(
            f"{len(small)} classes have fewer than {FEW} training clips: {', '.join(small[:3])}"
        )
    if max(counts.values()) >= SKEW * min(counts.values()):
        hints.append(
            f"classes have {min(counts.values())} to {max(counts.values())} training clips: "
            "balance=true draws them equally often"
        )
    return hints


def announce(
    recipe: Recipe,
    splits: DataSplits,
    model: VideoModel,
    start: StartReport,
    runtime: Runtime,
    folder: RunFolder,
    hints: Sequence[str],
) -> None:
    """The first lines of a run."""
    sizes = ", ".join(f"{len(part.records)} {name}" for name, part in _named(splits))
    say = folder.say
    say(f"data: {sizes} videos, {len(splits.train.labels)} classes")
    if splits.note:
        say(splits.note)
    parameters = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = f", {parameters - trained:,} of them frozen" if trained < parameters else ""
    say(f"model: {recipe.model}, {parameters:,} parameters{frozen}")
    for line in start.lines():
        say(line)
    for phase in recipe.phases:
        if phase.lr_batch and phase.lr_batch != phase.batch:
            say(
                f"lr {phase.lr:g} for {phase.lr_batch} clips -> {phase.peak_lr:g} for {phase.batch}"
            )
        else:
            say(f"lr {phase.lr:g} for {phase.batch} clips")
    processes = f"{runtime.world} processes" if runtime.world > 1 else "one process"
    say(f"precision: {runtime.precision} ({runtime.reason}) on {runtime.device}, {processes}")
    for hint in hints:
        say(f"hint: {hint}")


def diagnosis(
    loss: float,
    norm: Tensor,
    place: Place,
    lr: float,
    splits: DataSplits,
    ids: Sequence[str],
) -> str:
    """What somebody needs to find out why the numbers ended; ids: the clips of the step."""
    path_of = {record.id: record.path for record in splits.train.records}
    files = ", ".join(str(path_of[i]) for i in ids[:SHOWN])
    if len(ids) > SHOWN:
        files += f", ... ({len(ids)} in all)"
    return (
        f"loss {loss:.3g}, gradient norm {float(norm):.3g} at phase {place.phase + 1}, epoch "
        f"{place.epoch + 1}, step {place.step + 1}, lr {lr:.3g}; lower the rate, add warmup, or "
        f"clip with optim.clip=20; clips: {files or 'those of another process'}"
    )


def waiting_hint(history: Sequence[Row], recipe: Recipe) -> str:
    """What to do about the time the newest row lost to waiting for data; said once in a run."""
    *before, share = (float(str(row["data_share"])) for row in history)
    if share <= WAITING or any(earlier > WAITING for earlier in before):
        return ""
    remedy = "use workers" if recipe.workers == 0 else "raise workers, or store smaller videos"
    return f"; {share:.0%} of the time went to waiting for data: {remedy}"


def verdict(name: str, result: Evaluation) -> str:
    """The last test in one line."""
    m, several = result.metrics, result.several
    low, high = m.interval
    best = "hit@1" if several else "top-1"
    rest = (
        f"hit@5 {m.top5:.1%}, mAP {m.mean_ap:.1%}" if several else f"mean class {m.mean_class:.1%}"
    )
    return (
        f"{name} {result.protocol.name}: {best} {m.top1:.1%} ({low:.1%} to {high:.1%}), {rest}, "
        f"{m.clips} videos{unread_text(m)}"
    )


def unread_text(metrics: Metrics) -> str:
    """What must stand behind a figure that has unreadable videos in it; "": it has none."""
    if not metrics.unread:
        return ""
    count = f"{metrics.unread} of {metrics.clips}"
    return f"; {count} videos could not be read and count as not recognised"


def result_card(
    recipe: Recipe,
    splits: DataSplits,
    fingerprint: Mapping[str, str],
    start: StartReport,
    place: Place,
    runtime: Runtime,
    metrics: Mapping[str, JSON],
) -> dict[str, JSON]:
    """Everything needed to judge a result and to get it again."""
    return {
        "format": 1,
        "model": recipe.model,
        "recipe": to_plain(recipe),
        "data": {
            "name": splits.train.name,
            "videos": {name: len(part.records) for name, part in _named(splits)},
            "classes": len(splits.train.labels),
            "fingerprint": dict(fingerprint),
        },
        "unread": {name: to_plain(found) for name, found in place.unread.items() if found},
        "decoder": decoder_version(recipe.decoder),
        "protocol": recipe.eval.name,
        "seed": recipe.seed,
        "start": {
            "source": start.source,
            "kept": start.parameters[0],
            "new": start.parameters[1],
        },
        "training": {
            "steps": place.total,
            "seconds": round(place.seconds, 1),
            "device": str(runtime.device),
            "precision": runtime.precision,
            "processes": runtime.world,
        },
        "command": command(),
        "versions": versions(),
        "machine": machine(),
        "commit": commit(),
        "metrics": dict(metrics),
    }


def _named(splits: DataSplits) -> list[tuple[str, Manifest]]:
    parts = (("train", splits.train), ("val", splits.val), ("test", splits.test))
    return [(name, part) for name, part in parts if part]
