"""The first record of a journal of changes: what they build on, and what is remembered of those before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastslow.errors import InputError, shown_path
from fastslow.estimators.stream import FastSlowClassifier
from fastslow.serving.journal import Journal
from fastslow.serving.repeats import Remembered

_FORMAT, _KIND = 1, "changes of a stream learner"


def header_of(
    learner: FastSlowClassifier, snapshot: str | None, num_changes: int, answered: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """What changes of a learner build on.

    Args:
        learner: as it is before them.
        snapshot: SHA-256 of the file that it was saved as; None where it has learned nothing.
        num_changes: made before them.
        answered: of those, what is remembered of such as had a key.
    """
    return {
        "format": _FORMAT, "kind": _KIND, "snapshot": snapshot, "changes": num_changes,
        "parameters": learner.get_params(), "model_sha256": learner._encoder().sha256, "answered": list(answered),
    }  # fmt: skip


def first_to_replay(journal: Journal, snapshot: str | None, path: Path) -> int:
    """Place of the first change that is not in the snapshot.

    Args:
        journal: as it was found.
        snapshot: SHA-256 of the one that is there, or None.
        path: where that is, or would be.

    Raises:
        ValueError: if the journal does not belong to it, or is of another kind.
    """
    name, header = shown_path(journal.path), journal.header
    if header.get("format") != _FORMAT or header.get("kind") != _KIND or not _is_header(header):
        raise InputError(f"{name} is no journal of format {_FORMAT}; it was written by something else")
    notes = [place for place, change in enumerate(journal.found) if change == {"snapshot": snapshot}]
    if not notes and header["snapshot"] != snapshot:
        raise InputError(
            f"{name} builds on another snapshot than {shown_path(path)}: bring back that one, or move "
            f"{shown_path(journal.path.parent)} away to go on without the changes in it"
        )
    return notes[-1] + 1 if notes else 0


def remembered_in(journal: Journal) -> Remembered:
    """Changes with a key that a journal has, or that were made before it.

    Raises:
        ValueError: if one of them is none.
    """
    once = (change["once"] for change in journal.found if "once" in change)
    try:
        return Remembered((*journal.header.get("answered", ()), *once))
    except InputError as error:
        raise InputError(f"{shown_path(journal.path)} cannot be read ({error})") from error


def _is_header(header: Mapping[str, Any]) -> bool:
    """Whether the first record of a journal says what the others build on."""
    snapshot, changes, parameters = (header.get(name) for name in ("snapshot", "changes", "parameters"))
    return (
        header.keys() - {"answered"} == {"format", "kind", "snapshot", "changes", "parameters", "model_sha256"}
        and (snapshot is None or isinstance(snapshot, str))
        and isinstance(changes, int)
        and not isinstance(changes, bool)
        and changes >= 0
        and isinstance(parameters, dict)
        and parameters.keys() == FastSlowClassifier().get_params().keys()
        and isinstance(header.get("answered", []), list)
    )
