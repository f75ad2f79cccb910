"""A stream learner whose changes are on the disk before anybody is told that they were made.

Beside the snapshot `NAME.safetensors`, while it is served, lies the folder `NAME.serving` with a journal of the changes
made since. Now and then, and at the end, the learner is saved and a new journal begun. The order makes every moment one
from which to go on: the learner is saved beside the snapshot; the journal notes the SHA-256 of that file; the file
takes the snapshot's name; a journal that builds on it takes the place of the old one. On opening, those changes are
replayed that the journal has after its note of the snapshot that is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastslow.claims import Claim
from fastslow.errors import InputError, shown, shown_path
from fastslow.estimators.answers import checked_threshold
from fastslow.estimators.stream import FastSlowClassifier, knows_something
from fastslow.estimators.stream_files import MAX_BYTES
from fastslow.estimators.stream_memory import checked_limits
from fastslow.files import flush_folder, read_bytes, refuse_unwritable
from fastslow.serving.changes import apply_change, prepared
from fastslow.serving.journal import Journal
from fastslow.serving.journal_header import first_to_replay, header_of, remembered_in
from fastslow.serving.repeats import Once, Remembered, record_of

#: A journal is replaced by a snapshot from this many changes on, or this many bytes, or those of the snapshot.
_MOST_CHANGES, _MOST_BYTES = 512, 2**24
#: The last record of a journal that is left, on closing, for its keys alone.
_CLOSED = {"closed": True}


class KeptLearner:
    """A learner, its snapshot and its journal; for one thread at a time.

    Args:
        path: of the snapshot, a .safetensors file; need not be there.
        options: arguments of a `FastSlowClassifier` that are given; the others are those of the state that is there,
            or the usual ones.

    Attributes:
        learner: that is served.
        num_changes: made since the state was begun or, if that is later, since it was last closed with no keys of
            requests to remember.

    Raises:
        InUseError: if another process has the state.
        ValueError: if the state is damaged or has other options, or no file can be written there.
    """

    learner: FastSlowClassifier
    num_changes: int
    _journal: Journal
    _remembered: Remembered

    def __init__(self, path: str | Path, options: Mapping[str, Any]) -> None:
        path = Path(path)
        if path.suffix != ".safetensors":
            raise InputError(f"got {shown_path(path)} to keep what is learned; give a file that ends in .safetensors")
        refuse_unwritable(path)
        _refuse_onnx(options.get("model"))
        self.path = path.resolve()
        self.folder = self.path.with_suffix(".serving")
        self._options = dict(options)
        self._claim = Claim(self.folder)
        try:
            self._open()
        except BaseException:
            self._claim.release()
            raise

    def change(self, change: Mapping[str, Any], asked: Once | None = None) -> dict[str, Any]:
        """Makes a change, see `prepared`; it is lost in a crash until `sync` returns.

        Args:
            change: what is to be done.
            asked: what tells this request from others; the answer to one that was made before is given again.

        Raises:
            ValueError: if it cannot be made; the learner is as before.
            OSError: if the disk fails; see `recover`.
        """
        if asked and (answered := self._remembered.answer(asked)) is not None:
            return answered
        # Before the change and not after it: the last one stays in the journal, or it could not be undone in a replay.
        if self._is_due() and change["do"] != "undo":
            self._try_to_compact()
        kept = prepared(self.learner, change)
        answer = {"change": self.num_changes + 1, **apply_change(self.learner, kept)}
        if asked:
            kept["once"] = record_of(asked, answer)
            self._remembered.keep(kept["once"])
        self._journal.append(kept)
        self._num_since += 1
        self.num_changes += 1
        return answer

    def sync(self) -> None:
        """Brings all changes made to the disk: then they may be acknowledged.

        Raises:
            OSError: if that cannot be; see `recover`.
        """
        self._journal.sync()

    def recover(self) -> None:
        """Goes back to the last `sync`, when the disk has failed since.

        Raises:
            OSError: if that cannot be.
            ValueError: likewise.
        """
        self._journal.roll_back()
        self._journal.close()
        self._open()

    def close(self) -> None:
        """Saves the learner and gives the state free; the snapshot, and keys of requests, are then all there is.

        Where nothing is known any more, there is no snapshot either.

        Raises:
            ValueError: if it cannot be saved; all that was acknowledged is in the journal then.
            OSError: likewise.
        """
        try:
            self._journal.sync()
            if self._num_since:
                self._compact() if knows_something(self.learner) else self._clear()
            elif self._journal.found and self._remembered.records:  # it may begin before the snapshot that is there
                self._journal.close()
                self._begin_journal(self._snapshot, self.num_changes)
            _end_journal(self._journal, self._remembered)
        except (InputError, OSError) as error:
            raise InputError(f"{error}; nothing is lost, for changes are in {shown_path(self.folder)}") from error
        finally:
            self._journal.close()
            self._claim.release()
            with contextlib.suppress(OSError):  # a journal that is left ends it
                self.folder.rmdir()

    @property
    def journal_bytes(self) -> int:
        """Size of the journal."""
        return self._journal.num_bytes

    def _open(self) -> None:
        """Reads the snapshot and replays the journal on top of it, or begins anew."""
        journal, snapshot = self.folder / "journal", _sha256(self.path) if self.path.exists() else None
        (self.folder / "next.safetensors").unlink(missing_ok=True)
        self._snapshot, self._saved_bytes = snapshot, self.path.stat().st_size if snapshot else 0
        if not journal.exists():
            self._remembered = Remembered()
            self.learner = _begun(self._options) if snapshot is None else FastSlowClassifier.load(self.path)
            _refuse_other_options(self.learner, self._options)
            self._begin_journal(snapshot, 0)
            return
        self._journal = Journal(journal)
        if self._journal.found[-1:] == [_CLOSED] and self._journal.header.get("snapshot") != snapshot:
            self._journal.close()  # the file that was all there was has been replaced or taken away
            journal.unlink()
            self._open()
            return
        try:
            self._replay(snapshot)
        except BaseException:
            self._journal.close()
            raise

    def _replay(self, snapshot: str | None) -> None:
        header, changes, name = self._journal.header, self._journal.found, shown_path(self._journal.path)
        first = first_to_replay(self._journal, snapshot, self.path)
        self.learner = _begun(header["parameters"]) if snapshot is None else FastSlowClassifier.load(self.path)
        _refuse_other_options(self.learner, self._options)
        if header["model_sha256"] != self.learner._encoder().sha256:
            raise InputError(f"{name} has features of another model than {shown(self.learner.model)}: bring that back")
        self._remembered = remembered_in(self._journal)
        self.num_changes = header["changes"] + sum("do" in change for change in changes[:first])
        self._num_since, self._due_at = 0, 1
        for place, change in enumerate(changes[first:], first + 1):
            if "do" not in change:
                continue
            try:
                apply_change(self.learner, change)
            except (ValueError, KeyError, TypeError) as error:
                cure = "the model may have changed"
                raise InputError(f"{name}, record {place}, cannot be replayed ({error}); {cure}") from error
            self._num_since += 1
            self.num_changes += 1

    def _begin_journal(self, snapshot: str | None, num_changes: int) -> None:
        header = header_of(self.learner, snapshot, num_changes, self._remembered.records)
        self._journal = Journal.create(self.folder / "journal", header)
        self.num_changes, self._num_since, self._due_at = num_changes, 0, 1

    def _is_due(self) -> bool:
        many = self._num_since >= _MOST_CHANGES * self._due_at
        large = self._journal.num_bytes >= max(_MOST_BYTES, self._saved_bytes) * self._due_at
        return (many or large) and knows_something(self.learner)

    def _try_to_compact(self) -> None:
        """Where there is no room for a snapshot, the journal goes on: the next try is when it is twice as long."""
        try:
            self._compact()
        except InputError:
            self._due_at *= 2

    def _compact(self) -> None:
        saved = self.folder / "next.safetensors"
        self.learner.save(saved)
        sha256 = _sha256(saved)
        self._journal.append({"snapshot": sha256})
        self._journal.sync()
        # As it would be read back: what is behind the snapshot can no more be undone.
        memory = self.learner.memory_
        memory.restore(memory.labels, memory.examples)
        _put_in_place(saved, self.path)
        self._saved_bytes = self.path.stat().st_size
        self._journal.close()  # Windows replaces no file that is open
        try:
            self._begin_journal(sha256, self.num_changes)
        except InputError:
            self._journal = Journal(self._journal.path)
            raise

    def _clear(self) -> None:
        """Takes away the snapshot of what has been forgotten; before that, the journal notes it, as in `_compact`."""
        self._journal.append({"snapshot": None})
        self._journal.sync()
        _put_in_place(None, self.path)
        self._journal.close()
        self._begin_journal(None, self.num_changes)


def _begun(options: Mapping[str, Any]) -> FastSlowClassifier:
    """A learner of nothing; what is wrong with its options is said now, not to the first who teaches."""
    learner = FastSlowClassifier(**options)
    checked_limits(learner.max_examples, learner.per_class, learner.eviction)
    checked_threshold(learner.novelty_threshold)
    learner._encoder()
    return learner


def _put_in_place(saved: Path | None, path: Path) -> None:
    """Puts a file in the place of the snapshot, for good; where there is none, takes that away."""
    try:
        if saved is None:
            path.unlink(missing_ok=True)
        else:
            os.replace(saved, path)
    except OSError as error:
        what = "removed" if saved is None else "replaced"
        raise InputError(f"{shown_path(path)} cannot be {what} ({error.strerror})") from error
    flush_folder(path.parent)


def _end_journal(journal: Journal, remembered: Remembered) -> None:
    """All changes are in the snapshot: the journal goes, unless there are keys of requests to remember."""
    if remembered.records:
        journal.append(_CLOSED)
        journal.sync()
    journal.close()
    if not remembered.records:
        journal.path.unlink(missing_ok=True)


def _refuse_other_options(learner: FastSlowClassifier, options: Mapping[str, Any]) -> None:
    _refuse_onnx(learner.model)
    there = learner.get_params()
    for name, value in options.items():
        if there[name] != value:
            raise InputError(
                f"got {name}={shown(value)} for a state that was begun with {name}={shown(there[name])}; leave the "
                "option out, or give another file"
            )


def _refuse_onnx(model: object) -> None:
    """What such a model takes is arrays of its own, which no image file is."""
    if str(model).lower().endswith(".onnx"):
        raise InputError(f"got model={shown(model)}; an .onnx model is not served: give none, and send its features")


def _sha256(path: Path) -> str:
    return hashlib.sha256(read_bytes(path, MAX_BYTES)).hexdigest()
