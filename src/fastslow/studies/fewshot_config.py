"""The options of few-shot training, from flags or YAML, and what follows from them. Needs no torch."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from fastslow.config import parse, write_value
from fastslow.errors import InputError, refuse_unknown, shown
from fastslow.methods.config import METHODS, PRESETS, ModelConfig, preset, refuse_overfull
from fastslow.protocol.cells import fewshot_cell, is_folder_name, underscored
from fastslow.protocol.result import Cell
from fastslow.studies.names import refuse_bad_name

#: Seeds are below this: they are multiplied and go into generators of 64 bits.
MAX_SEED = 10**12
#: What a run may be resumed with other than it was begun with: its length, and how and where it is done.
LENGTH, BOOKKEEPING = ("steps", "minutes"), ("name", "data_dir", "device")
#: Model fields that are options of the run, under the same names.
_OPTIONS_OF_RUN = ("method", "preset", "control")


@dataclasses.dataclass(frozen=True)
class FewShotConfig:
    """Options of `fastslow train fewshot`."""

    data: str = "glyphs"
    """glyphs, omniglot, mnist, digits, or a folder with one sub-folder for each class; one of such a name as ./digits.
    """
    data_dir: Path | None = None
    """Where downloaded data lie; FASTSLOW_DATA or the cache folder if not given."""
    split: str = "vinyals"
    """Split of Omniglot: vinyals or lake."""
    ink: Literal["auto", "bright", "dark", "as_is"] = "auto"
    """Of a folder's images: bright or dark; auto finds out; as_is for photographs, which are left as they are."""
    crop: bool = False
    """Cut a folder's images to their ink, for drawings that are small on their page."""
    train_on: Literal["train", "train+validation"] = "train"
    """Classes to train on; with validation classes in, the validation accuracy means nothing."""
    way: int = 5
    """Classes in a task."""
    shot: int = 1
    """Support examples of each class."""
    queries: int = 3
    """Queries of each class in training; fewer where the classes have no more drawings."""
    tasks: int = 16
    """Tasks a step end to end."""
    method: str = "fastslow"
    """fastslow; nmn, the same network without the fast path, fine-tuned on the support set; protonet; maml; or another
    that is registered."""
    preset: str = "default"
    """Model preset: default or paper."""
    control: str = "none"
    """A control experiment: none, fast_path_off, zero_read, label_only, random_predictor, true_gradient (by
    backpropagation, in steps as long as the random predictor's) or write_where_read; of maml, fomaml and mamlpp,
    transductive: queries normalised by each other's statistics, as published."""
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Changes to single fields of the preset, as in `ModelConfig`."""
    seed: int = 0
    """Seed of weights and training episodes."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train; auto takes cuda where there is a GPU for it, else cpu."""
    minutes: float | None = None
    """Length of training, minutes by the clock, on one thread of the CPU by that thread's own; give this or steps."""
    steps: int | None = None
    """Length of training, steps over all stages; give this or minutes."""
    shares: tuple[float, float, float] = (0.75, 0.15, 0.1)
    """Shares of the length for the three stages: encoder, memory on cached features, everything end to end."""
    encoder: Path | None = None
    """A run folder whose trained encoder to start from; skips the first stage."""
    teacher: str | None = None
    """A model to whose features the encoder stage draws its own (distillation): pretrained:NAME, a run folder, a file.
    """
    fit_weight: float = 0.0
    """Weight of Eq. 11, which fits the predictors to the true gradient, beside the query loss in tasks."""
    mirrors: bool = False
    """Mirror images of all classes as classes of their own in training, beside the rotations."""
    pair_classes: int = 64
    """Classes a step in the encoder stage, two drawings of each."""
    encoder_rate: float = 2e-3
    """Learning rate of the encoder stage at its peak."""
    cached_images: int = 2**17
    """Most images that the memory stage caches features of, those of the first classes; of eight views, an eighth."""
    precision: Literal["float32", "auto"] = "float32"
    """Of the encoder stage's convolutions: auto for bfloat16 where a short measurement says that it is quicker."""
    test: bool = True
    """Measure on the test classes at the end; off, on the validation classes, as long as choices are being made."""
    name: str | None = None
    """Name of the run folder under runs/; made from the options if not given."""

    def __post_init__(self) -> None:
        self._refuse_wrong_length()
        if self.way < 2:
            raise InputError(f"got way={self.way}; a task needs at least 2 classes")
        for field, least in {"shot": 1, "queries": 1, "tasks": 1, "pair_classes": 2, "cached_images": 1}.items():
            if getattr(self, field) < least:
                raise InputError(f"got {field}={getattr(self, field)}; it must be at least {least}")
        if not 0 < self.encoder_rate < math.inf:
            raise InputError(f"got encoder_rate={self.encoder_rate}; it must be positive, and finite")
        if not 0 <= self.fit_weight < math.inf:
            raise InputError(f"got fit_weight={self.fit_weight}; it must not be negative, and finite")
        if not 0 <= self.seed < MAX_SEED:
            raise InputError(f"got seed={shown(self.seed)}; it must be from 0 to {MAX_SEED - 1}")
        if not self.test and self.train_on != "train":
            raise InputError(
                f"got test=False and train_on={self.train_on!r}; validation classes trained on measure nothing: leave "
                "out one of the two"
            )
        if not (all(0 <= share < math.inf for share in self.shares) and sum(self.shares) > 0):
            raise InputError(f"got shares={self.shares}; give three shares, none negative, not all zero")
        if self.teacher is not None and self.encoder is not None:
            raise InputError(
                f"got teacher={shown(self.teacher)} and encoder={shown(str(self.encoder))}; an encoder that is already "
                "trained is taught nothing: leave out one of the two"
            )
        if self.name is not None:
            refuse_bad_name(self.name)
        model = self.model_config()
        if model.n_way < self.way:
            raise InputError(
                f"got way={self.way} and model.n_way={model.n_way}; a model must have room for its tasks' classes: "
                "leave out model.n_way"
            )
        refuse_overfull(self.way * self.shot, model.capacity)

    def _refuse_wrong_length(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError(
                f"got minutes={self.minutes} and steps={self.steps}; give exactly one of them as the length"
            )
        length = self.minutes if self.steps is None else self.steps
        if not 0 < length < math.inf:  # type: ignore[operator] # one of the two is there
            raise InputError(f"got minutes={self.minutes}, steps={self.steps}; the length must be positive")

    def model_config(self) -> ModelConfig:
        """The model that these options describe.

        Raises:
            ValueError: if the preset, method, control or a changed field does not exist or has a wrong value.
        """
        refuse_unknown({"method": (self.method, tuple(METHODS)), "preset": (self.preset, tuple(PRESETS))})
        fields = underscored(self.model)
        for name in _OPTIONS_OF_RUN:
            if name in fields:
                raise InputError(f"got model.{name}; give it as --{name}")
        if self.preset == "default":
            # Each support example has a slot, and some are left.
            fields.setdefault("num_slots", max(PRESETS["default"].num_slots, self.way * self.shot + 1))
        chosen = {name: getattr(self, name) for name in _OPTIONS_OF_RUN}
        return parse(ModelConfig, {**dataclasses.asdict(preset(self.preset)), "n_way": self.way, **fields, **chosen})

    def plain(self) -> dict[str, Any]:
        """The options as JSON holds them."""
        options: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), default=str))
        return options

    def cell(self, lengths: Sequence[Mapping[str, Any]] = ()) -> Cell:
        """What tells this run from others.

        Args:
            lengths: that it had before this one, see `studies.fewshot_record`: its learning rates were those of none.
        """
        return fewshot_cell(self.plain() | ({"lengths": list(lengths)} if lengths else {}))

    def run_name(self) -> str:
        """The name given, or that of the run's cell: runs of different options never share it."""
        return self.name or self.cell().key


