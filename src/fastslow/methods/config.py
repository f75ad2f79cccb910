"""What fixes a model, as plain values; nothing here needs torch, so that the command line can say `--help` at once."""

from __future__ import annotations

import dataclasses
import math
from numbers import Integral
from typing import Any, Literal

from fastslow.checks import is_real, refuse_unless_flag
from fastslow.errors import InputError, refuse_unknown, shown

#: The three controllers of a memory (Sec. 3.1), in the order of the paper.
CONTROLLERS = ("input", "output", "write")
#: The largest size of any part of a model.
MAX_SIZE = 100_000
#: Registered methods: the module whose `build` makes each. To add a method is to write its file and its line here.
METHODS: dict[str, str] = {
    "fastslow": "fastslow.methods.fastslow",
    "fomaml": "fastslow.methods.maml",
    "maml": "fastslow.methods.maml",
    "mamlpp": "fastslow.methods.mamlpp",
    "mann": "fastslow.methods.mann",
    "matching": "fastslow.methods.matching",
    "metanet": "fastslow.methods.metanet",
    "nmn": "fastslow.methods.nmn",
    "protonet": "fastslow.methods.protonet",
    "relation": "fastslow.methods.relation",
    "surprise": "fastslow.methods.surprise",
}
#: MAML and its kin.
MAMLS = ("maml", "fomaml", "mamlpp")
#: Controls that a claim for the fast path stands on (design, section 4), by what they can be applied to; and
#: "transductive", how queries are normalised in the published figures of MAML.
CONTROLS: dict[tuple[str, str], tuple[str, ...]] = {
    ("fastslow", "default"): (
        "none", "fast_path_off", "zero_read", "label_only", "random_predictor", "true_gradient", "write_where_read",
    ),
    ("fastslow", "paper"): ("none", "fast_path_off", "zero_read", "label_only", "random_predictor"),
    ("nmn", "default"): ("none", "zero_read", "write_where_read"),
    ("nmn", "paper"): ("none", "zero_read"),
    **{
        (method, preset): ("none", "transductive")
        for method in MAMLS
        for preset in ("default", "paper")
    },
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a model's parts and sizes. The defaults are the paper's (Secs. 3 and 4.1)."""

    method: str = "fastslow"
    """Name in `METHODS`."""
    preset: Literal["paper", "default"] = "paper"
    """Which memory and which fast rule: "paper" is the paper's text taken literally, "default" what works best here."""
    control: str = "none"
    """A control experiment in place of the design itself, see `methods.controls`."""
    n_way: int = 5
    """Classes a task can have at most."""
    channels: tuple[int, ...] = (64, 64, 64)
    """Output channels of each encoder block."""
    residual: tuple[bool, ...] = (False, False, False)
    """Which encoder blocks have a second, residual convolution."""
    halving: Literal["floor", "ceil", "stride"] = "floor"
    """How a block halves its images: max pooling without (floor) or with (ceil) an odd last row and column, or a
    convolution of stride 2 (stride)."""
    image_size: int = 28
    """Height and width of the images, pixels."""
    views: bool = False
    """Whether each image is seen in eight views, its rotations and their mirrors, whose features are joined."""
    projection: int = 0
    """Features of the linear, centred projection between encoder and input controller; 0 for none."""
    dim: int = 128
    """k, features of controllers and slots."""
    num_slots: int = 10
    """l, slots of the memory; of MANN's, each is four rows, of which there are at least 128."""
    predictor_hidden: int = 64
    """Width of the gradient predictors."""
    step_size: float = 0.1
    """Step size alpha of Eq. 10 to start from; learned, one for each controller that learns fast."""
    write_gate: bool = False
    """Preset default: whether an example is written only as far as the others agree with its label; see
    `methods.write_gate`."""
    compose: Literal["literal", "query"] = "literal"
    """Preset paper: what the output and write controllers read; see `LiteralMemory`."""
    fast_controllers: tuple[str, ...] = CONTROLLERS
    """Preset paper: controllers that learn fast (Eq. 10)."""
    inner_steps: int = 0
    """Gradient steps on a support set of MAML and its kin; 0 for as many as published."""
    inner_rate: float = 0.0
    """Their step size, of MAML++ the one that it learns from; 0 for the published one."""

    def __post_init__(self) -> None:
        for name in ("channels", "residual", "fast_controllers"):
            if not isinstance(value := getattr(self, name), tuple | list):
                raise InputError(f"got {name}={shown(value)}; give a tuple")
        for name in ("n_way", "image_size", "dim", "num_slots", "predictor_hidden", "projection", "inner_steps"):
            least = 0 if name in ("projection", "inner_steps") else 1
            object.__setattr__(self, name, _size(name, getattr(self, name), least))
        for name in ("views", "write_gate"):
            object.__setattr__(self, name, refuse_unless_flag(name, getattr(self, name)))
        residual = tuple(refuse_unless_flag(f"residual[{i}]", flag) for i, flag in enumerate(self.residual))
        object.__setattr__(self, "residual", residual)
        channels = tuple(_size(f"channels[{i}]", size) for i, size in enumerate(self.channels))
        object.__setattr__(self, "channels", channels)  # the class is frozen
        if self.image_size < 2 ** len(self.channels):
            raise InputError(
                f"got image_size={self.image_size}; {len(self.channels)} blocks halve it to nothing: use images of at "
                f"least {2 ** len(self.channels)} pixels or fewer blocks"
            )
        if len(self.residual) != len(self.channels):
            raise InputError(
                f"got {len(self.channels)} channels and {len(self.residual)} residual flags; give one flag per block"
            )
        if not is_real(self.step_size) or not 0 < self.step_size < math.inf:
            raise InputError(f"got step_size={shown(self.step_size)}; it is learned in logarithms: positive and finite")
        choices = {"method": (self.method, tuple(METHODS)), "preset": (self.preset, tuple(PRESET_FIELDS))}
        refuse_unknown(choices | {"control": (self.control, controls_of(self.method, self.preset))})
        for name in self.fast_controllers:
            refuse_unknown({"fast_controllers": (name, CONTROLLERS)})
        if not is_real(self.inner_rate) or not 0 <= self.inner_rate < math.inf:
            raise InputError(f"got inner_rate={shown(self.inner_rate)}; it must be a positive number, or 0")
        if (self.inner_steps or self.inner_rate) and self.method not in MAMLS:
            raise InputError(
                f"got inner_steps={self.inner_steps}, inner_rate={self.inner_rate} with method={self.method!r}; they "
                f"are options of {', '.join(MAMLS)}: leave them out"
            )
        if self.preset == "default":
            self._refuse_what_the_default_has_not()
        if self.write_gate and (self.method, self.preset, self.control) != ("fastslow", "default", "none"):
            raise InputError(
                f"got write_gate=True with method={self.method!r}, preset={self.preset!r}, control={self.control!r}; "
                "it is an option of method 'fastslow' in preset 'default' without a control: leave it out"
            )

    def _refuse_what_the_default_has_not(self) -> None:
        if (self.compose, self.fast_controllers) != ("literal", CONTROLLERS):
            raise InputError(
                f"got compose={self.compose!r}, fast_controllers={shown(self.fast_controllers)} with preset='default', "
                "which has one way only; they are options of preset='paper'"
            )
        if self.method in ("fastslow", "nmn") and self.projection != self.dim:
            raise InputError(
                f"got projection={self.projection}, dim={self.dim}; in preset 'default' queries are the projected "
                "features themselves: make the two equal"
            )

    @property
    def capacity(self) -> int | None:
        """How many examples a task can have before one more takes the place of another; None: no such limit."""
        return self.num_slots if (self.method, self.preset) == ("fastslow", "default") else None


#: What each preset has other than `ModelConfig`'s own values.
PRESET_FIELDS: dict[str, dict[str, Any]] = {
    "paper": {},
    "default": {
        "channels": (32, 64, 128),
        "residual": (False, True, True),
        "projection": 128,
        "num_slots": 32,
    },
}
#: Presets by name.
PRESETS: dict[str, ModelConfig]


def _size(name: str, value: Any, least: int = 1) -> int:  # noqa: ANN401 - from users
    if not is_real(value) or not isinstance(value, Integral) or not least <= int(value) <= MAX_SIZE:
        raise InputError(f"got {name}={shown(value)}; it must be from {least} to {MAX_SIZE}, a whole number")
    return int(value)


def controls_of(method: str, preset: str) -> tuple[str, ...]:
    """The controls that a method has under a preset; every method has "none"."""
    return CONTROLS.get((method, preset), ("none",))


def of_method(config: ModelConfig, method: str) -> ModelConfig:
    """The configuration of another method on the same encoder: what is of the first one's alone is left out."""
    inner: dict[str, Any] = {} if method in MAMLS else {"inner_steps": 0, "inner_rate": 0.0}
    gate = config.write_gate and method == config.method
    return dataclasses.replace(config, method=method, control="none", write_gate=gate, **inner)


def preset(name: str, **changes: Any) -> ModelConfig:  # noqa: ANN401 - any field of ModelConfig
    """A preset by name, with some of its fields changed.

    Raises:
        ValueError: if there is no such preset or field.
    """
    if name not in PRESET_FIELDS:
        raise InputError(f"there is no preset {shown(name)}; choose from {sorted(PRESET_FIELDS)}")
    fields = {field.name for field in dataclasses.fields(ModelConfig)}
    if set(changes) - fields:
        raise InputError(f"a model has no option {sorted(set(changes) - fields)}; its options are {sorted(fields)}")
    return ModelConfig(**{"preset": name, **PRESET_FIELDS[name], **changes})


PRESETS = {name: preset(name) for name in PRESET_FIELDS}


def refuse_overfull(num_examples: int, capacity: int | None) -> None:
    """The one check of a memory's capacity.

    Args:
        num_examples: examples of a task, all that are shown between two resets.
        capacity: see `ModelConfig.capacity` and `Method.capacity`.

    Raises:
        ValueError: if one of them would take the place of another.
    """
    if capacity is not None and num_examples > capacity:
        raise InputError(
            f"got {num_examples} examples in a task; this model's memory holds {capacity}, and one more would take the "
            "place of another: reset it or show fewer per class, or train a model with more slots (num_slots)"
        )
