"""Training, top to bottom: `train` prepares, `_fit` is the loop, `_finish` tests. No hooks.

A step's random numbers depend on (seed, phase, epoch, step, process) alone, and a loader's on
(seed, epoch, index), so a run that was stopped goes on exactly as if it had not been.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from .. import checkpoint
from ..data import DataSplits, Loader, load_data
from ..models import VideoModel
from ..plain import to_plain
from ..progress import Progress
from ..types import JSON, Batch, InputSpec
from .announce import announce, check_data, diagnosis, result_card, verdict, waiting_hint
from .config import Phase, Recipe
from .evaluate import NonFiniteError, eval_loader, score
from .held_out import held_out
from .optim import build_optimizer, clip_gradients, freeze, group_parameters, rate_factor, set_rate
from .report import write_report
from .run import SEVERAL, Row, RunFolder, Sums
from .runtime import open_runtime, seed_everything, step_seed, stop_signals
from .scores import write_scores
from .session import (
    Session,
    Stopped,
    micro_batch,
    open_session,
    quick_protocol,
    train_loader,
    val_loader,
)  # fmt: skip

__all__ = ["NonFiniteError", "Stopped", "train"]

NOTE_EVERY = 10  # steps between lines of log.jsonl


def train(
    recipe: Recipe,
    data: DataSplits | str | Path,
    out: str | Path,
    *,
    resume: bool = False,
    device: str | torch.device | None = None,
) -> VideoModel:
    """Trains and tests a model, and leaves everything about it in a run folder.

    Under `torchrun` every process calls this; a recipe's batch is shared out among them.

    Args:
        recipe: see `Recipe`; the number of classes and their names come from the data.
        data: splits, or what `load_data` takes.
        out: the run folder.
        resume: go on with the run in `out`.
        device: None: a GPU if there is one.

    Returns:
        The best model on the validation split, in eval mode, as stored in `model.safetensors`.

    Raises:
        FileExistsError: if `out` holds a run and `resume` is False.
        ValueError: for data that cannot be trained on, and for a resume with another recipe or
            other data.
        VideoError: for an unreadable video, unless the recipe's `on_error` is `skip`.
        TooManyUnreadError: for more of them than the recipe's `max_skipped` allows.
        NonFiniteError: when the loss, the gradient or the logits of a validation are no numbers any
            more.
        Stopped: after Ctrl-C or SIGTERM, with the state saved.
    """
    splits = data if isinstance(data, DataSplits) else load_data(data)
    hints = check_data(splits)
    runtime = open_runtime(device, recipe.precision)
    folder = RunFolder(Path(out), runtime, tensorboard=recipe.tensorboard)
    with stop_signals() as stop:
        session = open_session(recipe, splits, folder, runtime, stop, resume=resume)
        announce(recipe, splits, session.model, session.start, runtime, folder, hints)
        if session.saved:
            folder.say(f"resumed after {session.place.total} steps")
        while session.place.phase < len(recipe.phases):
            _fit(session, recipe.phases[session.place.phase])
        (asked,) = runtime.any(bool(stop.asked))
    if asked:  # during the last validation, after everything was saved
        raise session.stopped()
    return _finish(session)


@dataclass(frozen=True, kw_only=True)
class _Length:
    """steps per epoch, steps of the phase, epochs (the last may be cut short)."""

    steps: int
    total: int
    epochs: int


def _fit(session: Session, phase: Phase) -> None:
    """One phase: epochs of steps, each epoch followed by a save, some by a validation."""
    recipe, runtime, place, model = session.recipe, session.runtime, session.place, session.model
    spec = recipe.input_for(phase)
    for part in session.models:
        part.spec = replace(part.spec, input=recipe.input_at_test(phase), protocol=recipe.eval)
    title = f"phase {place.phase + 1}/{len(recipe.phases)}"
    training = train_loader(session, place.phase)
    validation = val_loader(session, phase)
    try:
        length = _length(session, phase, training)
        session.folder.say(
            f"{title}: {length.total} steps of {phase.batch} clips, {spec.frames} frames of "
            f"{spec.crop}x{spec.crop}; {length.epochs} epochs of {length.steps} steps"
        )
        groups = group_parameters(
            session.objective,
            model,
            recipe.optim.rules,
            old=session.start.kept,
            old_lr=recipe.old_lr,
        )
        optimizer = build_optimizer(session.objective, groups, recipe.optim)
        if session.saved and (place.epoch or place.step):
            optimizer.load_state_dict(session.saved["optimizer"])
        session.saved = None
        per_unit = length.steps if phase.epochs else 1
        for epoch in range(place.epoch, length.epochs):
            todo = min(length.steps, length.total - epoch * length.steps)
            model.train()
            freeze(model, recipe.freeze, recipe.freeze_bn)
            skip = place.step * recipe.optim.accumulate
            batches = training.epoch(epoch, skip=skip)
            name = f"{title} epoch {epoch + 1}/{length.epochs}"
            with Progress(name, todo, shown=runtime.first) as bar:
                bar.advance(place.step)
                for step in range(place.step, todo):
                    done = (epoch * length.steps + step) / per_unit
                    lr = phase.peak_lr * rate_factor(phase, done)
                    set_rate(optimizer, lr)
                    loss, stop = _step(session, spec, training, batches, optimizer, lr)
                    bar.advance(1, f"loss {loss:.3f}  lr {lr:.3g}")
                    session.save_or_stop(optimizer, stop=stop)
            place.epoch, place.step = epoch + 1, 0
            last = epoch + 1 == length.epochs
            if last or (epoch + 1) % recipe.eval_every == 0:
                _validate(session, validation)
            if last:
                place.phase, place.epoch = place.phase + 1, 0
            session.save_state(optimizer)
    finally:
        training.close()
        if validation:
            validation.close()


def _step(
    session: Session,
    spec: InputSpec,
    loader: Loader,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    lr: float,
) -> tuple[float, bool]:
    """One optimizer step of `accumulate` pieces; (this process's loss, whether to stop)."""
    recipe, runtime, place = session.recipe, session.runtime, session.place
    sums, pieces = place.sums, recipe.optim.accumulate
    seed_everything(step_seed(recipe.seed, place.phase, place.epoch, place.step, runtime.rank))
    began, loss, ids = time.perf_counter(), 0.0, list[str]()
    optimizer.zero_grad(set_to_none=True)
    for piece in range(pieces):
        asked = time.perf_counter()
        batch = next(batches)
        sums.waiting += time.perf_counter() - asked
        clips = spec.to_input(batch.clips.flatten(0, 1), runtime.device)  # (N, C, T, H, W)
        targets = batch.targets.to(runtime.device)
        more = session.parallel is not None and piece < pieces - 1
        with session.parallel.no_sync() if session.parallel and more else nullcontext():
            with runtime.autocast():
                report = session.forward(clips, targets)
            (report.total / pieces).backward()
        loss += float(report.total.detach()) / pieces
        sums.hits += int(_hits(report.logits, targets).sum())
        ids += batch.ids
    norm = clip_gradients(session.objective, recipe.optim.clip)
    bad = not (math.isfinite(loss) and math.isfinite(norm))
    unread = loader.take_unread()
    any_bad, stop, any_unread = runtime.any(bad, bool(session.stop.asked), bool(unread))
    if any_unread:
        session.note_unread("train", chain.from_iterable(runtime.gather(unread)))
    if any_bad:
        raise NonFiniteError(diagnosis(loss, norm, place, lr, session.splits, ids if bad else []))
    optimizer.step()
    if session.ema:
        session.ema.update_parameters(session.model)
    seconds = time.perf_counter() - began
    place.step, place.total, place.lr = place.step + 1, place.total + 1, lr
    sums.loss, sums.clips = sums.loss + loss * len(ids), sums.clips + len(ids)
    sums.seconds, place.seconds = sums.seconds + seconds, place.seconds + seconds
    if place.total % NOTE_EVERY == 0:
        session.folder.note("step", step=place.total, loss=loss, lr=lr, seconds=round(seconds, 4))
    return loss, stop


def _hits(logits: Tensor, targets: Tensor) -> Tensor:
    """(N,) whether the most probable label is one the clip shows, and shows as much as any."""
    guess = logits.argmax(1)
    if targets.ndim == 1:
        return guess == targets
    return targets.gather(1, guess[:, None])[:, 0] == targets.max(1).values


def _validate(session: Session, loader: Loader | None) -> None:
    """Adds a row to metrics.csv, and keeps the model if it is the best so far."""
    place, runtime, folder = session.place, session.runtime, session.folder
    for part in session.models:
        runtime.share_buffers(part)
    sums = session.totals()
    loss, top1 = sums.loss / sums.clips, sums.hits / sums.clips
    speed, share = sums.clips / sums.seconds * runtime.world, sums.waiting / sums.seconds
    row: Row = {"phase": place.phase + 1, "epoch": place.epoch, "step": place.total}
    row |= {"lr": place.lr, "train_loss": loss, "train_top1": top1}
    best = "hit@1" if session.splits.train.several else "top-1"
    text = f"epoch {place.epoch}: train loss {loss:.3f} {best} {top1:.1%}"
    better = True
    if loader:
        protocol = quick_protocol(session.recipe)
        try:
            result = score(
                session.result,
                session.splits.val,
                loader,
                protocol,
                runtime,
                limit=loader.batch,
                title="validate",
                max_skipped=session.recipe.max_skipped,
            )
        except NonFiniteError as error:
            where = f"after step {place.total}, lr {place.lr:.3g}"
            raise NonFiniteError(f"{error}; {where}; lower the rate, or add warmup") from None
        session.note_unread("val", result.unread)
        metrics = result.metrics
        row |= {"val_loss": metrics.loss, "val_top1": metrics.top1, "val_top5": metrics.top5}
        row |= {"val_mean_class": metrics.mean_class}
        row |= {SEVERAL: metrics.mean_ap} if result.several else {}
        quality = (metrics.top1, -metrics.loss)
        better = place.best is None or quality > place.best
        place.best = quality if better else place.best
        text += f", val loss {metrics.loss:.3f} {best} {metrics.top1:.1%}{' (best)' * better}"
    row |= {"clips_per_s": speed, "data_share": share}
    place.history.append(row)
    place.sums = Sums()
    if better:
        session.save_model(folder.model, session.result, row)
    session.save_model(folder.last, session.result, row)
    folder.write_metrics(place.history)
    folder.note("validate", **row)
    folder.say(f"{text}; {speed:.1f} clips/s{waiting_hint(place.history, session.recipe)}")


def _finish(session: Session) -> VideoModel:
    """Tests the best model, and writes scores, card, model file and report."""
    recipe, folder, runtime = session.recipe, session.folder, session.runtime
    runtime.wait()  # until the first process has written the model
    model = checkpoint.load(folder.model, runtime.device)
    name, manifest = held_out(session.splits)
    metrics: dict[str, JSON] = {}
    if manifest:
        exact = replace(runtime, precision="fp32")  # what predict computes in
        limit = micro_batch(recipe.phases[-1], recipe, runtime.world)
        loader = eval_loader(
            model,
            manifest,
            recipe.eval,
            exact,
            batch=limit,
            workers=recipe.workers,
            on_error=recipe.on_error,
            decoder=recipe.decoder,
        )
        try:
            result = score(
                model,
                manifest,
                loader,
                recipe.eval,
                exact,
                limit=limit,
                title=name,
                max_skipped=recipe.max_skipped,
            )
        finally:
            loader.close()
        session.note_unread(name, result.unread)
        metrics = {"split": name, **cast(dict[str, JSON], to_plain(result.metrics))}
        folder.say(verdict(name, result))
        if runtime.first:
            write_scores(result, manifest, model, folder.scores)
            session.save_model(folder.model, model, metrics)
    folder.write_card(
        result_card(
            recipe,
            session.splits,
            session.fingerprint,
            session.start,
            session.place,
            runtime,
            metrics,
        )
    )
    if runtime.first:
        write_report(folder.path)
    folder.note("end", **metrics)
    folder.say(f"model: {folder.model}")
    runtime.wait()
    return model


def _length(session: Session, phase: Phase, loader: Loader) -> _Length:
    steps = loader.steps_per_epoch // session.recipe.optim.accumulate
    total = phase.steps or phase.epochs * steps
    return _Length(steps=steps, total=total, epochs=math.ceil(total / steps))
