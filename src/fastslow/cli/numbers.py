"""Whole numbers on the command line: taken as they are written, or refused."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import cyclopts


def exactly(kind: Any, tokens: Sequence[cyclopts.Token] | Mapping[str, Any]) -> Any:  # noqa: ANN401 - any type of a flag
    """Reads a flag's text as cyclopts does, but refuses a fraction for a whole number: cyclopts rounds 2.6 to 3.

    Args:
        kind: the flag's type.
        tokens: the text given; by name for a flag with names below it, as `--model.dim`.

    Raises:
        ValueError: if a whole number is asked for and the text is none.
    """
    if _given(kind) is int and not isinstance(tokens, Mapping):
        return int(tokens[0].value)
    return cyclopts.convert(kind, tokens)  # type: ignore[arg-type]


def _given(kind: Any) -> Any:  # noqa: ANN401 - any type of a flag
    """The type of a flag that is given: without None, which says that it is not, and without notes on it."""
    if get_origin(kind) is Annotated:
        return _given(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        others = {_given(part) for part in get_args(kind)} - {types.NoneType}
        return others.pop() if len(others) == 1 else kind
    return kind
