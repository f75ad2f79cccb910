"""Changes that are asked for once more, because the answer to them was lost: told again, and not made again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fastslow.errors import InputError, shown

#: Changes that are remembered, the last ones; and the longest key.
MOST_KEYS, LONGEST_KEY = 1024, 128
#: Of one change: more than fit into a request.
_MOST_EXAMPLES = 2**24


class Once(NamedTuple):
    """What tells a request from others.

    Attributes:
        key: that whoever asks has made up for it.
        request: a digest of what is asked.
    """

    key: str
    request: str


def once(keys: list[str], path: str, body: bytes) -> Once | None:
    """What tells a request from others; None where it has no key.

    Args:
        keys: values of its header Idempotency-Key.
        path: that it is sent to.
        body: of it.

    Raises:
        ValueError: if there is more than one key, or it is none.
    """
    if not keys:
        return None
    key = keys[0].strip()
    fits = key.isascii() and key.isprintable() and 1 <= len(key) <= LONGEST_KEY
    if len(keys) > 1 or not fits:
        raise InputError(
            f"got {len(keys)} Idempotency-Key of {len(key)} characters; one of 1 to {LONGEST_KEY} ASCII characters was "
            "expected, as from uuidgen"
        )
    digest = hashlib.sha256(path.encode("utf-8", "replace") + b"\n" + body)
    return Once(key, digest.hexdigest()[:32])


class Remembered:
    """The last changes that had a key, and what was answered.

    Args:
        records: as `records` gives them, the oldest first.

    Raises:
        ValueError: if one of them is none.
    """

    def __init__(self, records: Iterable[Any] = ()) -> None:
        self._by_key: OrderedDict[str, dict[str, Any]] = OrderedDict()
        for record in records:
            _refuse_no_record(record)
            self.keep(record)

    @property
    def records(self) -> list[dict[str, Any]]:
        """All of them as JSON can hold them, the oldest first."""
        return list(self._by_key.values())

    def answer(self, asked: Once) -> dict[str, Any] | None:
        """What was answered to a change; None if it has not been made, as far as is remembered.

        Raises:
            ValueError: if its key was that of another one.
        """
        if (found := self._by_key.get(asked.key)) is None:
            return None
        if found["request"] != asked.request:
            raise InputError(f"the Idempotency-Key {shown(asked.key)} was sent with another request; make up a new one")
        first, count = found.get("examples", (0, None))
        made = {} if count is None else {"examples": list(range(first, first + count))}
        return {"change": found["change"], **made}

    def keep(self, record: Mapping[str, Any]) -> None:
        """Remembers a change; the oldest is forgotten where there are too many."""
        self._by_key[record["key"]] = dict(record)
        self._by_key.move_to_end(record["key"])
        if len(self._by_key) > MOST_KEYS:
            self._by_key.popitem(last=False)


def record_of(asked: Once, answer: Mapping[str, Any]) -> dict[str, Any]:
    """A change and its answer, as JSON can hold it: of the ids, which follow each other, the first and how many."""
    made = {"examples": [answer["examples"][0], len(answer["examples"])]} if "examples" in answer else {}
    return {**asked._asdict(), "change": answer["change"], **made}


def _refuse_no_record(record: Any) -> None:  # noqa: ANN401 - from a file
    """Refuses what `record_of` never gives.

    Raises:
        ValueError: if a part is missing, or is another than it can be.
    """
    match record:
        case {"key": str(), "request": str(), "change": change, **others} if type(change) is int and change > 0:
            numbers: Any = others.pop("examples", [0, 1])
            whole = isinstance(numbers, list) and len(numbers) == 2 and all(type(n) is int for n in numbers)
            if not others and whole and numbers[0] >= 0 and 0 < numbers[1] <= _MOST_EXAMPLES:
                return
    raise InputError(f"got {shown(record)} of a change with a key; it was written by something else")
