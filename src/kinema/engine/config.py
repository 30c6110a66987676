"""What a run is, as plain data: `Recipe` and its parts, YAML in and out, overrides `a.b=c`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast

import yaml

from ..data.readers import Decoder
from ..data.transforms import Augment
from ..data.unread import MAX_SKIPPED, OnError, allowed
from ..files import atomic
from ..losses import AnyTermConfig, CrossEntropyConfig, activation_of
from ..plain import from_plain, to_plain
from ..registry import Registry
from ..types import JSON, EvalProtocol, InputSpec

__all__ = [
    "Augment", "EvalProtocol", "Optim", "ParamRole", "ParamRule", "Phase", "Recipe", "find_recipe",
    "list_recipes", "load_recipe", "override", "recipes", "register_recipe", "save_recipe",
]  # fmt: skip

ParamRole: TypeAlias = Literal[
    "stem", "stem_bias", "weight", "bias", "norm", "head_weight", "head_bias"
]
"""A parameter's part: `stem` the first convolution, `head_*` the classifier, `norm` of norms."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one clip length and one learning-rate curve.

    Attributes:
        frames: T of the clips.
        epochs: length in passes over the training set; exactly one of `epochs` and `steps` is above
            0.
        steps: length in optimizer steps.
        batch: clips per optimizer step, over all processes and accumulation steps together.
        lr: the rate for `lr_batch` clips per step.
        lr_batch: the number of clips `lr` is meant for; the rate is scaled linearly to `batch`. 0:
            `lr` is for `batch` as it is.
        warmup: linear rise at the beginning, in the unit of the length.
        stride: distance of neighbouring frames in source frames, for `dense` sampling.
        schedule: `cosine` falls to zero at the end; a list of milestones divides the rate by 10 at
            each, in the unit of the length.
    """

    frames: int
    epochs: int = 0
    steps: int = 0
    batch: int = 32
    lr: float = 0.01
    lr_batch: int = 0
    warmup: float = 0.0
    stride: int = 1
    schedule: Literal["cosine"] | tuple[int, ...] = "cosine"

    def __post_init__(self) -> None:
        if (self.epochs > 0) == (self.steps > 0) or min(self.epochs, self.steps) < 0:
            raise ValueError(
                f"phase epochs={self.epochs} steps={self.steps}: exactly one must be above 0"
            )
        for name in ("frames", "batch", "stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"phase {name}={getattr(self, name)} must be at least 1")
        if self.lr <= 0 or self.lr_batch < 0:
            raise ValueError(
                f"phase lr={self.lr} must be above 0 and lr_batch={self.lr_batch} not below"
            )
        if not 0 <= self.warmup < self.length:
            raise ValueError(
                f"phase warmup={self.warmup} must be at least 0 and below {self.length} {self.unit}"
            )
        marks = () if self.schedule == "cosine" else self.schedule
        if list(marks) != sorted(set(marks)) or any(not 0 < m < self.length for m in marks):
            raise ValueError(
                f"phase schedule={list(marks)} must rise and lie within {self.length} {self.unit}"
            )

    @property
    def unit(self) -> Literal["epochs", "steps"]:
        """What the length, the warm-up and the milestones are counted in."""
        return "epochs" if self.epochs else "steps"

    @property
    def length(self) -> int:
        """In `unit`."""
        return self.epochs or self.steps

    @property
    def peak_lr(self) -> float:
        """The rate after scaling to `batch`."""
        return self.lr * self.batch / self.lr_batch if self.lr_batch else self.lr


@dataclass(frozen=True, kw_only=True)
class ParamRule:
    """Multipliers for some parameters; of several rules the first that matches counts.

    Attributes:
        role: matches parameters of this role; None: of any.
        pattern: regular expression found anywhere in the parameter's name; "": any name.
        lr: multiplies the learning rate.
        decay: multiplies the weight decay.
    """

    role: ParamRole | None = None
    pattern: str = ""
    lr: float = 1.0
    decay: float = 1.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(
                f"rule pattern={self.pattern!r} must be a regular expression: {error}"
            ) from None
        if min(self.lr, self.decay) < 0:
            raise ValueError(f"rule lr={self.lr} decay={self.decay} must not be below 0")


@dataclass(frozen=True, kw_only=True)
class Optim:
    """The optimizer, apart from the learning rate, which belongs to the phase.

    Attributes:
        momentum: SGD only.
        nesterov: SGD only.
        betas: AdamW only.
        clip: largest total norm of the gradient; 0: off.
        accumulate: pieces a step's batch is computed in, to save memory. The gradient is that of
            the whole batch; batch norm sees the pieces.
        ema: decay of the moving average of the weights that is evaluated and saved; 0: off.
        rules: see `ParamRule`.
    """

    name: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-4
    clip: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    rules: tuple[ParamRule, ...] = ()

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise ValueError(f"optim.accumulate={self.accumulate} must be at least 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"optim.ema={self.ema} must be at least 0 and below 1; 0.999 is usual")
        if min(self.clip, self.weight_decay, self.momentum) < 0:
            raise ValueError(
                f"optim.clip={self.clip} weight_decay={self.weight_decay} momentum={self.momentum} "
                "must not be below 0"
            )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides the result of a run, except the data.

    Attributes:
        model: a name of `list_models()`.
        model_args: its options.
        phases: one after the other, with the same weights.
        name: what the run is called; shown only.
        dataset: the data the recipe was made for; shown only.
        test_frames: T of the clips the finished model is tested with and says it wants; 0: as in
            the phase.
        eval: the protocol of the final test; it travels in the model file. YAML may give its short
            name.
        init: where training starts from: `scratch`, `imagenet`, or the path of a model file.
        init_source: the repository a published file at `init` was released with; "": a kinema file.
        freeze: parts of the backbone that keep their weights: `stem`, `layer1`, ..., `backbone`.
        freeze_bn: batch norms that keep their statistics, scale and shift. `all_but_first` is TSN's
            partial BN.
        old_lr: multiplies the rate of weights that came from `init`.
        balance: draw classes equally often.
        precision: `auto` takes bf16 where the machine computes in it.
        compile: pass the objective through `torch.compile`.
        recompute: keep no activations inside blocks; less memory for about a third more time. Not
            together with `compile`.
        sync_bn: batch norm over all processes; GPUs only.
        decoder: what reads video files: `pyav`, or `torchcodec` (extra `fast`), which does not
            report damage.
        workers: processes per training process that decode; -1: the cores there are, shared out, at
            most 8.
        eval_every: epochs between validations; the end of a phase always has one.
        save_every: optimizer steps between saves within an epoch; 0: at the ends of epochs only.
        tensorboard: also write event files.
        on_error: what a video does that cannot be read: `raise` ends the run; `skip` gives its
            place in a training batch to another one and counts it as not recognised in a test.
        max_skipped: unreadable videos of a split that `skip` bears: below 1 a share, of which there
            may always be three; from 1 on a number.
    """

    model: str
    phases: tuple[Phase, ...]
    name: str = ""
    dataset: str = ""
    model_args: Mapping[str, JSON] = field(default_factory=dict)
    input: InputSpec = InputSpec()
    test_frames: int = 0
    loss: tuple[AnyTermConfig, ...] = (CrossEntropyConfig(),)
    optim: Optim = Optim()
    augment: Augment = Augment()
    eval: EvalProtocol = EvalProtocol()
    init: str = "scratch"
    init_source: str = ""
    freeze: tuple[str, ...] = ()
    freeze_bn: Literal["none", "all_but_first", "all"] = "none"
    old_lr: float = 1.0
    balance: bool = False
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    recompute: bool = False
    sync_bn: bool = False
    seed: int = 0
    decoder: Decoder = "pyav"
    workers: int = -1
    eval_every: int = 1
    save_every: int = 500
    tensorboard: bool = False
    on_error: OnError = "raise"
    max_skipped: float = MAX_SKIPPED

    def __post_init__(self) -> None:
        object.__setattr__(self, "model_args", to_plain(self.model_args))
        allowed(self.max_skipped, 1)  # refuses what has no sense
        if not self.phases:
            raise ValueError("phases must hold at least one phase")
        if not self.loss:
            raise ValueError("loss must hold at least one term, such as cross_entropy")
        activation_of(self.loss)
        if self.workers < -1 or self.eval_every < 1 or self.save_every < 0 or self.test_frames < 0:
            raise ValueError(
                f"workers={self.workers} must be at least -1, eval_every={self.eval_every} at "
                f"least 1, save_every={self.save_every} and test_frames={self.test_frames} at "
                "least 0"
            )
        if self.compile and self.recompute:
            raise ValueError(
                "compile=true and recompute=true do not go together; leave one of them out, or "
                "save memory with optim.accumulate"
            )
        if self.old_lr < 0 or self.seed < 0:
            raise ValueError(f"old_lr={self.old_lr} and seed={self.seed} must not be below 0")

    def input_for(self, phase: Phase) -> InputSpec:
        """What the clips of a phase look like in training."""
        return replace(self.input, frames=phase.frames, stride=phase.stride)

    def input_at_test(self, phase: Phase) -> InputSpec:
        """What clips the model wants after this phase."""
        return replace(self.input_for(phase), frames=self.test_frames or phase.frames)


