"""The memory behind `FastSlowClassifier`: labels, the examples kept of each, and what they say of new ones."""

from __future__ import annotations

import contextlib
import copy
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.core.gaussian import ClassDistances, ClassStatistics, class_forms, distances, posterior
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.labels import LabelNumbers
from fastslow.errors import InputError, refuse_unknown, shown
from fastslow.estimators.contexts import plain_torch, plainly
from fastslow.estimators.eviction import EVICTIONS, Eviction, limit, make_room
from fastslow.estimators.examples import Examples
from fastslow.estimators.knowledge import FREEDOM, Knowledge

#: Examples are learned in parts of this share of all that can be kept, so that a large batch needs no more room.
_PART = 0.1
#: Directions are found in a matrix of features by features: of 4096 it takes 130 MB, and a minute.
_MOST_FEATURES = 4096


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
    most = refuse_unless_whole("max_examples", max_examples, 1)
    of_each = None if per_class is None else refuse_unless_whole("per_class", per_class, 1)
    refuse_unknown({"eviction": (eviction, EVICTIONS)})
    return Limits(most, of_each, eviction)


class StreamMemory:
    """Learns, forgets and answers on features; each change is all or nothing.

    Args:
        num_features: of each example.
        prior: see `Knowledge`.
        limits: how much is kept.
        slow: see `Knowledge`.
        doubt: likewise.
        source: tells the model that makes the features from others.

    Attributes:
        labels: of the classes.
        examples: that are kept.
        knowledge: what follows from them.
    """

    @plainly
    def __init__(
        self,
        num_features: int,
        prior: ClassStatistics | None,
        limits: Limits,
        *,
        slow: bool,
        doubt: bool = False,
        source: str = "",
    ) -> None:
        if num_features > _MOST_FEATURES:
            raise InputError(
                f"got examples of {num_features} features; at most {_MOST_FEATURES} can be told apart by directions: "
                "give a model that makes fewer, or shorter vectors"
            )
        self.prior, self.limits, self.slow, self.doubt, self.source = prior, limits, slow, doubt, source
        self.labels, self.examples = LabelNumbers(), Examples(num_features)
        self._know_anew()
        self._before: tuple[list[Hashable], Examples] | None = None

    @property
    def memory_bytes(self) -> int:
        """Bytes that examples and sums take; directions, and what `undo` keeps, come on top."""
        return self.examples.memory_bytes + self.knowledge.sums.nbytes + self.knowledge.counts.nbytes

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
        with self._change():
            for label in announced:
                self.labels.number(label)
            classes = torch.tensor([self.labels.number(label) for label in labels], dtype=torch.int64)
            size = max(1, int(_PART * self.limits.max_examples))
            ids = []
            for part, numbers in zip(torch.split(features, size), torch.split(classes, size), strict=True):
                ids.append(self.examples.add(part, numbers))
                self.knowledge.learn(part, numbers, len(self.labels))
                self._make_room()
            return torch.cat(ids)

    def look(self, features: Float[Tensor, "queries features"]) -> ClassDistances:
        """What is known of queries; a class without examples is infinitely far."""
        axes, classes = self.knowledge.ready()
        return distances(axes.of(features), classes, freedom=FREEDOM)

    @plainly
    def weigh(self, features: Float[Tensor, "queries features"]) -> Float[Tensor, "queries rows"]:
        """Log likelihood of each kept example, as if it were a class by itself."""
        axes, rows = self.knowledge.axes, self.examples
        counts = rows.counts.float()
        alone = class_forms(posterior(axes.of(rows.features) * counts.unsqueeze(1), counts, axes.spread))
        return distances(axes.of(features), alone, freedom=FREEDOM).likelihood

    def forget(self, label: Hashable) -> None:
        """Forgets a class and all its examples."""
        number = self.labels.known(label)
        with self._change():
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
        number = int(self.examples.classes[row])
        with self._change():
            self.examples.keep(self.examples.ids != example)
            self._drop(set() if bool((self.examples.classes == number).any()) else {number})

    def rename(self, old: Hashable, new: Hashable) -> None:
        """Gives a class another label, or joins it with the class that has that one.

        Raises:
            ValueError: if there is no room for the two in one, see `Eviction`.
        """
        number = self.labels.known(old)
        joined = new != old and new in self.labels
        if joined and self.limits.eviction == "refuse":
            rows = self.examples.classes == number
            refuse_more_of_a_class(new, int(rows.sum()), self)
        with self._change():
            if not joined:
                self.labels = self.labels.renamed(old, new)
                return
            to = torch.arange(len(self.labels))
            to[number] = self.labels.known(new)
            self.examples.move(to)
            self._drop({number})
            self._make_room()

    def merge_from(self, other: StreamMemory) -> None:
        """Takes in all that another memory of the same features keeps.

        Raises:
            ValueError: if there is no room; nothing has changed then.
        """
        names = list(other.labels)
        labels = [names[number] for number in other.examples.classes.tolist()]
        refuse_overfull(labels, self)
        with self._change():
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

    @plainly
    def restore(self, labels: LabelNumbers, examples: Examples) -> None:
        """Takes labels and examples in the place of its own; there is nothing to undo then."""
        self.labels, self.examples, self._before = labels, examples, None
        self._know_anew()

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """A change that `undo` takes back, and that is none at all if anything goes wrong in it."""
        kept, before = (list(self.labels), copy.copy(self.examples)), self._before
        self._before = kept
        try:
            with plain_torch():
                yield
        except BaseException:
            self.restore(LabelNumbers(kept[0]), kept[1])
            self._before = before
            raise

    def _drop(self, numbers: set[int]) -> None:
        """Takes labels out whose examples are gone."""
        if numbers:
            self.labels, to = self.labels.without(numbers)
            self.examples.move(torch.tensor(to, dtype=torch.int64))
        self._know_anew()

    def _make_room(self) -> None:
        most, per_class, eviction = self.limits
        if eviction == "refuse":
            return
        if per_class is not None and len(self.examples) > per_class:
            self.knowledge.recount(limit(self.examples, per_class, eviction))
        if len(self.examples) > most:
            self.knowledge.recount(make_room(self.examples, most, eviction))

    def _know_anew(self) -> None:
        self.knowledge = Knowledge(self.examples, len(self.labels), self.prior, slow=self.slow, doubt=self.doubt)


def refuse_overfull(new: Sequence[Hashable], memory: StreamMemory) -> None:
    """Refuses examples for which there will be no room, before any is learned.

    Args:
        new: their labels.
        memory: that is to learn them.

    Raises:
        ValueError: if there are more classes than rows, or more rows where none is to be evicted.
    """
    most, _, eviction = memory.limits
    held, num_classes = len(memory.examples), len({*memory.labels, *new}) if len(memory.labels) + len(new) > most else 0
    if num_classes > most:  # those that are only announced take no room
        names = list(memory.labels)
        num_classes = len({names[number] for number in torch.unique(memory.examples.classes).tolist()} | set(new))
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
    for label, more in Counter(new).items():
        refuse_more_of_a_class(label, more, memory)


def refuse_more_of_a_class(label: Hashable, more: int, memory: StreamMemory) -> None:
    """Refuses examples of one class for which there is no room.

    Raises:
        ValueError: if there would be more than `per_class`.
    """
    per_class = memory.limits.per_class
    there = int((memory.examples.classes == memory.labels.known(label)).sum()) if label in memory.labels else 0
    if per_class is not None and there + more > per_class:
        raise InputError(
            f"got {more} examples more of class {shown(label)}, which holds {there} of per_class={per_class}; raise "
            "per_class, forget some, or give eviction='merge' or 'oldest'"
        )