def resume_options(start: Mapping[str, Any], changes: Mapping[str, Any]) -> FewShotConfig:
    """The options that a run goes on with: those it was begun with, but for its length and where it is done.

    Args:
        start: the options that it was begun with, as `FewShotConfig.plain` gives them.
        changes: options given now, by name; those that stay as they are need not be.

    Raises:
        ValueError: if one of them differs that may not; the message names it.
    """
    before = parse(FewShotConfig, start).plain()
    wanted = dict(changes)
    if any(wanted.get(name) is not None for name in LENGTH):
        wanted = dict.fromkeys(LENGTH) | wanted
    else:
        wanted = {name: value for name, value in wanted.items() if name not in LENGTH}
    config = parse(FewShotConfig, {**before, **wanted})
    after = config.plain()
    for name, value in before.items():
        if name not in (*LENGTH, *BOOKKEEPING) and _comparable(name, after[name]) != _comparable(name, value):
            raise InputError(
                f"this run was begun with {name}={shown(value)}; got {name}={shown(after[name])}; leave it out, or "
                "start another run"
            )
    return config


def _comparable(name: str, value: Any) -> Any:  # noqa: ANN401 - any option
    """A value as it is compared: a folder by its place, a model's fields by underscores."""
    if name == "model":
        return underscored(value)
    if name == "data" and is_folder_name(value):
        return os.path.abspath(value)
    return value


def flag_words(flag: str, value: str) -> list[str]:
    """The words of an option on a command line: one, where two would be taken for two options."""
    return [f"{flag}={value}"] if value.startswith("-") else [flag, value]


def command_line(options: Mapping[str, Any]) -> str:
    """The command that starts a few-shot run of these options; options at their default are left out.

    Args:
        options: as `FewShotConfig.plain` gives them. Options of another kind of run give "".
    """
    defaults = FewShotConfig(steps=1).plain() | {"steps": None}
    if not set(options) <= set(defaults):
        return ""
    words = ["fastslow", "train", "fewshot"]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value == defaults[name]:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, dict):
            for key, item in value.items():
                words += flag_words(f"{flag}.{key}", write_value(item))
        elif isinstance(value, list):
            words += [flag, *map(str, value)]
        else:
            words += flag_words(flag, str(value))
    return shlex.join(words)