recipes: Registry[Callable[[], Recipe]] = Registry("recipe")
register_recipe = recipes.register


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of all recipes that match a shell pattern, sorted."""
    return recipes.names(pattern)


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or of the YAML file of that name.

    Raises:
        KeyError: for an unknown name, with the closest ones.
        ValueError: for a file that holds no recipe.
    """
    return load_recipe(name) if Path(name).suffix in (".yaml", ".yml") else recipes[name]()


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with some values changed.

    Args:
        recipe: stays as it is.
        assignments: `path=value`, applied in order: `optim.momentum=0.95`, `phases.0.lr=0.1` or
            `phases[0].lr=0.1`, `model_args.width=16`, `eval=10x3`. Values are YAML: `[20, 40]`,
            `true`, `null`. With another `input.modality` mean and deviation are the usual ones of
            that, unless they are given too.

    Raises:
        ValueError: naming the path, the value and the rule, with the closest known names.
    """
    plain = to_plain(recipe)
    given: set[str] = set()  # parts of the input
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ValueError(
                f"override {assignment!r} must be path=value, such as optim.momentum=0.95"
            )
        keys = re.sub(r"\[(\d+)\]", r".\1", path.strip()).split(".")
        plain = _assigned(plain, keys, text, path)
        if keys[0] == "input":
            whole = _read_value(text, path) if len(keys) == 1 else keys[1]
            given |= set(whole) if isinstance(whole, dict) else {str(whole)}
    assert isinstance(plain, dict)
    fed = plain["input"]
    if isinstance(fed, dict) and fed.get("modality") != recipe.input.modality:
        usual: dict[str, JSON] = {name: [] for name in ("mean", "std") if name not in given}
        plain = {**plain, "input": {**fed, **usual}}
    changed = _from_plain(plain)
    _check_used(changed, given)
    return changed


def _check_used(recipe: Recipe, given: set[str]) -> None:
    """Refuses clip lengths and strides that every phase replaces by its own."""
    for name in ("frames", "stride"):
        value = getattr(recipe.input, name)
        if name in given and all(getattr(phase, name) != value for phase in recipe.phases):
            raise ValueError(
                f"override input.{name}={value}: no phase uses it; give phases.0.{name}={value}"
            )


def _assigned(node: JSON, keys: Sequence[str], text: str, path: str) -> JSON:
    """`node` with the value at `keys` replaced; nothing is changed in place."""
    if not keys:
        value = _read_value(text, path)
        # `name=2024`: YAML sees a number where there was text
        return text if isinstance(node, str) and isinstance(value, int | float) else value
    key, *rest = keys
    if isinstance(node, list):
        if not key.isdecimal() or int(key) >= len(node):
            raise ValueError(f"override {path}: {key!r} must be an index below {len(node)}")
        items = list(node)
        items[int(key)] = _assigned(node[int(key)], rest, text, path)
        return items
    if isinstance(node, dict):
        return {**node, key: _assigned(node.get(key, {}), rest, text, path)}
    raise ValueError(f"override {path}: {node!r} is one value and has no part {key!r}")


def _read_value(text: str, path: str) -> JSON:
    try:
        return cast(JSON, yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ValueError(
            f"override {path}={text} must have a YAML value: {' '.join(str(error).split())}"
        ) from None


def _from_plain(plain: JSON) -> Recipe:
    if isinstance(plain, dict) and isinstance(name := plain.get("eval"), str):
        plain = {**plain, "eval": to_plain(EvalProtocol.named(name))}
    return from_plain(Recipe, plain)


def load_recipe(path: str | Path) -> Recipe:
    """Reads a YAML recipe; fields it leaves out have their defaults.

    Raises:
        ValueError: naming the file, the path, the value and the rule.
    """
    path = Path(path)
    try:
        return _from_plain(cast(JSON, yaml.safe_load(path.read_text(encoding="utf-8"))))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} must be YAML: {' '.join(str(error).split())}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def save_recipe(recipe: Recipe, path: str | Path) -> None:
    """Writes every field, also the defaults, so that a later version reads the same recipe."""
    with atomic(Path(path)) as temporary:
        temporary.write_text(yaml.safe_dump(to_plain(recipe), sort_keys=False), encoding="utf-8")
