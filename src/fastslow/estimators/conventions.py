"""What scikit-learn expects of an estimator, without importing it."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Hashable, Iterable
from typing import Any, TypeVar

import numpy as np

from fastslow.errors import InputError, shown

T = TypeVar("T", bound="Conventions")


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
        """Changes arguments; they count from the next `fit` on.

        Raises:
            ValueError: if there is no such argument.
        """
        names = self._names()
        for name, value in parameters.items():
            if name not in names:
                raise InputError(f"got the parameter {shown(name)}; there are {', '.join(names)}")
            setattr(self, name, value)
        return self

    def score(self, X: Any, y: Iterable[Hashable]) -> float:  # noqa: ANN401 - as scikit-learn has it
        """Share of right answers."""
        expected = list(y)
        return float(np.mean([a == b for a, b in zip(self.predict(X), expected, strict=True)]))

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
    if kinds <= {str} or kinds <= {int} or kinds <= {bool} or kinds <= {float}:
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


def refuse_continuous(y: object) -> None:
    """Refuses numbers with a fraction, which name no classes.

    Raises:
        ValueError: if there are any.
    """
    array = np.asarray(y if hasattr(y, "__array__") or isinstance(y, list) else [])
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and (array == np.trunc(array)).all()):
        raise InputError(f"Unknown label type: continuous; got {shown(array.flat[0])}, ...: give labels of classes")
