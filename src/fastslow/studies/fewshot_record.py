"""What a few-shot run is known by when it is resumed: its options, its data, and every length it was given."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from fastslow.config import parse
from fastslow.errors import InputError, shown
from fastslow.studies.fewshot_config import LENGTH, FewShotConfig, command_line, flag_words, resume_options
from fastslow.training.loop import Clock

#: What each entry of a record's lists has.
_ENTRIES = {"lengths": {*LENGTH, "stage", "step"}, "machines": {"device", "processes", "bfloat16"}}


@dataclasses.dataclass(frozen=True)
class Record:
    """Goes into every checkpoint of a run.

    Attributes:
        options: of the run, as `FewShotConfig.plain` gives them, with the length that it has now.
        data_sha256: of the data, see `FewShotData.checksum`.
        trained_on: the classes trained on, see `protocol.classes`; None where an encoder to start from did not say.
        lengths: that it had before: "steps" and "minutes", and "stage" and "step" at which each was given up.
        machines: that it was trained on, one after another: "device" and "processes", and "bfloat16", whether the
            encoder stage was in it.
        teacher: SHA-256 of the file of the teacher, if there is one.
    """

    options: dict[str, Any]
    data_sha256: str
    trained_on: dict[str, Any] | None
    lengths: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    machines: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    teacher: str | None = None

    def __post_init__(self) -> None:
        for name, wanted in _ENTRIES.items():
            for entry in getattr(self, name):
                if set(entry) != wanted:
                    raise InputError(f"got {shown(entry)} among its {name}; each has {', '.join(sorted(wanted))}")

    @property
    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @property
    def config(self) -> FewShotConfig:
        """The options, checked again."""
        return parse(FewShotConfig, self.options)

    def commands(self, name: str) -> str:
        """What makes the weights again: one command, or one for each length, with where it is to be stopped.

        Args:
            name: of the run folder.
        """
        if not self.lengths:
            return command_line(self.options)
        first, *others = [*self.lengths, _length(self.options)]
        lines = [command_line({**self.options, **_length(first), "name": name})]
        named = shlex.join(flag_words("--name", name))
        lines += [f"fastslow train fewshot --resume {named} {_flag(length)}" for length in others]
        stops = [f"  # stopped at step {length['step']} of stage {length['stage'] + 1}" for length in self.lengths]
        return "\n".join(line + stop for line, stop in zip(lines, [*stops, ""], strict=True))

    def on_machine(self, device: str, processes: int, bfloat16: bool) -> Record:
        """The record of this run as it goes on, see `machines`."""
        # The choice is made once: where the encoder stage is over, the record alone has it.
        bfloat16 = bfloat16 or any(machine["bfloat16"] for machine in self.machines)
        machine = {"device": device, "processes": processes, "bfloat16": bfloat16}
        return (
            self if self.machines[-1:] == [machine] else dataclasses.replace(self, machines=[*self.machines, machine])
        )

    def refuse_other(self, data_sha256: str, num_stages: int) -> None:
        """Refuses to go on with other data, or to change the length of a training that is over.

        Raises:
            ValueError: if it would.
        """
        if data_sha256 != self.data_sha256:
            raise InputError(
                f"this run was begun on data of checksum {self.data_sha256[:8]}; got data of checksum "
                f"{data_sha256[:8]}; give those it was begun on, or start another run"
            )
        # Its last steps were made small for the end that it had.
        if self.lengths and self.lengths[-1]["stage"] >= num_stages:
            raise InputError(
                f"this run's training of {_words(self.lengths[-1])} is over; got {_words(self.options)}: leave the "
                "length out, or start another run"
            )


def resume_record(state: Mapping[str, Any], changes: Mapping[str, Any]) -> Record:
    """The record of a run that goes on.

    Args:
        state: the checkpoint.
        changes: options given now; those that stay as they are need not be.

    Raises:
        ValueError: if one of them differs that may not; the message names it.
    """
    record, clock = parse(Record, state["about"]), parse(Clock, state["clock"])
    options = resume_options(record.options, changes).plain()
    lengths = list(record.lengths)
    before = _length(record.config.plain())  # what was left out is at its default
    if _length(options) != before:
        lengths.append({**before, "stage": clock.stage, "step": clock.step})
    machines = record.machines if clock.stage or clock.step else []  # else nothing was trained on them
    return dataclasses.replace(record, options=options, lengths=lengths, machines=machines)


def _length(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in LENGTH}


def _flag(options: Mapping[str, Any]) -> str:
    return " ".join(f"--{name} {options[name]}" for name in LENGTH if options[name] is not None)


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(f"{options[name]} {name}" for name in LENGTH if options[name] is not None)
