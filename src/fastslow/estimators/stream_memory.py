"""The memory behind `FastSlowClassifier`: labels, the examples kept of each, and what they say of new ones."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.gaussian import ClassDistances, ClassStatistics, class_forms, distances, posterior
from fastslow.data.checks import refuse_unless_whole
from fastslow.errors import InputError, refuse_unknown, shown
from fastslow.estimators.eviction import EVICTIONS, Eviction, limit, make_room
from fastslow.estimators.examples import Examples
from fastslow.estimators.knowledge import Knowledge
from fastslow.estimators.labels import LabelNumbers

#: Examples are learned in parts of this share of all that can be kept, so that a large batch needs no more room.
_PART = 0.1


class Limits(NamedTuple):
    """How much a memory keeps.

    Attributes:
        max_examples: rows.
        per_class: rows of each class; None for no such limit.
        eviction: what is done where there are more.
    """

    max_examples: int
    per_class: int | None
    eviction: Eviction


def checked_limits(max_examples: Any, per_class: Any, eviction: Any) -> Limits:  # noqa: ANN401 - from users
    """Limits that can be kept.

    Raises:
        ValueError: if a number is not positive, or there is no such eviction.
    """
    for name, value in (("max_examples", max_examples), ("per_class", per_class)):
        if not (value is None and name == "per_class"):
            refuse_unless_whole(name, value, 1)
    refuse_unknown({"eviction": (eviction, EVICTIONS)})
    return Limits(max_examples, per_class, eviction)


class StreamMemory:
    """Learns, forgets and answers on features; each change is all or nothing.

    Args:
        num_features: of each example.
        prior: see `Knowledge`.
        limits: how much is kept.
        slow: see `Knowledge`.

    Attributes:
        labels: of the classes.
        examples: that are kept.
    """

    def __init__(self, num_features: int, prior: ClassStatistics | None, limits: Limits, *, slow: bool) -> None:
        self.prior, self.limits, self.slow = prior, limits, slow
        self.labels, self.examples = LabelNumbers(), Examples(num_features)
        self._know_anew()
        self._before: tuple[list[Hashable], Examples] | None = None

    @property
    def memory_bytes(self) -> int:
        """Bytes that examples and sums take."""
        return self.examples.memory_bytes + self._knowledge.sums.nbytes + self._knowledge.counts.nbytes

    def learn(
        self, features: Float[Tensor, "new features"], labels: Sequence[Hashable], announced: Iterable[Hashable] = ()
    ) -> Int64[Tensor, " new"]:
        """Learns examples in order, on top of what is known.

        Args:
            features: of the examples.
            labels: one each; new ones make new classes.
            announced: labels that get a number before those; they are no answers until they have an example.

        Returns:
            Their ids, by which single ones can be forgotten.

        Raises:
            ValueError: if there is no room, see `Eviction`; nothing has been learned then.
        """
        refuse_overfull(labels, self)
        self._remember()
        for label in announced:
            self.labels.number(label)
        classes = torch.tensor([self.labels.number(label) for label in labels], dtype=torch.int64)
        size = max(1, int(_PART * self.limits.max_examples))
        ids = []
        for part, numbers in zip(torch.split(features, size), torch.split(classes, size), strict=True):
            ids.append(self.examples.add(part, numbers))
            self._knowledge.learn(part, numbers, len(self.labels))
            self._make_room()
        return torch.cat(ids)

    def look(self, features: Float[Tensor, "queries features"]) -> ClassDistances:
        """What is known of queries; a class without examples is infinitely far."""
        return distances(self._knowledge.axes.of(features), self._knowledge.classes)

    def weigh(self, features: Float[Tensor, "queries features"]) -> Float[Tensor, "queries rows"]:
        """Log likelihood of each kept example, as if it were a class by itself."""
        axes, rows = self._knowledge.axes, self.examples
        counts = rows.counts.float()
        alone = class_forms(posterior(axes.of(rows.features) * counts.unsqueeze(1), counts, axes.spread))
        return distances(axes.of(features), alone).likelihood

    def forget(self, label: Hashable) -> None:
        """Forgets a class and all its examples."""
        number = self.labels.known(label)
        self._remember()
        self.examples.keep(self.examples.classes != number)
        self._drop({number})

    def forget_example(self, example: int) -> None:
        """Forgets one example, and with the last of a class the class.

        Raises:
            ValueError: if it is not kept by itself.
        """
        row = torch.nonzero(self.examples.ids == example).flatten()
        if not len(row) or int(self.examples.counts[row]) > 1:
            why = "has been merged with others of its class" if len(row) else "is not kept"
            raise InputError(f"example {shown(example)} {why}; examples_ lists those that are, forget(label) takes all")
        self._remember()
        number = int(self.examples.classes[row])
        self.examples.keep(self.examples.ids != example)
        self._drop(set() if bool((self.examples.classes == number).any()) else {number})

    def rename(self, old: Hashable, new: Hashable) -> None:
        """Gives a class another label, or joins it with the class that has that one."""
        number = self.labels.known(old)
        self._remember()
        if new == old or new not in self.labels:
            self.labels = self.labels.renamed(old, new)
            return
        to = torch.arange(len(self.labels))
        to[number] = self.labels.known(new)
        self.examples.move(to)
        self._drop({number})

    def merge_from(self, other: StreamMemory) -> None:
        """Takes in all that another memory of the same features keeps.

        Raises:
            ValueError: if there is no room; nothing has changed then.
        """
        names = list(other.labels)
        labels = [names[number] for number in other.examples.classes.tolist()]
        refuse_overfull(labels, self)
        self._remember()
        classes = torch.tensor([self.labels.number(label) for label in labels], dtype=torch.int64)
        self.examples.take(other.examples, classes)
        self._know_anew()
        self._make_room()

    def undo(self) -> None:
        """Takes the last change back.

        Raises:
            ValueError: if there is none to take back.
        """
        if self._before is None:
            raise InputError("there is nothing to undo; the last change can be taken back, once")
        labels, examples = self._before
        self.restore(LabelNumbers(labels), examples)

    def restore(self, labels: LabelNumbers, examples: Examples) -> None:
        """Takes labels and examples in the place of its own; there is nothing to undo then."""
        self.labels, self.examples, self._before = labels, examples, None
        self._know_anew()

    def _remember(self) -> None:
        """Before a change: what `undo` goes back to."""
        self._before = (list(self.labels), copy.copy(self.examples))

    def _drop(self, numbers: set[int]) -> None:
        """Takes labels out whose examples are gone."""
        if numbers:
            self.labels, to = self.labels.without(numbers)
            self.examples.move(torch.tensor(to, dtype=torch.int64))
        self._know_anew()

    def _make_room(self) -> None:
        most, per_class, eviction = self.limits
        if per_class is not None and len(self.examples) > per_class:
            self._knowledge.recount(limit(self.examples, per_class, eviction))
        if len(self.examples) > most:
            self._knowledge.recount(make_room(self.examples, most, eviction))

    def _know_anew(self) -> None:
        self._knowledge = Knowledge(self.examples, len(self.labels), self.prior, slow=self.slow)


def refuse_overfull(new: Sequence[Hashable], memory: StreamMemory) -> None:
    """Refuses examples for which there will be no room, before any is learned.

    Args:
        new: their labels.
        memory: that is to learn them.

    Raises:
        ValueError: if there are more classes than rows, or more rows where none is to be evicted.
    """
    (most, per_class, eviction), known, held = memory.limits, memory.labels, len(memory.examples)
    num_classes = len(known) + len({label for label in new if label not in known})
    if num_classes > most:
        raise InputError(
            f"that would make {num_classes} classes; max_examples={most} has room for one example of as many: "
            "raise max_examples, or forget classes"
        )
    if eviction != "refuse":
        return
    if held + len(new) > most:
        raise InputError(
            f"got {len(new)} examples more for a memory of max_examples={most} that holds {held}; raise max_examples, "
            "forget some, or give eviction='merge' or 'oldest'"
        )
    sizes = memory.examples.classes.bincount(minlength=len(known)).tolist()
    for label, more in Counter(new).items():
        there = sizes[known.known(label)] if label in known else 0
        if per_class is not None and there + more > per_class:
            raise InputError(
                f"got {more} examples more of class {shown(label)}, which holds {there} of per_class={per_class}; "
                "raise per_class, forget some, or give eviction='merge' or 'oldest'"
            )
