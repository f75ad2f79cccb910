"""Labels of examples: any hashable values, as long as it is clear which are the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set

import numpy as np
from torch import Tensor

from fastslow.errors import InputError, shown, shown_reason

#: What has no order, or would be taken apart into letters.
_NO_SEQUENCES = (str, bytes, bytearray, Set, Mapping)


def checked_labels(labels: Iterable[Hashable]) -> list[Hashable]:
    """Labels as plain Python values, in order.

    Raises:
        ValueError: if they are one string or have no order, one of them cannot be hashed, or one does not equal itself,
            as NaN.
    """
    if isinstance(labels, _NO_SEQUENCES):
        raise InputError(f"got labels={shown(labels)}; give a list, one label per image")
    try:
        given = list(labels)
        if set(map(type, given)) <= {str, int}:  # the usual ones: always hashable, and equal to themselves
            return given
        plain = [label.item() if isinstance(label, np.generic | Tensor) else label for label in given]
        set(plain)
        unequal = [label for label, value in zip(given, plain, strict=True) if _differs(label) or _differs(value)]
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the labels cannot be used ({shown_reason(error)}); give a list of strings or numbers"
        ) from error
    if unequal:
        raise InputError(f"got the label {shown(unequal[0])}, which does not equal itself; give it a name")
    return plain


def refuse_mixed(labels: Sequence[Hashable]) -> None:
    """Refuses labels that are equal but of different types, as 1, 1.0 and True: one class or several?

    Raises:
        ValueError: if there are any; the message names both.
    """
    if len(kinds := set(map(type, labels))) == 1 and not issubclass(kinds.pop(), tuple):
        return
    first: dict[Hashable, Hashable] = {}
    for label in labels:
        other = first.setdefault(label, label)
        if [type(leaf) for leaf in _leaves(label)] != [type(leaf) for leaf in _leaves(other)]:
            raise InputError(
                f"got the labels {shown(other)} and {shown(label)}, equal but of different type; give one type"
            )


def _differs(label: object) -> bool:
    return any(bool(leaf != leaf) for leaf in _leaves(label))


def _leaves(label: object) -> Iterator[object]:
    """The values in nested tuples."""
    if isinstance(label, tuple):
        for part in label:
            yield from _leaves(part)
    else:
        yield label
