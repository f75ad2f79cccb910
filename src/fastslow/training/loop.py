"""The one training loop: schedule, clipping, averaging over processes, metrics, checkpoints, signals. Knows no task.

A run of a length in steps that is interrupted and resumed gives the weights of an uninterrupted one bit for bit. One of
a length in minutes does not: how many steps fit into them is for the machine to say.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from fastslow.config import parse
from fastslow.errors import InputError, shown, shown_reason
from fastslow.training import distributed
from fastslow.training.allocator import freed_memory_kept
from fastslow.training.checkpoint import fill_model, fill_optimizer, is_finite
from fastslow.training.interruption import Abandoned, Interrupted, Passes, Stop
from fastslow.training.length import Length, seconds_for
from fastslow.training.run import Run, Schema
from fastslow.training.stage import Stage

#: What a checkpoint holds; "about" is whatever the run is to be known by when it is resumed.
CHECKPOINT: Schema = {"about": dict, "clock": dict, "model": dict, "optimizer": dict, "stage": dict}


#: How many times as long as the last validation took is trained before the next, at the least.
_PAUSE = 20.0


class Progress(NamedTuple):
    """Where training is, for whoever shows it.

    Attributes:
        stage: name of the stage.
        step: steps done in the stage.
        done: share of the whole training done, in [0, 1].
        rate: tasks a second of what `Length.minutes` are counted in.
        loss: running mean of the loss, nats.
        validation: last validation accuracy in [0, 1], or None before the first.
    """

    stage: str
    step: int
    done: float
    rate: float
    loss: float
    validation: float | None


#: Called after each step, and on work of many passes between two of them.
OnProgress = Callable[[Progress | Passes], object]


@dataclasses.dataclass
class Clock:
    """How far a training is.

    Attributes:
        stage: number of the current stage; how many there are when all is done.
        step: steps done in it.
        seconds: spent in it.
        total_seconds: spent in all stages.
        num_logged: lines of metrics.
        loss: running mean in this stage, nats; None before its first step.
    """

    stage: int = 0
    step: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    num_logged: int = 0
    loss: float | None = None


@dataclasses.dataclass(frozen=True)
class Habits:
    """What no run has needed to change.

    Attributes:
        weight_decay: of AdamW.
        warmup: steps of linear warm-up at the start of each stage; a cosine to a hundredth follows.
        validate_every: least seconds between two validations, which `_PAUSE` may make more.
        save_every: seconds between checkpoints.
    """

    weight_decay: float = 1e-4
    warmup: int = 50
    validate_every: float = 30.0
    save_every: float = 120.0


def train(
    model: nn.Module,
    stages: Sequence[Stage],
    *,
    length: Length,
    run: Run | None = None,
    state: Mapping[str, Any] | None = None,
    about: Callable[[], Mapping[str, Any]] | Mapping[str, Any] | None = None,
    stop: Stop | None = None,
    on_step: Callable[[Progress], object] | None = None,
    habits: Habits = Habits(),
) -> Clock:
    """Runs all stages to their end, writing checkpoints and metrics on the way.

    Args:
        model: everything that is trained, in one module.
        stages: in their order.
        length: of all of them together.
        run: the folder that is left behind; None for none, as in all processes but the first.
        state: a checkpoint to go on from: the steps that follow are those that would have followed then.
        about: goes into the checkpoints; called for each, where it is not the same for all.
        stop: by which the user stops it; the one that the stages look at.
        on_step: called after each step.
        habits: schedule and times.

    Returns:
        The clock at the end.

    Raises:
        Interrupted: if the user stops it, after a checkpoint has been written.
        ValueError: if the checkpoint is of another model, or the loss is no longer finite; the last checkpoint is
            then the one before.
    """
    loop = _Loop(model, stages, length, run, stop or Stop(), habits)
    loop.about, loop.on_step = about or {}, on_step
    loop.save() if state is None else loop.load_state_dict(state)
    if run is not None:
        run.truncate_metrics(loop.clock.num_logged)
    with freed_memory_kept(), loop.stop:
        while loop.clock.stage < len(stages):
            loop.run_stage()
    return loop.clock


class _Loop:
    """What `train` carries from step to step."""

    def __init__(
        self, model: nn.Module, stages: Sequence[Stage], length: Length, run: Run | None, stop: Stop, habits: Habits
    ) -> None:
        self.model, self.stages, self.length = model, stages, length
        self.run, self.stop, self.habits = run, stop, habits
        self.about: Callable[[], Mapping[str, Any]] | Mapping[str, Any] = {}
        self.on_step: Callable[[Progress], object] | None = None
        self.validation: float | None = None
        self.enter(Clock())

    def enter(self, clock: Clock) -> None:
        """Moves to the stage that a clock names, its optimiser new."""
        self.clock, self.is_over = clock, clock.stage == len(self.stages)
        self.parameters = [] if self.is_over else self.stage.parameters()
        # One without parameters where all is done: torch refuses an empty list, but not an empty group.
        self.optimizer = torch.optim.AdamW([{"params": self.parameters}], weight_decay=self.habits.weight_decay)
        self.seconds = seconds_for(self.parameters)

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.stages[self.clock.stage]

    def run_stage(self) -> None:
        """The current stage to its end, and on to the next."""
        with contextlib.suppress(Abandoned):
            self.stage.begin(self.clock.step)
        self._stop_if_asked()
        checked = saved = time.monotonic()
        pause = self.habits.validate_every
        while self._stage_done() < 1:
            self._timed_step()
            self._stop_if_asked()
            if (began := time.monotonic()) - checked > pause:
                self._validate()
                checked = time.monotonic()
                pause = max(self.habits.validate_every, _PAUSE * (checked - began))
            if time.monotonic() - saved > self.habits.save_every:
                self.save()
                saved = time.monotonic()
        self._validate()
        self._stop_if_asked()  # before the stage counts as done, so that what was abandoned is made up for
        with contextlib.suppress(Abandoned):
            self.stage.end()
        self._stop_if_asked()
        self.enter(dataclasses.replace(self.clock, stage=self.clock.stage + 1, step=0, seconds=0.0, loss=None))
        self.save()
        self._stop_if_asked()

    def step(self) -> float:
        """One update; its loss, nats."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.stage.learning_rate * self._schedule()
        loss = self.stage.loss(min(1.0, self._stage_done()))
        value = float(loss.detach())
        self._refuse_unless_finite("loss", value)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        distributed.average_gradients(self.parameters)
        if self.stage.clip is not None:
            norm = nn.utils.clip_grad_norm_(self.parameters, self.stage.clip)
            self._refuse_unless_finite("norm of the gradient", float(norm))
        self.optimizer.step()
        self.clock.step += 1
        return value

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "about": dict(self.about() if callable(self.about) else self.about),
            "clock": dataclasses.asdict(self.clock), "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "stage": {} if self.is_over else self.stage.state_dict(),
        }  # fmt: skip

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up where `state_dict` was called."""
        clock = parse(Clock, state["clock"])
        counts = (clock.step, clock.num_logged)
        if not 0 <= clock.stage <= len(self.stages) or min(counts) < 0 or max(counts) > sys.maxsize:
            raise InputError(f"the checkpoint has {shown(clock)}; there are {len(self.stages)} stages: start anew")
        fill_model(self.model, state["model"])
        self.enter(clock)
        try:
            fill_optimizer(self.optimizer, state["optimizer"])
            if not self.is_over:
                self.stage.load_state_dict(state["stage"])
        except (LookupError, TypeError, AttributeError, RuntimeError, ValueError) as error:
            raise InputError(f"the checkpoint is of another version ({shown_reason(error)}); start anew") from error

    def _timed_step(self) -> None:
        clock, began = self.clock, self.seconds()
        loss = self.step()
        took = distributed.largest(self.seconds() - began)  # one clock: all leave a stage at the same step
        clock.seconds, clock.total_seconds = clock.seconds + took, clock.total_seconds + took
        clock.loss = loss if clock.loss is None else 0.98 * clock.loss + 0.02 * loss
        if self.on_step is not None:
            rate = self.stage.tasks / max(took, 1e-9)
            self.on_step(Progress(self.stage.name, clock.step, self._done(), rate, clock.loss, self.validation))

    def _schedule(self) -> float:
        """Factor of the learning rate."""
        warm = min(1.0, (self.clock.step + 1) / max(1, self.habits.warmup))
        return warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, self._stage_done()))))

    def _stage_done(self) -> float:
        """Share of the current stage done, in [0, 1] or a little above."""
        return self.length.done(self.clock.step, self.clock.seconds, _shares(self.stages)[self.clock.stage])

    def _done(self) -> float:
        """Share of the whole training done."""
        shares, stage = _shares(self.stages), self.clock.stage
        return sum(shares[:stage]) + shares[stage] * min(1.0, self._stage_done())

    def _validate(self) -> None:
        if self.run is None:
            return
        with contextlib.suppress(Abandoned):
            found = self.stage.validate()
            self.validation = found["validation"]
            self.run.log(
                stage=self.stage.name, step=self.clock.step, seconds=round(self.clock.seconds, 3),
                done=round(self._done(), 5), loss=self.clock.loss, **found,
            )  # fmt: skip
            self.clock.num_logged += 1

    def save(self) -> None:
        """A checkpoint of now; the first is of before the first step, so that there is always one to resume from."""
        if not is_finite(self.model.state_dict()):
            self._refuse_unless_finite("weights", math.nan)
        if self.run is not None:
            self.run.save_checkpoint(self.state_dict())

    def _stop_if_asked(self) -> None:
        if distributed.any_process(self.stop.requested):
            self.save()
            raise Interrupted

    def _refuse_unless_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise InputError(
                f"the {what} became {value} at step {self.clock.step + 1} of stage {self.stage.name}; the last "
                "checkpoint is of before: train another seed or in smaller steps (encoder_rate in stage "
                "encoder, else step_size, or inner_rate of MAML and its kin)"
            )


def _shares(stages: Sequence[Stage]) -> list[float]:
    """Of the length, for each stage; they sum to 1."""
    total = sum(stage.share for stage in stages)
    return [stage.share / total for stage in stages]
