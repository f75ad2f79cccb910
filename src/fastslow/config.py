"""Options as plain values, checked against a dataclass: each key once, each value of its type and within its bounds."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.files import read_text

T = TypeVar("T")
#: The largest file of options that is read, bytes: reading YAML takes some 10 seconds a MiB.
MAX_YAML_BYTES = 2**16
#: Of a type; made once, since that takes milliseconds.
_adapter: Callable[[Any], Any] = functools.cache(TypeAdapter)
#: What a bound is called in a type, and in a message.
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def parse(kind: type[T], values: Mapping[str, Any]) -> T:
    """Builds a dataclass from plain values, each checked against its type and bounds.

    Types are strict, as in JSON: 5 is a float too, a list a tuple, a text a path; but "5" and true are no numbers, 5.0
    is no whole one, and no number may be NaN or infinite.

    Args:
        kind: the dataclass. A bound stands in a field's type: `Annotated[int, Ge(2)]` of `annotated_types`.
        values: by field; dataclasses inside are values by field again.

    Raises:
        ValueError: if a key is unknown or missing, or a value has the wrong type or is out of bounds; the message names
            it.
    """
    _refuse_unknown_keys(kind, values)
    _refuse_non_finite(values, [])
    try:
        text = json.dumps(values, default=_as_json)
    except (TypeError, ValueError) as error:
        raise InputError(f"got {shown(values)}; only plain values can be options ({shown_reason(error)})") from error
    try:
        built: T = _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        cause = error.errors()[0].get("ctx", {}).get("error")
        raise cause if isinstance(cause, InputError) else InputError(_in_words(error)) from error
    _refuse_unknown_inside(built, values)
    return built


def check(options: object) -> None:
    """Checks a dataclass as `parse` does: for its `__post_init__`, so that types and bounds hold however it is made.

    Raises:
        ValueError: at the first field of another type or out of bounds; the message names it.
    """
    kind: Any = type(options)
    for name, adapter in _adapters(kind).items():
        value = getattr(options, name)
        _refuse_non_finite(value, [name])
        try:
            adapter.validate_python(value, strict=True)
        except ValidationError as error:
            raise InputError(_in_words(error, name)) from error


def load_config(path: str | Path) -> dict[str, Any]:
    """Reads options from a YAML file of one mapping, by the stricter rules of YAML 1.2 where 1.1 surprises.

    1e-3 is a number. 1:30 and dates are texts. Refused are a key given twice, whole numbers that
    begin with 0 (1.1 reads them to the base of 8), aliases and tags.

    Raises:
        ValueError: if the file is missing, no mapping, or refused; the message names it.
    """
    content = _read_yaml(read_text(path, MAX_YAML_BYTES), shown_path(path))
    if not isinstance(content, dict):
        raise InputError(
            f"{shown_path(path)} holds {type(content).__name__}; a mapping of options to values was expected"
        )
    return content


def read_value(text: str) -> object:
    """The value that a text on the command line means, as it would in a file of options.

    Raises:
        ValueError: if it is no YAML.
    """
    return _read_yaml(text, shown(text))


def write_value(value: object) -> str:
    """The text that `read_value` reads back as this plain value: as bare as it can be."""
    if isinstance(value, str):
        try:
            bare = read_value(value) == value
        except InputError:
            bare = False
        return value if bare else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


@functools.cache
def _adapters(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: TypeAdapter(hints[field.name]) for field in dataclasses.fields(kind)}


def _as_json(value: object) -> object:
    """What a value that JSON has no word for is in plain ones."""
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{shown(value)} is none")


def _refuse_unknown_keys(kind: type[Any], values: Mapping[str, Any]) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    unknown = sorted(set(values) - set(names), key=str)
    if unknown:
        raise InputError(f"unknown option {shown(unknown[0])}; the options are {', '.join(names)}")


def _refuse_unknown_inside(built: object, values: object) -> None:
    """The same for the dataclasses inside, which pydantic lets have any keys."""
    if not isinstance(values, Mapping):
        return
    if dataclasses.is_dataclass(built):
        _refuse_unknown_keys(type(built), values)
        parts = vars(built)
    else:
        parts = dict(built) if isinstance(built, Mapping) else {}
    for name, value in values.items():
        _refuse_unknown_inside(parts.get(name), value)


def _refuse_non_finite(value: object, way: list[str]) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"got {'.'.join(way)}={value}; it must be a finite number")
    if len(way) > 64:
        raise InputError(f"got {'.'.join(way[:3])}... nested more than 64 levels deep; give plain values")
    if isinstance(value, Mapping | list | tuple):
        for name, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            _refuse_non_finite(item, [*way, str(name)])


def _in_words(error: ValidationError, *outer: str) -> str:
    first = error.errors()[0]
    option = ".".join(str(part) for part in (*outer, *first["loc"]))
    if first["type"] == "json_invalid":
        return f"got a text with half a character in it ({first['ctx']['error']}); give text in UTF-8"
    if first["type"] == "missing":
        return f"option {option} is missing; give it a value"
    for name, words in _BOUNDS.items():
        if name in first.get("ctx", {}):
            return f"got {option}={shown(first['input'])}; it must be {words} {first['ctx'][name]}"
    reason = first["msg"].replace("Input should be", "it must be")
    return f"got {option}={shown(first['input'])}; {reason[:1].lower()}{reason[1:]}"


def _read_yaml(text: str, name: str) -> object:
    try:
        return yaml.load(text, _Loader)  # a SafeLoader with less
    except RecursionError as error:
        raise InputError(f"{name} is nested too deep; give options by name") from error
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or shown_reason(error)
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f", line {mark.line + 1}"
        raise InputError(f"{name}{line} cannot be read as YAML: {reason[:200]}") from error


class _Loader(yaml.SafeLoader):
    """YAML without the parts that change a value, or its size, behind the reader's back."""

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
            raise _refusal("an alias, an anchor or a tag; write the value out", event.start_mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise _refusal(f"{shown(key.value)} is given twice; delete one of them", key.start_mark)
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)

    def construct_whole(self, node: yaml.ScalarNode) -> int:
        digits = node.value.lstrip("+-").replace("_", "")
        if re.fullmatch("0[0-9]+", digits):
            meanings = [str(int(digits)), *([str(int(digits, 8))] if set(digits) <= set("01234567") else [])]
            raise _refusal(f"{shown(node.value)} begins with 0; write {' or '.join(meanings)}", node.start_mark)
        return int(self.construct_yaml_int(node))


def _refusal(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_whole)
#: YAML 1.2's numbers in place of 1.1's; dates, merges and "=" are text.
_REPLACED = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp", "merge", "value")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in _REPLACED]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_WHOLE = re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^([-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _WHOLE, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
