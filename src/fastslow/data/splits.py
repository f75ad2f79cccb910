"""Which classes are for training, validation and test, with a checksum that goes into every result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence

from fastslow.checks import is_real
from fastslow.errors import InputError, shown

#: With fewer classes than this, `random_split` holds none out: a part would be too small for an episode.
FEWEST_TO_DIVIDE = 10


@dataclasses.dataclass(frozen=True)
class Split:
    """Disjoint parts of a data set's classes. Any of them may be empty; `part` says so where it is asked for.

    Attributes:
        name: what the split is called in results.
        train: indices of the classes for training.
        validation: indices of the classes for model selection.
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

    def part(self, name: str) -> tuple[int, ...]:
        """Indices of the classes of one part.

        Args:
            name: "train", "validation", "test"; "train+validation": the two together, sorted; or "all": all three.

        Raises:
            InputError: if there is no such part, or no class in it; the message names the parts that have some.
        """
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        everything = tuple(sorted(self.train + self.validation + self.test))
        joint = {"train+validation": self.train_and_validation, "all": everything}
        if name not in {**parts, **joint}:
            raise InputError(f"got part={shown(name)}; choose from {[*parts, *joint]}")
        if chosen := {**parts, **joint}[name]:
            return chosen
        sizes = [f"{part} ({len(classes)})" for part, classes in parts.items() if classes]
        raise InputError(
            f"split {self.name} has no classes for {name}, only for {' and '.join(sizes) or 'nothing'}; "
            "choose another part, or use all classes with `--part all`"
        )


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
        InputError: if a class name is repeated, an index is out of range, or a class is in two parts.
    """
    _refuse_repeated(class_names)
    parts = {"train": tuple(train), "validation": tuple(validation), "test": tuple(test)}
    seen: set[int] = set()
    for part, indices in parts.items():
        for index in indices:
            if not 0 <= index < len(class_names):
                raise InputError(f"split {name}: class {index} in {part}, but there are {len(class_names)} classes")
            if index in seen:
                repeated = shown(class_names[index])
                raise InputError(f"split {name}: class {repeated} is listed twice (again in {part}); once is allowed")
            seen.add(index)
    content = {"name": name} | {part: sorted(class_names[i] for i in indices) for part, indices in parts.items()}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Split(name, **parts, sha256=hashlib.sha256(canonical.encode()).hexdigest())


def random_split(
    class_names: Sequence[str], *, seed: int, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> Split:
    """A split for data sets that have no published one.

    Classes are ordered by the SHA-256 of seed and name, so the same names and seed give the same parts on
    every machine and library version, however the classes are numbered. With fewer than `FEWEST_TO_DIVIDE` classes
    all of them are for training and none is held out; the split is called "nothing-held-out" then.

    Args:
        class_names: all classes of the data set, no name twice.
        seed: another seed, another split.
        fractions: of train, validation and test; non-negative, they sum to 1. A part's size is rounded to the
            nearest class, so that a part with a small fraction may be empty.

    Raises:
        InputError: if the fractions are no such thing, or a class name is repeated.
    """
    if not isinstance(fractions, tuple | list) or len(fractions) != 3 or not all(map(is_real, fractions)):
        raise InputError(
            f"got fractions={shown(fractions)}; three numbers were expected: of train, validation and test"
        )
    if not min(fractions) >= 0 or not math.isclose(sum(fractions), 1.0, abs_tol=1e-6):
        raise InputError(f"split fractions are {fractions}; they must be non-negative and sum to 1")
    _refuse_repeated(class_names)
    num = len(class_names)
    if num < FEWEST_TO_DIVIDE:
        return make_split("nothing-held-out", class_names, train=range(num), validation=(), test=())
    order = sorted(range(num), key=lambda i: hashlib.sha256(f"{seed}:{class_names[i]}".encode()).digest())
    first, second = round(fractions[0] * num), round((fractions[0] + fractions[1]) * num)
    train, validation, test = (sorted(part) for part in (order[:first], order[first:second], order[second:]))
    name = f"random-{seed}-" + "-".join(f"{fraction:g}" for fraction in fractions)
    return make_split(name, class_names, train=train, validation=validation, test=test)


def _refuse_repeated(class_names: Sequence[str]) -> None:
    counts = Counter(class_names)
    if len(counts) != len(class_names):
        repeated = next(name for name, count in counts.items() if count > 1)
        raise InputError(f"class name {shown(repeated)} is there more than once; a split needs a name for each class")
