"""Readers of what leaves the library: a folder of exported graphs, and a project that the page of `play` saved.

Half of the damage is done to bytes, which a checksum has to find where there is one; half to values, by someone who
writes the right checksum too.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from exported_sample import SMALL, built, types_unchecked
from fastslow.export.folder import export_model
from fastslow.play.taught import FORMAT, Taught, load_taught
from fastslow.runtime import ExportedClassifier
from fastslow.runtime.drawings import trial_drawings
from fastslow.runtime.manifest import EMBED_INT8, FILES, MANIFEST, sealed
from mutations import ODD, damage, damage_json, damage_values
from robustness.harness import Reader

_MIB = 2**20
_READ = tuple(name for name in FILES if name != EMBED_INT8)
#: Of a graph of a few thousand bytes, few are its structure; weights are left alone as often.
_NAMES = (b"Conv", b"Gemm", b"MatMul", b"Softmax", b"features", b"labels", b"state.slots", b"after.usage", b"float")


def exported_reader(folder: Path) -> Reader:
    """An exported model, learned from and asked."""
    out = folder / "exported"
    with types_unchecked():
        export_model(built(name="default", **SMALL), out)
    contents = {name: (out / name).read_bytes() for name in (*FILES, MANIFEST)}
    said, drawings = json.loads(contents[MANIFEST]), trial_drawings(28)
    odd, hit = tuple(value for value in ODD if value == value), [MANIFEST, MANIFEST]

    def restore() -> None:
        for name in hit:
            (out / name).write_bytes(contents[name])

    def vouched(change: dict[str, Any]) -> bytes:
        return json.dumps(sealed({name: value for name, value in change.items() if name != "sha256"})).encode()

    def write(random: Random) -> None:
        restore()
        name = hit[0] = random.choice([MANIFEST, MANIFEST, *_READ])
        if random.randint(0, 1):
            (out / name).write_bytes(damage(contents[name], random))
        elif name == MANIFEST:
            values = damage_values(said, random, odd)
            (out / name).write_bytes(_or_bytes(lambda: vouched(values), contents[name], random))
        else:
            content = _other_graph(contents, name, random)
            (out / name).write_bytes(content)
            files = said["files"] | {name: hashlib.sha256(content).hexdigest()}
            (out / MANIFEST).write_bytes(vouched({**said, "files": files}))

    def read() -> tuple[ExportedClassifier, np.ndarray]:
        model = ExportedClassifier(out, threads=1)
        model.self_test()
        model.learn(drawings[:2], ["bar", "cross"])
        return model, model.predict_proba(drawings)

    original = read()[1]

    def judge(got: Any) -> str:
        model, shares = got
        if shares.shape != (3, 2) or not np.allclose(shares.sum(1), 1, atol=1e-5):
            return f"it answers {shares}"[:300]
        if not 2 <= model.max_classes <= 100_000 or model.classes != ("bar", "cross"):
            return f"it has {model.max_classes} classes, {model.classes}"[:300]
        return "identical" if np.abs(shares - original).max() < 1e-3 else "different"

    def whole(make: Callable[[], bytes | int]) -> Callable[[], bytes | int]:
        return lambda: [restore()] and make()

    many = {**said, "expected": [[0.0] * 60_000] * 3, "num_classes": 60_000}
    hostile = {
        "zeros": lambda: 40 * _MIB, "more zeros": lambda: 2**40, "many classes": lambda: vouched(many),
        "many names": lambda: vouched({**said, "state": [f"s{k}" for k in range(100_000)]}),
        "deep": lambda: b'{"details":' * 100_000,
    }  # fmt: skip
    names = (*FILES, MANIFEST, out.name, "this model's memory holds 1")  # which a manifest may say
    return Reader(
        "exported model", write, read, judge, names, out / MANIFEST, {k: whole(v) for k, v in hostile.items()}
    )


def _or_bytes(make: Callable[[], bytes], content: bytes, random: Random) -> bytes:
    """What cannot be written as JSON in UTF-8 becomes damaged bytes."""
    try:
        return make()
    except (TypeError, ValueError):
        return damage(content, random)


def _other_graph(contents: dict[str, bytes], name: str, random: Random) -> bytes:
    """Another graph's bytes, or these with a name of an operator or of a tensor changed, or cut."""
    content = contents[name]
    found = [part for part in _NAMES if part in content]
    kind = random.choice(["other", "name", "name", "cut", "head"])
    if kind == "other":
        return contents[random.choice(_READ)]
    if kind == "name" and found:
        part = random.choice(found)
        place = random.choice([at for at in range(len(content)) if content.startswith(part, at)])
        at = place + random.randrange(len(part))
        return content[:at] + bytes([random.choice(b"AZaz09_.")]) + content[at + 1 :]
    return content[: random.randrange(len(content))] if kind == "cut" else damage(content[:64], random) + content[64:]


def taught_reader(folder: Path) -> Reader:
    """A project with three classes, one of them without a drawing, as the page writes it."""
    path, random = folder / "taught.json", np.random.default_rng(0)

    def drawing() -> str:
        return base64.b64encode(random.integers(0, 256, 784, dtype=np.uint8).tobytes()).decode()

    project = {
        "format": FORMAT,
        "classes": [
            {"name": "ka", "drawings": [drawing(), drawing()]}, {"name": "na", "drawings": [drawing()]},
            {"name": "é", "drawings": []},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(project, indent=1), encoding="utf-8")
    original = load_taught(path)

    def write(random: Random) -> None:
        path.write_bytes(damage_json([project], random, indent=1))

    def judge(taught: Taught) -> str:
        if path.stat().st_size > _MIB:
            return "different"  # a hostile one
        classes = json.loads(path.read_bytes())["classes"]
        wanted = [(known["name"], base64.b64decode(one)) for known in classes for one in known["drawings"]]
        got = list(zip(taught.labels, (image.tobytes() for image in taught.images), strict=True))
        if got != wanted or taught.images.shape[1:] != (28, 28) or taught.images.dtype != np.uint8:
            return f"its drawings are {taught.images.shape} of {taught.labels}, not those of the file"[:300]
        if any(not label.strip() or len(label) > 40 for label in taught.labels):
            return f"no page has the names {taught.labels}"[:300]
        if len({known["name"] for known in classes if known["drawings"]}) < sum(bool(k["drawings"]) for k in classes):
            return "two classes have one name"
        same = taught.labels == original.labels and np.array_equal(taught.images, original.images)
        return "identical" if same else "different"

    one = project["classes"][1]
    hostile = {
        "many drawings": lambda: json.dumps({"format": FORMAT, "classes": [{**one, "drawings": [drawing()] * 1900}]}),
        "many classes": lambda: json.dumps({"format": FORMAT, "classes": [{"name": "a", "drawings": []}] * 60_000}),
        "a long drawing": lambda: json.dumps({"format": FORMAT, "classes": [{**one, "drawings": ["A" * _MIB]}]}),
        "deep": lambda: '{"classes":' * 100_000,
    }  # fmt: skip
    ready: dict[str, Callable[[], bytes | int]] = {
        what: (lambda make=make: make().encode()) for what, make in hostile.items()
    }
    ready |= {"zeros": lambda: 40 * _MIB, "more zeros": lambda: 2**40}
    return Reader("taught project", write, lambda: load_taught(path), judge, (path.name,), path, ready)
