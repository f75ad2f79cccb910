"""Readers under damage: what each is given, and what may come of it."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch

from fastslow.errors import InputError
from fastslow.protocol.provenance import peak_memory_mib

#: Bars: a reader that takes longer hangs; more memory is a bomb gone off.
MOST_SECONDS, MOST_MIB = 10.0, 1024.0
_LONGEST_MESSAGE = 1000
_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Reader:
    """Something that reads a file, and how to damage what it reads.

    Attributes:
        name: of what it reads.
        damage: writes a damaged file where `read` finds it.
        read: what the library makes of it; an `InputError` is a refusal.
        judge: "identical" to the original, "different" but valid, or else what is wrong with it.
        names: one of these stands in each refusal.
        target: the file that is written for `hostile`.
        hostile: contents made to be slow or large, by what they are; a number is a file of so many zeros.
    """

    name: str
    damage: Callable[[Random], None]
    read: Callable[[], Any]
    judge: Callable[[Any], str]
    names: tuple[str, ...] = ("",)
    target: Path | None = None
    hostile: dict[str, Callable[[], bytes | int]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class Tally:
    """What came of the mutations of one reader.

    Attributes:
        mutations: tried.
        refused: in words.
        accepted_identical: read as the file was before.
        accepted_different: read as something else that is valid.
        tracebacks: other errors, and refusals that are too long or do not name what is refused.
        silent_wrong: read as what the file never held, or no such file can hold.
        slowest_seconds: of one reading.
        peak_memory_mib: of the process; None where it was not measured.
        faults: the first few, each with what repeats it.
    """

    mutations: int = 0
    refused: int = 0
    accepted_identical: int = 0
    accepted_different: int = 0
    tracebacks: int = 0
    silent_wrong: int = 0
    slowest_seconds: float = 0.0
    peak_memory_mib: float | None = None
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return (
            not (self.tracebacks or self.silent_wrong)
            and self.slowest_seconds < MOST_SECONDS
            and (self.peak_memory_mib or 0.0) < MOST_MIB
        )

    def add(self, reader: Reader, what: str) -> None:
        """Reads what has been written and counts what comes of it."""
        self.mutations += 1
        began = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = reader.read()
        except InputError as error:
            named = any(name in str(error) for name in reader.names) and len(str(error)) <= _LONGEST_MESSAGE
            self.refused += named
            self.tracebacks += not named
            if not named:
                self._fault(what, f"refused by {len(str(error))} characters: {str(error)[:200]}")
        except Exception as error:  # whatever it is, it is counted
            self.tracebacks += 1
            self._fault(what, f"{type(error).__name__}: {str(error)[:200]}")
        else:
            verdict = reader.judge(value)
            self.accepted_identical += verdict == "identical"
            self.accepted_different += verdict == "different"
            if verdict not in ("identical", "different"):
                self.silent_wrong += 1
                self._fault(what, f"accepted, though {verdict}")
        took = time.perf_counter() - began
        self.slowest_seconds = max(self.slowest_seconds, took)
        if took > MOST_SECONDS:
            self._fault(what, f"{took:.1f} s")

    def _fault(self, what: str, words: str) -> None:
        if len(self.faults) < _SHOWN:
            self.faults.append(f"{what}: {words}")


def survey(reader: Reader, count: int, *, seed: int = 0, hostile: bool = True) -> Tally:
    """Reads `count` damaged files, and those made to be slow or large.

    Args:
        reader: see `Reader`.
        count: mutations; the i-th depends on seed and i alone.
        seed: of all of them.
        hostile: whether to read those too, and to measure memory.
    """
    tally, peaks = Tally(), []
    _forget_peak()
    for index in range(count):
        reader.damage(Random(f"{reader.name} {seed} {index}"))
        tally.add(reader, f"mutation {index} of seed {seed}")
    peaks.append(_peak_mib())
    for what, content in reader.hostile.items() if hostile else ():
        put(reader, content())
        gc.collect()
        _forget_peak()  # that of making it
        tally.add(reader, what)
        peaks.append(_peak_mib())
    tally.peak_memory_mib = max((peak for peak in peaks if peak is not None), default=None) if hostile else None
    return tally


def put(reader: Reader, content: bytes | int) -> None:
    """Writes hostile content where a reader finds it."""
    assert reader.target is not None
    with reader.target.open("wb") as file:
        if isinstance(content, int):
            file.truncate(content)
        else:
            file.write(content)


def _forget_peak() -> None:
    """From here on the peak of this process's memory is a new one, where the system can forget the old."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float | None:
    """The largest resident size since `_forget_peak`, or since the start; None where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    return peak_memory_mib()


def equal(got: Any, wanted: Any) -> bool:
    """Whether two nested values are the same in every type and bit."""
    if isinstance(wanted, torch.Tensor):
        return isinstance(got, torch.Tensor) and got.dtype == wanted.dtype and torch.equal(got, wanted)
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(equal(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list | tuple):
        return type(got) is type(wanted) and len(got) == len(wanted) and all(map(equal, got, wanted))
    return type(got) is type(wanted) and got == wanted
