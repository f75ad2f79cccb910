"""Readers of what a served learner goes on from: the journal of its changes, and the snapshot that they build on."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from fastslow.serving import journal as journals
from fastslow.serving.journal import Journal
from fastslow.serving.kept import KeptLearner
from fastslow.tensors import load_tensors, save_tensors
from mutations import ODD, damage, damage_values
from robustness.harness import Reader
from robustness.stream_saves import vector

_MIB = 2**20
_FIRST = bytes(16)
_ODD = tuple(value for value in ODD if value == value)


def journal_reader(folder: Path) -> Reader:
    """The journal, its bytes damaged, or its values under checksums that are right."""
    state = _Served(folder)
    content, records = state.journal.read_bytes(), _records(state.journal)
    honest = [False]

    def write(random: Random) -> None:
        state.restore()
        honest[:] = [bool(random.randint(0, 1))]
        state.journal.write_bytes(
            damage(content, random) if honest[0] else _signed(damage_values(records, random, _ODD))
        )

    def judge(got: Any) -> str:
        found = got[0]
        # A file that ends early is as one that the power cut: what is left are the first changes, and no others.
        if honest[0] and found not in state.moments:
            return f"it knows {found}, which was never so"[:300]
        return state.verdict(got)

    def many() -> bytes:
        vectors = base64.b64encode(np.ones(4, "<f4").tobytes()).decode()
        return _signed([records[0], *([{"do": "learn", "features": vectors, "labels": ["a"]}] * 3000)])

    hostile: dict[str, Callable[[], bytes | int]] = {
        "zeros": lambda: 64 * _MIB, "more zeros": lambda: 2**40, "many changes": many,
        "a long record": lambda: _signed([records[0], {"do": "learn", "labels": ["a" * (32 * _MIB)]}]),
        "deep": lambda: _signed_bytes([json.dumps(records[0]).encode(), b'{"a":' * 100_000]),
    }  # fmt: skip

    def signed(make: Callable[[], bytes | int]) -> Callable[[], bytes | int]:
        def content() -> bytes | int:
            honest[:] = [False]
            return make()

        return state.whole(content)

    return Reader("journal of a server", write, state.read, judge, state.names, state.journal,
                  {what: signed(make) for what, make in hostile.items()})  # fmt: skip


def snapshot_reader(folder: Path) -> Reader:
    """The snapshot under a journal that builds on it, damaged in bytes or values: nothing but itself is taken."""
    state = _Served(folder)
    content, (tensors, header) = state.path.read_bytes(), load_tensors(state.path)

    def write(random: Random) -> None:
        state.restore()
        if random.randint(0, 1):
            state.path.write_bytes(damage(content, random))
        else:
            save_tensors(state.path, tensors, damage_values(header, random, _ODD))
        if not random.randint(0, 3):  # without a journal it is all there is
            state.journal.unlink()

    def judge(got: Any) -> str:
        if state.with_journal and got[0] != state.moments[-1]:
            return f"it knows {got[0]} by changes to another snapshot"[:300]
        return state.verdict(got)

    hostile = {"zeros": lambda: 64 * _MIB, "more zeros": lambda: 2**40}
    return Reader("snapshot of a server", write, state.read, judge, state.names, state.path,
                  {what: state.whole(make) for what, make in hostile.items()})  # fmt: skip


class _Served:
    """A learner with a snapshot of six examples and a journal of four changes since, as a stopped server leaves it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "state.safetensors"
        self.journal = self.path.with_suffix(".serving") / "journal"
        self.names = (self.path.name, self.journal.parent.name)
        kept = KeptLearner(self.path, {"model": None})
        kept.change(_teaching(0, 6))
        kept.close()
        kept = KeptLearner(self.path, {"model": None})
        self.moments = [_known(kept)]
        for change in (_teaching(6, 2), {"do": "forget", "label": "class 1"}, _teaching(8, 3), {"do": "undo"}):
            kept.change(change)
            self.moments.append(_known(kept))
        kept.sync()
        _leave(kept)
        self._copy = folder / "copy"
        shutil.copytree(self.journal.parent, self._copy / "serving")
        shutil.copy(self.path, self._copy / "state")
        self.with_journal = True

    def restore(self) -> None:
        """Everything as the server left it."""
        shutil.rmtree(self.journal.parent, ignore_errors=True)
        shutil.copytree(self._copy / "serving", self.journal.parent)
        shutil.copy(self._copy / "state", self.path)

    def whole(self, make: Callable[[], bytes | int]) -> Callable[[], bytes | int]:
        """As before, with hostile content in one place."""
        return lambda: [self.restore()] and make()

    def read(self) -> tuple[Any, np.ndarray, np.ndarray]:
        """What the server knows once it is started again, and what it answers."""
        self.with_journal = self.journal.exists()
        kept = KeptLearner(self.path, {"model": None})
        try:
            queries = np.stack([vector(number) for number in range(100, 104)])
            return _known(kept), kept.learner.predict(queries), kept.learner.novelty(queries)
        finally:
            _leave(kept)

    def verdict(self, got: Any) -> str:
        """Whether answers can be, and whether all that was taught is known."""
        known, answers, novelty = got
        if not set(answers.tolist()) <= {label for label, _ in known} or np.isnan(novelty).any():
            return f"it answers {answers} with novelty {novelty}"[:300]
        return "identical" if known == self.moments[-1] else "different"


def _teaching(first: int, count: int) -> dict[str, Any]:
    numbers = range(first, first + count)
    return {
        "do": "learn",
        "vectors": [vector(n).tolist() for n in numbers],
        "labels": [f"class {n % 3}" for n in numbers],
    }


def _known(kept: KeptLearner) -> list[tuple[Any, list[float]]]:
    memory = kept.learner.memory_
    labels = list(memory.labels)
    rows = zip(memory.examples.classes.tolist(), memory.examples.features.tolist(), strict=True)
    return [(labels[number], row) for number, row in rows]


def _leave(kept: KeptLearner) -> None:
    """As a process that ends: its files are closed, and nothing else is done."""
    kept._journal.close()
    kept._claim.release()


def _records(path: Path) -> list[Any]:
    journal = Journal(path)
    journal.close()
    return [journal.header, *journal.found]


def _signed(records: Any) -> bytes:
    """As a journal would be written that has these records."""
    parts = [json.dumps(record).encode("ascii") for record in (records if isinstance(records, list) else [records])]
    return _signed_bytes(parts)


def _signed_bytes(parts: list[bytes]) -> bytes:
    content, check = b"", _FIRST
    for part in parts:
        body = part + b"\n"
        check = journals._check(body, check)
        content += journals._HEAD.pack(len(body), journals._length_check(len(body)), check) + body
    return content
