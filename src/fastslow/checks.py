"""Checks of numbers that users give; needs neither torch nor NumPy, though numbers of NumPy are taken."""

from __future__ import annotations

import contextlib
import math
import numbers
import sys
from typing import Any

from fastslow.errors import InputError, shown

_MOST = 2**63 - 1


def is_real(value: object) -> bool:
    """Whether a value is one real number, of Python or NumPy; `True` and a span of time are none."""
    return not isinstance(value, bool) and isinstance(value, numbers.Real) and not _is_span(value)


def refuse_unless_whole(name: str, value: Any, least: int, most: int = _MOST) -> int:  # noqa: ANN401 - from users
    """Refuses what is no whole number from `least` to `most`; `True` is none.

    Returns:
        The number as Python's own, which does not overflow and can be written to JSON: keep that, for NumPy's are taken
        too.

    Raises:
        InputError: the message has the name, the value and the bound.
    """
    if not is_real(value) or not isinstance(value, numbers.Integral) or (number := int(value)) < least:
        raise InputError(f"{name} is {shown(value)}; give a whole number of at least {least}")
    if number > most:
        raise InputError(f"{name} is {shown(value)}; give a whole number of at most {most}")
    return number


def refuse_unless_positive(name: str, value: Any, unit: str = "") -> float:  # noqa: ANN401 - from users
    """Refuses what is no positive number that a float can hold; `True` is none. `unit` is what it is in, for messages.

    Returns:
        The number as a float of Python: keep that, for NumPy's are taken too.

    Raises:
        InputError: the message has the name and the value.
    """
    number = math.nan
    if is_real(value):
        with contextlib.suppress(OverflowError):
            number = float(value)
    if not 0 < number < math.inf:
        raise InputError(f"got {name}={shown(value)}; a positive number was expected{unit and ', ' + unit}")
    return number


def refuse_unless_flag(name: str, value: Any) -> bool:  # noqa: ANN401 - from users
    """Refuses what is neither true nor false, as the text "false", which Python takes for true; 0 and 1 are taken.

    Returns:
        The flag as Python's own: keep that, for NumPy's are taken too.

    Raises:
        InputError: the message has the name and the value.
    """
    if not (isinstance(value, bool) or _is_numpys_flag(value) or (is_real(value) and value in (0, 1))):
        raise InputError(f"got {name}={shown(value)}; True or False was expected")
    return bool(value)


def _is_numpys_flag(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.bool_)


def _is_span(value: object) -> bool:
    """Whether a value is NumPy's span of time, which calls itself a whole number; who has one has NumPy."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.timedelta64)
