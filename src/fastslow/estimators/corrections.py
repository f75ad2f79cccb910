"""What is put right in a stream learner: forgotten, taken back, renamed, merged."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, TypeVar

from fastslow.alone import alone
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.labels import LabelNumbers, checked_labels, refuse_mixed
from fastslow.errors import InputError, shown
from fastslow.estimators.answers import Answers
from fastslow.estimators.conventions import refuse_continuous
from fastslow.estimators.stream_memory import StreamMemory

T = TypeVar("T", bound="Corrections")
#: No label at all, for any value may be one.
_NOTHING = object()


class Corrections(Answers):
    """A `StreamMemory` that answers, and that can be changed without examples."""

    @alone
    def forget(self: T, label: Any = _NOTHING, *, example: Any = None) -> T:  # noqa: ANN401
        """Forgets a class, or one example by its id: as if it had never been seen, while none has been merged.

        Raises:
            ValueError: if there is no such class or example, or both or none are given.
        """
        if (label is _NOTHING) == (example is None):
            raise InputError("give forget a label, or example=ID of one of examples_, and not both")
        if example is None:
            self._known().forget(*checked_labels([label]))
        else:
            self._known().forget_example(refuse_unless_whole("example", example, 0))
        return self

    @alone
    def undo(self: T) -> T:
        """Takes the last change back: what was learned, forgotten, renamed or merged since `fit`."""
        self._known().undo()
        return self

    @alone
    def rename(self: T, old: Any, new: Any) -> T:  # noqa: ANN401
        """Gives a class another label; where another class has it, the two become one."""
        known, (old, new) = self._known(), checked_labels([old, new])
        refuse_continuous([new])
        refuse_mixed([*(label for label in known.labels.equal_to([new]) if label != old), new])
        known.rename(old, new)
        return self

    def merge_from(self: T, other: Any) -> T:  # noqa: ANN401
        """Takes in all that another learner with the same model keeps.

        Raises:
            ValueError: if it has another model, or there is no room.
        """
        if not isinstance(other, Corrections):
            raise InputError(f"got {shown(other)} to merge from; another FastSlowClassifier was expected")
        self._merge(other._as_it_is())  # never both locked at once
        return self

    @alone
    def _merge(self, its: StreamMemory) -> None:
        size = its.examples.num_features
        known = self.memory_ if hasattr(self, "memory_") else self._new_memory(size)
        if known.source != its.source:
            raise InputError("the two learners compare features of different models; both must have the same")
        if (here := known.examples.num_features) != size:
            raise InputError(f"got a learner of {size} features to merge into one of {here}; both must have the same")
        refuse_mixed([*known.labels, *its.labels])
        known.merge_from(its)
        self.memory_ = known

    @alone
    def _as_it_is(self) -> StreamMemory:
        """What is known now, to be read while others go on teaching."""
        memory = copy.copy(self._known())
        memory.labels, memory.examples = LabelNumbers(memory.labels), copy.copy(memory.examples)
        return memory

    @abstractmethod
    def _new_memory(self, num_features: int) -> StreamMemory:
        """An empty memory, as the arguments have it."""
