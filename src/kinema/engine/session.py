"""What a run holds while it goes on: made fresh or as it was saved, and written at every save."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from .. import checkpoint
from ..data import DataSplits, Loader, Manifest, build_loader, train_dataset
from ..data.unread import Unread, check_unread
from ..losses import LossReport, Objective, activation_of
from ..models import VideoModel, create_model
from ..plain import from_plain, to_plain
from ..types import JSON, EvalProtocol
from .config import Phase, Recipe
from .evaluate import eval_loader, share_workers
from .held_out import held_out
from .optim import average, freeze, group_parameters
from .run import Place, RunFolder, State, Sums, restored_place
from .runtime import Runtime, StopRequest, seed_everything
from .start import StartReport, start_from

SAID = 5  # unreadable videos of a split that the terminal names


class Stopped(Exception):  # noqa: N818  nothing went wrong
    """The run was asked to end and has saved its state; the message says how to go on."""


@dataclass(kw_only=True)
class Session:
    """A run in progress.

    Attributes:
        forward: the objective, wrapped for several processes and compiled where asked for.
        parallel: the wrapper for several processes, if there are several.
        ema: the moving average of the weights, where the recipe has one.
        saved: the state to go on from; None: from the beginning, or already taken up.
        stop: whether somebody asked the run to end.
    """

    recipe: Recipe
    splits: DataSplits
    fingerprint: dict[str, str]
    runtime: Runtime
    folder: RunFolder
    model: VideoModel
    objective: Objective
    forward: Callable[[Tensor, Tensor], LossReport]
    parallel: DistributedDataParallel | None
    ema: AveragedModel | None
    start: StartReport
    place: Place
    saved: State | None
    stop: StopRequest

    @property
    def result(self) -> VideoModel:
        """The weights that are evaluated and saved."""
        return cast(VideoModel, self.ema.module) if self.ema else self.model

    @property
    def models(self) -> tuple[VideoModel, ...]:
        """The trained weights, and their average where there is one."""
        return (self.model, self.result) if self.ema else (self.model,)

    def save_model(self, path: Path, model: VideoModel, metrics: Mapping[str, JSON]) -> None:
        """Writes a model file that says how it came about."""
        if self.runtime.first:
            checkpoint.save(
                model,
                path,
                recipe=to_plain(self.recipe),
                metrics=dict(metrics),
                fingerprint=dict(self.fingerprint),
            )

    def totals(self) -> Sums:
        """What was added up since the last row of metrics.csv, over all processes."""
        mine = torch.tensor(
            astuple(self.place.sums), dtype=torch.float64, device=self.runtime.device
        )
        return Sums(*self.runtime.total(mine).tolist())

    def save_state(self, optimizer: torch.optim.Optimizer) -> None:
        """Writes everything needed to go on from here; to be called on all processes."""
        self.folder.save_state(
            replace(self.place, sums=self.totals()),
            self.recipe,
            self.fingerprint,
            objective=self.objective.state_dict(),
            ema=self.ema.state_dict() if self.ema else None,
            optimizer=optimizer.state_dict(),
            start=to_plain(self.start),
        )

    def note_unread(self, split: str, found: Iterable[Unread]) -> None:
        """Counts videos that could not be read; says the first ones, and logs every one once.

        Args:
            split: `train`, `val` or `test`.
            found: those of all processes; to be called on all of them.

        Raises:
            TooManyUnreadError: for more than the recipe's `max_skipped` allows.
        """
        known = self.place.unread.setdefault(split, {})
        for one in found:
            if one.id in known:
                known[one.id]["times"] = cast(int, known[one.id]["times"]) + 1
                continue
            known[one.id] = {"cause": one.cause, "times": 1}
            instead = f"; {one.instead} takes its place" if one.instead else ""
            if len(known) <= SAID:
                self.folder.say(f"unreadable {split} video: {one.cause}{instead}")
            if len(known) == SAID:
                self.folder.say(f"further ones of {split} are in {self.folder.log.name} only")
            about = {"id": one.id, "cause": one.cause, "instead": one.instead}
            self.folder.note("unread", split=split, step=self.place.total, **about)
        if known:
            check_unread(
                [str(row["cause"]) for row in known.values()],
                len(cast(Manifest, getattr(self.splits, split))),
                max_skipped=self.recipe.max_skipped,
                split=split,
            )

    def save_or_stop(self, optimizer: torch.optim.Optimizer, *, stop: bool) -> None:
        """Within an epoch: saves where the recipe says so, and before the run ends on request.

        Raises:
            Stopped: if asked to.
        """
        every = self.recipe.save_every
        if stop or (every and self.place.total % every == 0):
            self.save_state(optimizer)
        if stop:
            raise self.stopped()

    def stopped(self) -> Stopped:
        """What to raise when the run ends on request, everything being saved."""
        self.folder.note("stop", step=self.place.total)
        return Stopped(
            f"stopped after {self.place.total} steps with everything saved in "
            f"{self.folder.path}; go on with the same command and --resume"
        )


def open_session(
    recipe: Recipe,
    splits: DataSplits,
    folder: RunFolder,
    runtime: Runtime,
    stop: StopRequest,
    *,
    resume: bool,
) -> Session:
    """Model, objective and place: fresh, or as they were saved in the run folder.

    The folder is taken last, so that settings that cannot work leave it free.
    """
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    fingerprint = {name: part.fingerprint() for name, part in named.items() if part}
    seed_everything(recipe.seed)
    model = create_model(
        recipe.model,
        input=recipe.input_for(recipe.phases[0]),
        labels=splits.train.labels,
        **recipe.model_args,  # type: ignore[arg-type]  # create_model checks them
    )
    model.spec = replace(model.spec, activation=activation_of(recipe.loss))
    model.backbone.recompute = recipe.recompute
    if recipe.sync_bn and runtime.device.type != "cuda":
        raise ValueError("sync_bn=true needs GPUs; leave it false on a CPU")
    freeze(model, recipe.freeze, recipe.freeze_bn)
    saved = folder.look(recipe, fingerprint, resume)
    if saved:
        start = from_plain(StartReport, saved["start"], "start")
    else:
        start = start_from(model, recipe.init, source=recipe.init_source)
    if recipe.sync_bn:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
    objective = Objective(model, [term.build(model) for term in recipe.loss]).to(runtime.device)
    ema = None
    if recipe.optim.ema:
        ema = AveragedModel(model, multi_avg_fn=average(recipe.optim.ema), use_buffers=True)
    if saved:
        objective.load_state_dict(saved["objective"])
        if ema:
            ema.load_state_dict(saved["ema"])
    parallel = DistributedDataParallel(objective) if runtime.world > 1 else None
    forward = parallel or objective
    session = Session(
        recipe=recipe,
        splits=splits,
        fingerprint=fingerprint,
        runtime=runtime,
        folder=folder,
        model=model,
        objective=objective,
        forward=torch.compile(forward) if recipe.compile else forward,
        parallel=parallel,
        ema=ema,
        start=start,
        place=restored_place(saved, first=runtime.first) if saved else Place(),
        saved=saved,
        stop=stop,
    )
    _check(session)
    folder.claim(recipe)
    return session


def _check(session: Session) -> None:
    """Builds whatever a later part of the run would be the first to refuse; reads no video."""
    recipe, runtime = session.recipe, session.runtime
    rules = recipe.optim.rules
    group_parameters(session.objective, session.model, rules, old=session.start.kept)
    for number in range(len(recipe.phases)):
        train_loader(session, number)
    _, tested = held_out(session.splits)
    val = (session.splits.val, quick_protocol(recipe))
    for manifest, protocol in (val, (tested, recipe.eval)):
        if manifest:
            eval_loader(session.model, manifest, protocol, runtime, batch=1, workers=0)


def micro_batch(phase: Phase, recipe: Recipe, world: int) -> int:
    """Clips in one forward pass of one process.

    Raises:
        ValueError: where the phase's batch does not divide evenly.
    """
    pieces = world * recipe.optim.accumulate
    if phase.batch % pieces:
        raise ValueError(
            f"batch={phase.batch} must be a multiple of {pieces} ({world} processes x accumulate="
            f"{recipe.optim.accumulate}); use {max(1, phase.batch // pieces) * pieces}"
        )
    return phase.batch // pieces


def train_loader(session: Session, number: int) -> Loader:
    """This process's share of the training clips in a phase.

    Raises:
        ValueError: where there are fewer clips than a step takes.
    """
    recipe, runtime = session.recipe, session.runtime
    phase, seed = recipe.phases[number], recipe.seed + number
    train_set = session.splits.train
    if len(train_set) < phase.batch:
        raise ValueError(
            f"batch={phase.batch} must not exceed the {len(train_set)} training clips; "
            f"lower it: phases.{number}.batch=N"
        )
    return build_loader(
        train_dataset(
            train_set,
            recipe.input_for(phase),
            recipe.augment,
            seed=seed,
            decoder=recipe.decoder,
        ),
        batch=micro_batch(phase, recipe, runtime.world),
        workers=share_workers(recipe.workers, runtime),
        seed=seed,
        shuffle=True,
        balanced=recipe.balance,
        rank=runtime.rank,
        world=runtime.world,
        drop_last=True,
        augment=recipe.augment,
        on_error=recipe.on_error,
        pin=runtime.device.type == "cuda",
    )


def val_loader(session: Session, phase: Phase) -> Loader | None:
    """This process's share of the validation videos; None where there are none."""
    if not session.splits.val:
        return None
    return eval_loader(
        session.result,
        session.splits.val,
        quick_protocol(session.recipe),
        session.runtime,
        batch=micro_batch(phase, session.recipe, session.runtime.world),
        workers=session.recipe.workers,
        on_error=session.recipe.on_error,
        decoder=session.recipe.decoder,
    )


def quick_protocol(recipe: Recipe) -> EvalProtocol:
    """The protocol of validations within a run: one view, averaged as in the final test."""
    return EvalProtocol(average=recipe.eval.average)
