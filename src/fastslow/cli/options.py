"""Flags made from a dataclass of options, and what was given: those of a YAML file, over them the flags.

cyclopts opens a dataclass into flags and reads YAML, but it builds the dataclass itself, and it turns YAML into text
first: a resumed run could not tell what was given from what is a default, and "5" would pass for 5. It does fill a
typed dictionary with nothing but what was given, so that is what a dataclass of options is turned into here.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict, get_type_hints

import cyclopts
import docstring_parser

from fastslow.config import load_config, read_value
from fastslow.errors import InputError


def flags_of(kind: type) -> Any:  # noqa: ANN401 - a type made at run time
    """The typed dictionary of the fields of a dataclass, for `Parameter(name="*")`: holds the flags that were given."""
    docs = {field.arg_name: field.description or "" for field in docstring_parser.parse_from_object(kind).params}
    hints = get_type_hints(kind)
    fields = {}
    for field in dataclasses.fields(kind):
        text = " ".join(docs[field.name].split())
        if (default := _default(field)) not in (None, {}):  # which say that there is none, as with other commands
            text += f" [default: {default}]"
        fields[field.name] = Annotated[hints[field.name], cyclopts.Parameter(help=text)]
    return TypedDict(f"{kind.__name__}Flags", fields, total=False)  # type: ignore[operator]


def _default(field: dataclasses.Field[Any]) -> object:
    return field.default_factory() if callable(field.default_factory) else field.default


def given_options(config: Path | None, flags: Mapping[str, Any] | None, **nested: type) -> dict[str, Any]:
    """The options that were given and no others: those of the YAML file, over them those of the flags.

    Args:
        config: YAML file; None for flags alone.
        flags: as of `flags_of`; None for none.
        nested: dataclasses by the name of the option whose single fields flags give as text, as in `--model.dim 16`;
            a field that the file gives too is replaced, the file's others stay.

    Raises:
        ValueError: if the file cannot be read, or a nested field is given twice.
    """
    options = {} if config is None else load_config(config)
    for name, value in (flags or {}).items():
        if name in nested:
            below = options.get(name)
            fields = read_texts(nested[name], value)
            options[name] = {**_underscored(below), **fields} if isinstance(below, dict) else fields
        else:
            options[name] = value
    return options


def read_texts(kind: type, texts: Mapping[str, str]) -> dict[str, Any]:
    """Plain values from text, by field of a dataclass: what the text would be in a file of options.

    Where its field would not take that, as with `true` for one of "synthetic" and "true", the text stays. What no field
    takes stays too: whoever builds `kind` refuses it, in words and beside what there is.

    Raises:
        ValueError: if a field is given twice.
    """
    if len(_underscored(texts)) < len(texts):
        raise InputError(f"got one option twice in {', '.join(texts)}; give each of them once")
    hints = get_type_hints(kind)
    return {name: _read(hints.get(name, Any), text) for name, text in _underscored(texts).items()}


def _read(hint: Any, text: str) -> object:  # noqa: ANN401 - any type of a field
    from pydantic import TypeAdapter, ValidationError

    try:
        value = read_value(text)
        TypeAdapter(hint).validate_json(json.dumps(value), strict=True)
    except (ValidationError, InputError):
        return text
    return value


def _underscored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).replace("-", "_"): value for name, value in values.items()}
