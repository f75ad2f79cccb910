"""Labels of examples: any hashable values, as long as it is clear which are the same."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence, Set

import numpy as np

from fastslow.data.scale import refuse_masked
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
    refuse_masked(labels, "labels")
    try:
        given = list(labels)
        if set(map(type, given)) <= {str, int}:  # the usual ones: always hashable, and equal to themselves
            return given
        plain = [_plain(label) for label in given]
        set(plain)
        unequal = [label for label, value in zip(given, plain, strict=True) if _differs(label) or _differs(value)]
    except InputError:
        raise
    except (TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the labels cannot be used ({shown_reason(error)}); give a list of strings or numbers"
        ) from error
    if unequal:
        raise InputError(f"got the label {shown(unequal[0])}, which does not equal itself; give it a name")
    return plain


def refuse_dates(label: object) -> None:
    """Refuses dates and spans of time of NumPy: as plain values they are numbers, in a unit that is lost.

    Raises:
        ValueError: if it is one, or an array of them.
    """
    kind = getattr(label, "dtype", None)
    if isinstance(kind, np.dtype) and kind.kind in "mM":
        raise InputError(f"got {shown(label)} as a label, a date or a span of time; give texts, as by .astype(str)")


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


def classes_after(
    known: Mapping[Hashable, int], labels: Sequence[Hashable], *, num_images: int, max_classes: int
) -> dict[Hashable, int]:
    """The numbers of classes once a learner of few has been shown some more examples; new labels come last.

    Args:
        known: the numbers of those shown before; not modified.
        labels: see `checked_labels`.
        num_images: how many images they are given with.
        max_classes: the most classes that the learner tells apart.

    Raises:
        ValueError: if there is not one label per image, labels cannot be told apart, or there are too many classes.
    """
    if len(labels) != num_images:
        raise InputError(f"got {num_images} images and {len(labels)} labels; give one label per image")
    refuse_mixed([*known, *labels])
    classes = dict(known)
    for label in labels:
        classes.setdefault(label, len(classes))
    if len(classes) > max_classes:
        raise InputError(
            f"that would make {len(classes)} classes; this model tells {max_classes} apart: "
            "reset() it, or load a model of more ways"
        )
    return classes


class LabelNumbers:
    """Labels of classes by number, in order of arrival."""

    def __init__(self, labels: Iterable[Hashable] = ()) -> None:
        self._names = list(labels)
        self._numbers = {label: number for number, label in enumerate(self._names)}

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._names)

    def __contains__(self, label: Hashable) -> bool:
        return label in self._numbers

    def equal_to(self, labels: Iterable[Hashable]) -> list[Hashable]:
        """Those that some labels are equal to, as they were first given: 1 for 1.0."""
        found = (self._numbers.get(label) for label in labels)
        return [self._names[number] for number in found if number is not None]

    def number(self, label: Hashable) -> int:
        """The number of a label, the next one if it is new."""
        number = self._numbers.setdefault(label, len(self._names))
        if number == len(self._names):
            self._names.append(label)
        return number

    def known(self, label: Hashable) -> int:
        """The number of a label that there is.

        Raises:
            ValueError: if there is none, or it is of another type, as 1 and True.
        """
        if label not in self._numbers:
            some = ", ".join(map(shown, self._names[:5])) + (", ..." if len(self) > 5 else "")
            raise InputError(f"got the label {shown(label)}, which has not been learned; there are {some or 'none'}")
        number = self._numbers[label]
        refuse_mixed([self._names[number], label])  # True is not the class 1
        return number

    def renamed(self, old: Hashable, new: Hashable) -> LabelNumbers:
        """The same numbers, one of them under another label that there is not yet."""
        return LabelNumbers(new if label == old else label for label in self)

    def without(self, numbers: Set[int]) -> tuple[LabelNumbers, list[int]]:
        """Those that are left, numbered anew; and the new number of each old one, 0 for those that are gone."""
        left = [label for number, label in enumerate(self) if number not in numbers]
        rest = LabelNumbers(left)
        return rest, [0 if number in numbers else rest.known(label) for number, label in enumerate(self)]


def _plain(label: Hashable) -> Hashable:
    """Numbers of numpy and of torch as Python's; torch is not imported for it: who has a tensor has it."""
    refuse_dates(label)
    torch = sys.modules.get("torch")
    if isinstance(label, np.generic) or (torch is not None and isinstance(label, torch.Tensor)):
        number: Hashable = label.item()
        return number
    return label


def _differs(label: object) -> bool:
    return any(bool(leaf != leaf) for leaf in _leaves(label))


def _leaves(label: object) -> Iterator[object]:
    """The values in nested tuples."""
    if isinstance(label, tuple):
        for part in label:
            yield from _leaves(part)
    else:
        yield label
