"""One thread at a time: what several threads may use."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="Shared")


class Shared:
    """Has a lock of its own: not one of its values, so it does not travel with copies and files, which have others."""

    __slots__ = ("_lock",)
    _lock: AbstractContextManager[Any]

    def __new__(cls: type[S], *_args: Any, **_kwargs: Any) -> S:  # noqa: ANN401 - whatever it is made of
        """An object with a lock."""
        made = super().__new__(cls)
        made._lock = threading.RLock()
        return made

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles, which are made while others go on."""
        with self._lock:
            return dict(vars(self))

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._lock = threading.RLock()  # old pickles make objects without a call
        vars(self).update(state)


def alone(function: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method, or a function of something shared, that others of the same object wait for."""

    @functools.wraps(function)
    def waiting(shared: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with shared._lock:
            return function(shared, *args, **kwargs)

    return waiting
