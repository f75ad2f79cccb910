"""Readers of JSON and YAML: results, metrics, options, and the page and the table that are made of them."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import yaml

from fastslow.config import load_config, parse
from fastslow.protocol.result import LARGEST_FILE, Result, read_result, write_result
from fastslow.report import html, page
from fastslow.report.metrics import read_metrics
from fastslow.report.sources import read_source
from fastslow.report.tables import read_results, results_page
from fastslow.studies.fewshot_config import FewShotConfig
from mutations import damage, damage_json, damage_values
from result_sample import GRADIENTS, METRICS, OPTIONS, fewshot_result, measured
from robustness.harness import Reader

RUN = {
    "result.json": [dataclasses.asdict(fewshot_result(measured()))],
    "config.json": [OPTIONS],
    "metrics.jsonl": [METRICS[0], METRICS[0] | {"stage": "memory", "gradients": GRADIENTS}],
}
YAML = {
    "steps": 20, "way": 7, "shares": [1.0, 0.5, 0], "model": {"num_slots": 9, "channels": [4, 8, 8]},
    "name": "Glyphen é", "precision": "auto", "test": False, "fit_weight": 1e-3,
}  # fmt: skip
_MIB = 2**20
#: JSON that is small and takes long, or that takes many times its size in memory.
HOSTILE = {
    "deep lists": lambda: b"[" * (8 * _MIB),
    "deep objects": lambda: b'{"a":' * (_MIB),
    "empty lists": lambda: b'{"a":[' + b"[]," * (8 * _MIB // 3 - 10) + b"1]}\n",
    "empty objects": lambda: b'{"a":[' + b"{}," * (8 * _MIB // 3 - 10) + b"1]}\n",
    "short keys": lambda: b"{" + b",".join(b'"%x":0' % i for i in range(600_000)) + b"}\n",
    "one key again and again": lambda: b"{" + b'"a":0,' * (_MIB) + b'"b":1}\n',
    "long number": lambda: b'{"a":' + b"9" * (4 * _MIB) + b"}\n",
    "small objects": lambda: b'{"a":[' + b'{"b":{"c":[1.5]}},' * (8 * _MIB // 18 - 10) + b"1]}\n",
    "as much as is read": lambda: b'{"a":[' + b'{"b":{"c":[1.5]}},' * (LARGEST_FILE // 18 - 10) + b"1]}\n",
    "lines of nothing": lambda: b"{}\n" * (2 * _MIB), "lines of little": lambda: json_content("metrics.jsonl") * 12_000,
    "zeros": lambda: 40 * _MIB,
}  # fmt: skip


def json_content(name: str) -> bytes:
    """The undamaged file."""
    return "".join(json.dumps(line) + "\n" for line in RUN[name]).encode()


def damaged_file(name: str, random: Random) -> bytes:
    """A damaged file of a run folder."""
    return damage_json(RUN[name], random, 2 if name.endswith(".json") else None)


def write_run(folder: Path, damaged: tuple[str, bytes] | None = None) -> None:
    """A run folder of which one file may be damaged."""
    folder.mkdir(exist_ok=True)
    for name in RUN:
        (folder / name).write_bytes(damaged[1] if damaged and damaged[0] == name else json_content(name))


def result_reader(folder: Path) -> Reader:
    """One result file."""

    def judge(result: Result) -> str:
        write_result(folder / "again.json", result)
        if read_result(folder / "again.json") != result or not all(map(_fits, result.numbers.values())):
            return f"no result has {result}"[:500]
        return "identical" if result == fewshot_result(measured()) else "different"

    return _json_reader("result", folder / "result.json", read_result, judge)


def metrics_reader(folder: Path) -> Reader:
    """The lines that a run logged."""
    path = folder / "metrics.jsonl"
    path.write_bytes(json_content(path.name))
    original = read_metrics(path)

    def judge(points: list[Any]) -> str:
        for point in points:
            bounded = 0 <= point.validation <= 1 and 0 <= point.done <= 1 and type(point.stage) is str
            if not (bounded and math.isfinite(point.loss) and math.isfinite(point.seconds) and point.step >= 0):
                return f"no run logs {point}"[:500]
        return "identical" if repr(points) == repr(original) else "different"

    return _json_reader("metrics", path, read_metrics, judge)


def config_reader(folder: Path) -> Reader:
    """The options that a run wrote down, as the report takes them."""

    def judge(source: Any) -> str:
        again = json.loads(json.dumps(source.config, allow_nan=False))
        if again != source.config or not (source.n_way is None or (type(source.n_way) is int and source.n_way > 1)):
            return f"no run has {source.config}"[:500]
        return "identical" if source.config == OPTIONS else "different"

    return _json_reader("config", folder / "config.json", lambda path: read_source(path.parent), judge)


def yaml_reader(folder: Path) -> Reader:
    """A file of options and the options of a training that they are."""
    path, text = folder / "options.yaml", yaml.safe_dump(YAML, allow_unicode=True)

    def write(random: Random) -> None:
        changed = yaml.safe_dump(damage_values(YAML, random), allow_unicode=True) if random.randint(0, 1) else text
        content = changed.encode("utf-8", "replace")
        path.write_bytes(content if changed != text else damage(content, random))

    def judge(config: FewShotConfig) -> str:
        fits = type(config.way) is int and config.way >= 2 and type(config.test) is bool
        fits = fits and all(type(share) is float and math.isfinite(share) for share in config.shares)
        if not fits or parse(FewShotConfig, config.plain()) != config:
            return f"no options are {config}"[:500]
        return "identical" if config == parse(FewShotConfig, YAML) else "different"

    hostile = {
        "brackets": lambda: b"a: " + b"[" * 60_000, "keys": lambda: b"".join(b"k%d: 1\n" % i for i in range(6000)),
        "commas": lambda: b"a: [" + b"1," * 32_000 + b"]", "anchors": lambda: b"a: &a [*a, *a]\n" * 1000,
        "indents": lambda: b"".join(b" " * i + b"a:\n" for i in range(350)), "zeros": lambda: 40 * _MIB,
    }  # fmt: skip
    return Reader(
        "options in YAML", write, lambda: parse(FewShotConfig, load_config(path)), judge, target=path,
        hostile=hostile,
    )  # fmt: skip


def page_reader(folder: Path) -> Reader:
    """The report of a damaged run folder. Pictures are not drawn, but their data are made."""
    out = folder / "page.html"

    def write(random: Random) -> None:
        name = random.choice(sorted(RUN))
        write_run(folder / "run", (name, damaged_file(name, random)))

    def read() -> str:
        with mock.patch.object(html, "picture", lambda figure, caption: f"{figure.frame().keys()}{html.text(caption)}"):
            page.write_report([folder / "run"], out)
        return out.read_text(encoding="utf-8")

    write_run(folder / "run")
    original = read()

    def judge(text: str) -> str:
        return "identical" if text == original else "different" if text.rstrip().endswith("</html>") else "half a page"

    return Reader("report page", write, read, judge, names=tuple(RUN))


def table_reader(folder: Path) -> Reader:
    """The table of a damaged result."""
    path = folder / "one result.json"

    def read() -> tuple[Result, str]:
        (result,) = read_results([path])
        return result, results_page([result])

    def judge(got: tuple[Result, str]) -> str:
        result, text = got
        number = next(iter(result.numbers.values()))
        if not _fits(number) or (number.unit == "share" and f"{100 * number.mean:.2f} (1)" not in text):
            return f"it is tabulated as {text}"[:500]
        return "identical" if result == fewshot_result(measured()) else "different"

    def write(random: Random) -> None:
        path.write_bytes(damaged_file("result.json", random))

    return Reader("table", write, read, judge, names=(path.name,))


def _fits(number: Any) -> bool:
    least, most = (0, 1) if number.unit == "share" else (-1e15, 1e15)
    return type(number.mean) is float and least <= number.mean <= most and type(number.count) is int


def _json_reader(name: str, path: Path, read: Callable[[Path], Any], judge: Callable[[Any], str]) -> Reader:
    return Reader(
        name, lambda random: path.write_bytes(damaged_file(path.name, random)), lambda: read(path), judge, (path.name,),
        path, HOSTILE,
    )  # fmt: skip
