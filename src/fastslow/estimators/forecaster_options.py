"""Options of a forecaster: each by itself, and whether there is room and time for what they ask for together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastslow.core.motion import Widths
from fastslow.data.checks import is_real, refuse_unless_positive, refuse_unless_whole
from fastslow.errors import InputError, shown

#: Slots of which distances from one another fit into memory; steps of a forecast, samples a second, and samples made up
#: between two updates; numbers of steps in all slots, which a file holds; what is no number of samples; and the least
#: width, of which even the farthest place is some number.
_MOST_SLOTS, _MOST_STEPS, _MOST_NUMBERS, _LARGEST, _LEAST_WIDTH = 4096, 10_000, 2**22, 1e12, 1e-9


class Numbers(NamedTuple):
    """See `FastSlowForecaster`."""

    rate: float
    horizon: float
    learn_every: float
    max_gap: float
    drop_after: float
    empty: float
    max_slots: int


def checked_numbers(*, empty: Any, max_slots: Any, **times: Any) -> Numbers:  # noqa: ANN401 - from users
    """The numbers that a forecaster is given, as Python's own.

    Args:
        empty: see `FastSlowForecaster`.
        max_slots: likewise.
        **times: those of `Numbers` in seconds or Hz.

    Raises:
        InputError: if one makes no sense, or all together ask for more than there is room or time for.
    """
    checked = {name: refuse_unless_positive(name, value, "seconds or Hz") for name, value in times.items()}
    weight = refuse_unless_positive("empty", empty, "of errors")
    numbers = Numbers(**checked, empty=weight, max_slots=refuse_unless_whole("max_slots", max_slots, 2, _MOST_SLOTS))
    _refuse_too_many(numbers)
    return numbers


def checked_widths(widths: Any) -> Widths:  # noqa: ANN401 - from users
    """Widths of keys.

    Raises:
        InputError: if they are none.
    """
    names = ", ".join(Widths._fields)
    if not isinstance(widths, Sequence) or isinstance(widths, str) or len(widths) != len(Widths._fields):
        raise InputError(f"got widths={shown(widths)}; positive numbers were expected, {names}")
    checked = []
    for name, width in zip(Widths._fields, widths, strict=True):
        checked.append(refuse_unless_positive(f"widths.{name}", width))
        if checked[-1] < _LEAST_WIDTH:
            raise InputError(f"got widths.{name}={width}; positive numbers of at least {_LEAST_WIDTH} were expected")
    return Widths(*checked)


def refuse_unless_told(**options: object) -> None:
    """Refuses what is neither true nor false.

    Raises:
        InputError: at the first that is not.
    """
    for name, value in options.items():
        if not isinstance(value, bool | np.bool_):
            raise InputError(f"got {name}={shown(value)}; True or False was expected")


def steps_within(horizon: Any, most: float, rate: float) -> int:  # noqa: ANN401 - from users
    """Steps of a forecast that looks less far ahead, at least one.

    Args:
        horizon: seconds.
        most: of them that the forecaster looks ahead.
        rate: of steps, Hz.

    Raises:
        InputError: if it is no such number of seconds.
    """
    if not is_real(horizon) or not 0 < horizon <= most:
        raise InputError(f"got horizon={shown(horizon)}; this forecaster looks up to {most:g} s ahead")
    return max(1, round(min(float(horizon), most) * rate))  # a number of 32 bits may be a little more


def _refuse_too_many(numbers: Numbers) -> None:
    """Refuses options each of which makes sense, but that together ask for more than there is room or time for."""
    rate, horizon, learn_every, max_gap, *_, max_slots = numbers
    if not 1 <= horizon * rate <= _MOST_STEPS or learn_every * rate > _LARGEST:
        raise InputError(
            f"got horizon={horizon}, rate={rate}, learn_every={learn_every}; a forecast of 1 to {_MOST_STEPS} steps "
            "was expected: that is not one step, or too many"
        )
    if not max(rate, max_gap * rate) <= _MOST_STEPS:
        raise InputError(
            f"got rate={rate:g}, max_gap={max_gap:g}; at most {_MOST_STEPS} samples a second, and as many made up "
            "between two updates, were expected: give a lower rate, or a shorter gap"
        )
    if max_slots * round(horizon * rate) > _MOST_NUMBERS:
        raise InputError(
            f"got max_slots={max_slots} and {round(horizon * rate)} steps; at most {_MOST_NUMBERS} steps in all slots "
            "were expected: give fewer slots, a shorter horizon or a lower rate"
        )
