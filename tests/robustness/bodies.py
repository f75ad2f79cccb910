"""Bodies that are wrong in many ways, each surely wrong."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

JSON = {"Content-Type": "application/json"}
PATHS = ("/learn", "/predict", "/forget", "/undo")


class Wrong(NamedTuple):
    """A request that is to be refused."""

    path: str
    body: bytes
    headers: dict[str, str] = JSON


def png(width: int = 28, height: int = 28, seed: int = 0) -> bytes:
    """A drawing of two strokes."""
    pixels = np.zeros((height, width), np.uint8)
    across, down = np.random.default_rng(seed).integers(4, min(width, height) - 4, 2)
    pixels[3:-3, across] = pixels[down, 3:-3] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def right(images: bool, path: str) -> dict[str, Any]:
    """A body that a learner would take."""
    shown: dict[str, Any] = {"images": [text(png())]} if images else {"vectors": [[0.5] * 8]}
    more: dict[str, dict[str, Any]] = {
        "/learn": {**shown, "labels": ["a"]}, "/predict": shown, "/forget": {"label": "a"}, "/undo": {},
    }  # fmt: skip
    return more[path]


def _cut(random: Random, body: dict[str, Any]) -> bytes:
    content = json.dumps(body).encode()
    return content[: random.randrange(len(content))]


def _bytes(random: Random, body: dict[str, Any]) -> bytes:
    return b"\xff" + random.randbytes(random.randrange(200))


def _other_json(random: Random, body: dict[str, Any]) -> bytes:
    return random.choice([b"[]", b"null", b"1", b'"a"', b"true", b"[" * 5000, b'{"a":' * 3000, b"1e999", b"{}{}"])


def _superfluous(random: Random, body: dict[str, Any]) -> bytes:
    return json.dumps({**body, random.choice(["label ", "", "do", "é", "x" * 5000, "\n"]): 1}).encode()


def _twice(random: Random, body: dict[str, Any]) -> bytes:
    name = random.choice([*body, "a"])
    return f'{{"{name}": 1, "{name}": 2}}'.encode()


def _strange(random: Random) -> Any:
    return random.choice([
        None, True, 1.5, -1, "", "a", [], {}, [[]], [[[]]], [None], [["a"]], [[True]], {"a": [1]}, 10**400, "\ud800",
        ["\ud800"], [10**400], [[10**400]], [[1e39] * 8], [[float("nan")] * 8], [[float("inf")] * 8], [[0.5] * 7],
        [[0.5] * 8, [0.5]], "x" * 300, [1.5], ["a", "b"], [[0.5] * 5000],
    ])  # fmt: skip


def _replaced(random: Random, body: dict[str, Any]) -> bytes:
    """Another value, of a kind that its field never takes."""
    name = random.choice(list(body)) if body else "label"
    value = _strange(random)
    takes: Callable[[Any], bool] = {
        "label": lambda v: True, "labels": lambda v: v == [], "images": lambda v: False, "vectors": lambda v: False,
    }.get(name, lambda v: False)  # fmt: skip
    if takes(value):
        value = [[]]
    return json.dumps({**body, name: value}).encode()


def _image(random: Random, body: dict[str, Any]) -> bytes:
    whole = png()
    content = random.choice([
        whole[: random.randrange(8, len(whole) - 20)], b"GIF89a" + random.randbytes(40), random.randbytes(60),
        png(5000, 5000), png(27, 28), b"", b"%PDF-1.4",
    ])  # fmt: skip
    shown = {"images": [random.choice([text(content), text(content)[:-3], "*" * 9, "é"])]}
    return json.dumps({**body, **shown} if "vectors" not in body else {"labels": ["a"], **shown}).encode()


_WAYS = (_cut, _bytes, _other_json, _superfluous, _twice, _replaced, _image)


def wrong(count: int, seed: int, *, images: bool, max_bytes: int) -> Iterator[Wrong]:
    """Requests that are to be refused.

    Args:
        count: how many.
        seed: of them.
        images: whether the learner takes images; else vectors of 8 numbers.
        max_bytes: the largest body that is read.
    """
    random = Random(seed)
    for number in range(count):
        path = random.choice(PATHS)
        body = right(images, path)
        if number % 100 == 0:
            yield Wrong(path, b" " * (max_bytes + 1))
        elif number % 50 == 0:
            kinds = ("text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data; boundary=a")
            yield Wrong(path, json.dumps(body).encode(), {"Content-Type": random.choice(kinds)})
        else:
            yield Wrong(path, random.choice(_WAYS)(random, body))


def fault(asked: Wrong, status: int, content: bytes) -> str | None:
    """What is wrong with an answer to a wrong request."""
    about = f"{asked.path} {asked.body[:80]!r}"
    if not 400 <= status < 500:
        return f"{about} was answered by {status}: {content[:200]!r}"
    try:
        answer = json.loads(content)
    except ValueError:
        return f"{about} was answered by no JSON: {content[:200]!r}"
    if list(answer) != ["error"] or not isinstance(answer["error"], str) or "\n" in answer["error"]:
        return f"{about} was answered by {content[:200]!r}"
    if b"\n" in content or b"Traceback" in content or b" at 0x" in content or len(content) > 1000:
        return f"{about} was answered at length: {content[:200]!r}"
    return None
