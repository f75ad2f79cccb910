"""Which classes are for training, validation and test, with a checksum that goes into every result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence

from fastslow.errors import InputError


@dataclasses.dataclass(frozen=True)
class Split:
    """Disjoint parts of a data set's classes.

    Attributes:
        name: what the split is called in results.
        train: indices of the classes for training.
        validation: indices of the classes for model selection; may be empty.
        test: indices of the classes for the numbers that are reported.
        sha256: hex digest of the name and of the sorted class names of each part. It does not depend on how
            the classes are numbered.
    """

    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    sha256: str

    @property
    def train_and_validation(self) -> tuple[int, ...]:
        """Sorted indices of all classes that are not for test: what a final model may train on."""
        return tuple(sorted(self.train + self.validation))


def make_split(
    name: str,
    class_names: Sequence[str],
    *,
    train: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
) -> Split:
    """Checks the parts and computes the checksum.

    Args:
        name: what the split is called in results.
        class_names: all classes of the data set, no name twice.
        train: indices into `class_names`, and so for `validation` and `test`. Classes may be left out.
        validation: see `train`.
        test: see `train`.

    Raises:
        InputError: if a class name comes twice, an index is out of range, or a class is in two parts.
    """
    _refuse_repeated(class_names)
    parts = {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}
    seen: set[int] = set()
    for part, indices in parts.items():
        for index in indices:
            if not 0 <= index < len(class_names):
                raise InputError(f"split {name}: class {index} in {part}, but there are {len(class_names)} classes")
            if index in seen:
                raise InputError(f"split {name}: class {class_names[index]} comes twice (in {part}); once is allowed")
            seen.add(index)
    content = {"name": name} | {part: sorted(class_names[i] for i in indices) for part, indices in parts.items()}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Split(name, **parts, sha256=hashlib.sha256(canonical.encode()).hexdigest())


def random_split(
    class_names: Sequence[str], *, seed: int, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> Split:
    """A split for data sets that have no published one.

    Classes are ordered by the SHA-256 of seed and name, so the same names and seed give the same parts on
    every machine and library version, however the classes are numbered.

    Args:
        class_names: all classes of the data set, no name twice.
        seed: another seed, another split.
        fractions: of train, validation and test; non-negative, they sum to 1. A part's size is rounded to the
            nearest class.

    Raises:
        InputError: if the fractions are no such thing, a class name comes twice, or a part with a positive
            fraction would be empty.
    """
    if min(fractions) < 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise InputError(f"split fractions are {fractions}; they must be non-negative and sum to 1")
    _refuse_repeated(class_names)
    num = len(class_names)
    order = sorted(range(num), key=lambda i: hashlib.sha256(f"{seed}:{class_names[i]}".encode()).digest())
    first, second = round(fractions[0] * num), round((fractions[0] + fractions[1]) * num)
    parts = [tuple(sorted(part)) for part in (order[:first], order[first:second], order[second:])]
    for part, fraction, role in zip(parts, fractions, ("train", "validation", "test"), strict=True):
        if fraction > 0 and not part:
            raise InputError(
                f"{num} classes split by {fractions} leave none for {role}; give more classes or a larger fraction"
            )
    name = f"random-{seed}-" + "-".join(f"{fraction:g}" for fraction in fractions)
    return make_split(name, class_names, train=parts[0], validation=parts[1], test=parts[2])


def _refuse_repeated(class_names: Sequence[str]) -> None:
    if len(set(class_names)) != len(class_names):
        repeated = next(name for name in class_names if list(class_names).count(name) > 1)
        raise InputError(f"class name {repeated!r} comes more than once; a split needs a name for each class")
