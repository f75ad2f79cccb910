"""Damage to valid files and values, for the tests of everything that reads one: drawn by hypothesis or from a seed."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fastslow.errors import InputError

#: The quick share of mutations of one function among many that a reader is made of.
FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: What readers of text stumble over.
_STUMBLING = (
    b"{",
    b"[",
    b'"',
    b",",
    b"NaN",
    b"9e999",
    b"-",
    b"\0",
    b"\xff",
    b": ",
    b"&a",
    b"*a",
    b"!!int ",
    b"0",
    b"\n",
)
#: What no value should be taken for, or what is near a bound.
ODD = (
    None, True, False, 0, -1, 1, 5, 98.7, 10**9, 1e308, -1e308, 10**400, math.nan, math.inf, -math.inf, "", "0.5", "5",
    "|", "$x$", "[/x]", "<b>", "../x", "\n", "\x00", "é", "\ud800", "x" * 6000, [], [1], {}, {"a": 1}, {"": {}},
    [[[[]]]],
)  # fmt: skip


#: What a value of a table should not be taken for, or what is near a bound.
_ODD_FIELDS = (
    b"", b"nan", b"inf", b"-1", b"0", b"1", b"2", b"5", b"0.5", b"1e300", b"-1e300", b"1e-320", b"9e999", b"1e9",
    b"999999999", b"4e9", b"1_0", b"0x1", b" 5 ", b'"7"', b"9" * 400, b"9007199254740993", "\u0663".encode(), b"5.0",
    b"5.5", b"True", b"None", b"a/b", b"#2", b"x" * 200, b"1,5", b"+3", b"3.", b".5", b"1e", b"bicycle", b"Biker",
)  # fmt: skip


def damage(content: bytes, random: Random) -> bytes:
    """The bytes with some flipped, cut off, put in, repeated or dropped."""
    damaged = bytearray(content)
    for _ in range(random.randint(1, 3)):
        place = random.randint(0, max(0, len(damaged) - 1))
        kind = random.choice(["flip", "cut", "put", "repeat", "drop"])
        if kind == "flip" and damaged:
            damaged[place] ^= 1 << random.randint(0, 7)
        elif kind == "cut":
            del damaged[place:]
        elif kind == "put":
            damaged[place:place] = random.choice(_STUMBLING)
        elif kind == "repeat":
            damaged[place:place] = damaged[place : place + random.randint(1, 40)]
        else:
            del damaged[place : place + random.randint(1, 8)]
    return bytes(damaged)


def damage_rows(content: bytes, random: Random, delimiter: bytes) -> bytes:
    """A table with some values replaced, by odd ones or those of other places, and lines moved, repeated or dropped."""
    rows = [line.split(delimiter) for line in content.split(b"\n")]
    for _ in range(random.randint(1, 3)):
        place, other = random.randrange(len(rows)), random.randrange(len(rows))
        kind = random.choice(["odd", "odd", "odd", "value", "move", "repeat", "drop"])
        if kind == "odd":
            rows[place][random.randrange(len(rows[place]))] = random.choice(_ODD_FIELDS)
        elif kind == "value":
            rows[place][random.randrange(len(rows[place]))] = random.choice(rows[other])
        elif kind == "repeat" or len(rows) < 2:
            rows.insert(other, list(rows[place]))
        else:
            row = rows.pop(place)
            rows[other:other] = [row] if kind == "move" else []
    return b"\n".join(map(delimiter.join, rows))


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """`damage`, drawn by hypothesis."""
    return st.randoms(use_true_random=False).map(lambda random: damage(content, random))


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values in nested mappings and lists."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*at, name))


def damage_values(value: Any, random: Random, odd: tuple[Any, ...] = ODD) -> Any:
    """A copy of nested mappings and lists with one to three values replaced by odd ones, deleted or added."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        *path, last = random.choice([at for at in places(value) if at] or [(None,)])
        if last is None:
            return value
        parent = value
        for part in path:
            parent = parent[part]
        kind = random.choice(["replace", "replace", "delete", "add"])
        if kind == "delete":
            del parent[last]
        elif kind == "add" and isinstance(parent, dict):
            parent[random.choice(["", "a", "é", "schema"])] = copy.deepcopy(random.choice(odd))
        else:
            parent[last] = copy.deepcopy(random.choice(odd))
    return value


def damage_json(lines: list[Any], random: Random, indent: int | None = None) -> bytes:
    """JSON, one line or more, with values damaged, or bytes, or both."""
    values = damage_values(lines, random) if random.randint(0, 3) else lines
    content = "".join(json.dumps(line, indent=indent) + "\n" for line in values).encode()
    return content if values is not lines and random.randint(0, 1) else damage(content, random)


def attempt(read: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """What a reader gives, or None and the message of its refusal; any other error is one of the test."""
    try:
        return read(*arguments), ""
    except InputError as error:
        return None, str(error)
