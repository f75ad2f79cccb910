"""The options of few-shot training, from flags or YAML, and what follows from them."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from fastslow.config import parse
from fastslow.errors import InputError
from fastslow.methods.models import PRESETS, ModelConfig, preset

#: Seeds are below this: they are multiplied and go into generators of 64 bits.
MAX_SEED = 10**12
#: Controls that a claim for the fast path stands on (design, section 4), as changes to the model.
CONTROLS: dict[str, dict[str, Any]] = {
    "none": {},
    "fast_path_off": {"fast_controllers": ()},
    "zero_read": {"zero_read": True},
    "label_only": {"predictor": "label_only"},
    "random_predictor": {"predictor": "random"},
    "true_gradient": {"gradients": "true", "predictor": "random"},
    "write_where_read": {"write_policy": "read", "support": "stream"},
}


@dataclasses.dataclass(frozen=True)
class FewShotConfig:
    """Options of `fastslow train fewshot`."""

    data: str = "glyphs"
    """glyphs, omniglot, or a folder with one sub-folder a class."""
    data_dir: Path | None = None
    """Where Omniglot lies; FASTSLOW_DATA or the cache folder if not given."""
    split: str = "vinyals"
    """Split of Omniglot: vinyals or lake."""
    train_on: Literal["train", "train+validation"] = "train"
    """Classes to train on; with validation classes in, the validation accuracy means nothing."""
    way: int = 5
    """Classes a task."""
    shot: int = 1
    """Support examples a class."""
    method: Literal["fastslow", "nmn", "protonet"] = "fastslow"
    """fastslow; nmn, the same network without the fast path, fine-tuned on the support set; or protonet."""
    preset: str = "default"
    """Model preset: default or paper."""
    control: str = "none"
    """A control experiment: none, fast_path_off, zero_read, label_only, random_predictor, true_gradient (by
    backpropagation, in steps as long as the random predictor's) or write_where_read."""
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Changes to single fields of the preset, as in `ModelConfig`."""
    seed: int = 0
    """Seed of weights and training episodes."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train."""
    minutes: float | None = None
    """Length of training, minutes; give this or steps."""
    steps: int | None = None
    """Length of training, steps over all stages; give this or minutes."""
    shares: tuple[float, float, float] = (0.75, 0.15, 0.1)
    """Shares of the length for the three stages: encoder, memory on cached features, everything end to end."""
    encoder: Path | None = None
    """A run folder whose trained encoder to start from; skips the first stage."""
    pair_classes: int = 64
    """Classes a step of the encoder stage, two drawings each."""
    tasks: int = 16
    """Tasks a step end to end."""
    cached_tasks: int = 32
    """Tasks a step on cached features."""
    queries: int = 3
    """Queries a class in training."""
    split_support: float = 0.25
    """Chance that a training step's support sets come in two parts, like classes learned one after another."""
    fit_weight: float = 0.0
    """Weight of Eq. 11, which fits the predictors to the true gradient, beside the query loss in tasks."""
    learning_rates: tuple[float, float, float] = (2e-3, 1e-3, 3e-5)
    """Peak learning rates of the three stages (AdamW, warm-up then cosine)."""
    weight_decay: float = 1e-4
    """Weight decay."""
    warmup: int = 50
    """Steps of linear warm-up at the start of each stage."""
    clip: float = 1.0
    """Largest norm of the gradient of the last two stages."""
    augment: bool = True
    """Small affine changes of training images."""
    finetune_steps: int = 50
    """Gradient steps on the support set at test (nmn)."""
    finetune_rate: float = 0.5
    """Step size of those."""
    checkpoint_seconds: float = 120.0
    """Time between checkpoints."""
    test: bool = True
    """Measure on the test classes at the end; off, on the validation classes, as long as choices are being made."""
    name: str | None = None
    """Name of the run folder under runs/; made from the options if not given."""

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError(
                f"minutes={self.minutes} and steps={self.steps} came; give exactly one of them as the length"
            )
        if not 0 < (self.minutes if self.steps is None else self.steps) < math.inf:  # type: ignore[operator]
            raise InputError(f"minutes={self.minutes}, steps={self.steps} came; the length must be positive")
        for field in ("shot", "queries", "tasks", "cached_tasks", "pair_classes"):
            if getattr(self, field) < 1:
                raise InputError(f"{field}={getattr(self, field)} came; it must be at least 1")
        if self.way < 2:
            raise InputError(f"way={self.way} came; a task needs at least 2 classes")
        for field in ("fit_weight", "weight_decay", "warmup", "finetune_steps"):
            if getattr(self, field) < 0:
                raise InputError(f"{field}={getattr(self, field)} came; it must not be negative")
        if not 0 <= self.seed < MAX_SEED:
            raise InputError(f"seed={self.seed} came; it must be from 0 to {MAX_SEED - 1}")
        if not (self.clip > 0 and all(0 < rate < math.inf for rate in self.learning_rates)):
            raise InputError(f"clip={self.clip}, learning_rates={self.learning_rates} came; they must be positive")
        if self.control not in CONTROLS:
            raise InputError(f"there is no control {self.control!r}; choose from {sorted(CONTROLS)}")
        if not self.test and self.train_on != "train":
            raise InputError(
                f"test=False and train_on={self.train_on!r} came; validation classes trained on measure nothing"
            )
        if not (all(0 <= share < math.inf for share in self.shares) and sum(self.shares) > 0):
            raise InputError(f"shares={self.shares} came; give three shares, none negative, not all zero")
        model = self.model_config()
        examples = self.way * self.shot
        if self.method == "fastslow" and model.write_policy == "least_used" and examples > model.num_slots:
            raise InputError(
                f"way={self.way} and shot={self.shot} make {examples} examples a task, but num_slots={model.num_slots} "
                "came, one example a slot: give more slots"
            )

    def model_config(self) -> ModelConfig:
        """The model that these options describe.

        Raises:
            ValueError: if the preset or a changed field does not exist or has a wrong value.
        """
        fields = {name.replace("-", "_"): value for name, value in self.model.items()}
        changes = {"n_way": self.way, **fields, **CONTROLS[self.control]}
        if self.preset == "default" and "num_slots" not in changes:
            # Each support example has a slot, and some are left.
            changes["num_slots"] = max(PRESETS["default"].num_slots, self.way * self.shot + 1)
        if self.method == "nmn":
            changes["fast_controllers"] = ()
        return parse(ModelConfig, {**dataclasses.asdict(preset(self.preset)), **changes})

    def run_name(self) -> str:
        """The name given, or one that says what the run is."""
        if self.name:
            return self.name
        data = Path(self.data).name
        control = "" if self.control == "none" else f"-{self.control}"
        return f"{data}-{self.way}w{self.shot}s-{self.method}-{self.preset}{control}-seed{self.seed}"


def command_line(config: Mapping[str, Any]) -> str:
    """The command that starts a few-shot run of these options; options at their default are left out.

    Args:
        config: as in `config.json`. Options of another kind of run give "".
    """
    defaults = json.loads(json.dumps(dataclasses.asdict(FewShotConfig(steps=1)), default=str)) | {"steps": None}
    if not set(config) <= set(defaults):
        return ""
    words = ["fastslow", "train", "fewshot"]
    for name, value in config.items():
        flag = "--" + name.replace("_", "-")
        if value == defaults[name]:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, dict):
            for key, item in value.items():
                words += [f"{flag}.{key}", str(item)]
        else:
            words += [flag, *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)
