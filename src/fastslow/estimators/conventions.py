"""What scikit-learn expects of an estimator, without importing it."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from fastslow.data.labels import checked_labels, refuse_dates
from fastslow.data.scale import refuse_masked, tensor_values
from fastslow.errors import InputError, shown

T = TypeVar("T", bound="Conventions")
#: An array of texts takes room for its longest in each place.
_SHORT = 200


class Conventions:
    """Parameters by name, a score, and tags; `clone`, `Pipeline` and `cross_val_score` need no more."""

    _estimator_type = "classifier"

    @abstractmethod
    def predict(self, X: Any) -> np.ndarray:  # noqa: ANN401 - as scikit-learn has it
        """Labels of examples."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The arguments that the estimator was made with, by name."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self: T, **parameters: Any) -> T:  # noqa: ANN401 - each has its own type
        """Changes arguments.

        `model`, `ink`, `crop` and `novelty_threshold` count at once: a model must be the one whose features were
        learned until `fit` is called. The others count from the next `fit` on.

        Raises:
            ValueError: if there is no such argument.
        """
        names = self._names()
        for name, value in parameters.items():
            if name not in names:
                raise InputError(f"got the parameter {shown(name)}; there are {', '.join(names)}")
            setattr(self, name, value)
        return self

    def score(self, X: Any, y: Any) -> float:  # noqa: ANN401 - as scikit-learn has it
        """Share of right answers."""
        expected, found = checked_labels(as_list(y)), self.predict(X)
        if len(expected) != len(found):
            raise InputError(f"got {len(found)} examples and {len(expected)} labels; give one label per example")
        return float(np.mean([a == b for a, b in zip(found, expected, strict=True)]))

    def __repr__(self) -> str:
        signature = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={shown(value)}"
            for name, value in self.get_params().items()
            if type(value) is not type(signature[name].default) or value != signature[name].default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401 - scikit-learn's own
        # Asked for by scikit-learn alone, which is there then.
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags  # type: ignore[import-untyped]

        images = getattr(self, "model", None) is not None
        return Tags(
            estimator_type="classifier", target_tags=TargetTags(required=True), classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=not images, three_d_array=images),
        )  # fmt: skip

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]


def as_array(labels: list[Hashable]) -> np.ndarray:
    """Labels as an array: of texts, of numbers, or of objects where they are neither."""
    kinds = set(map(type, labels))
    fits = kinds <= {int} and all(-(2**63) <= label < 2**63 for label in labels)  # type: ignore[operator]
    short = kinds <= {str} and max(map(len, labels), default=0) <= _SHORT  # type: ignore[arg-type]
    # In an array of texts a text loses the zero characters at its end.
    short = short and not any(label.endswith("\0") for label in labels)  # type: ignore[attr-defined]
    if short or fits or kinds <= {bool} or kinds <= {float}:
        return np.array(labels)
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array


def in_order(labels: list[Hashable]) -> list[int]:
    """The places of labels when sorted; as they are where they cannot be."""
    try:
        return sorted(range(len(labels)), key=lambda place: labels[place])  # type: ignore[arg-type,return-value]
    except TypeError:
        return list(range(len(labels)))


def as_list(y: Any) -> Iterable[Hashable]:  # noqa: ANN401 - whatever users have
    """Labels from whatever holds them: a column of an array is a list of them.

    Raises:
        ValueError: if there are none, an array has several columns or masked entries, or holds dates.
    """
    if y is None:
        raise InputError("requires y to be passed, but the target y is None: give one label per example")
    if isinstance(y, Tensor):
        y = tensor_values(y, "labels")
    if not hasattr(y, "__array__"):
        if not hasattr(y, "__iter__") and not hasattr(y, "__getitem__"):
            raise InputError(f"got labels={shown(y)}; give a list, one label per example")
        labels: Iterable[Hashable] = y
        return labels
    refuse_masked(y, "labels")
    array = np.asarray(y)
    refuse_dates(array)
    if array.ndim > 1 and array.size != len(array):
        raise InputError(f"got labels of shape {array.shape}; give one label per example")
    values: list[Hashable] = array.ravel().tolist()
    return values


def refuse_continuous(labels: Sequence[Hashable]) -> None:
    """Refuses numbers with a fraction, and those that are not finite: they name no classes.

    Raises:
        ValueError: if there are any.
    """
    for label in labels:
        if isinstance(label, float) and not label.is_integer():
            raise InputError(f"Unknown label type: continuous; got {shown(label)}: give labels of classes")
