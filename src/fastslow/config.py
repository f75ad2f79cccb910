"""Options as plain values, checked against a dataclass."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from fastslow.errors import InputError

T = TypeVar("T")


def parse(kind: type[T], values: dict[str, Any]) -> T:
    """Builds a dataclass from plain values, each checked against its type.

    Raises:
        ValueError: if a key is unknown or a value has the wrong type; the message names it.
    """
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(known), key=str)
    if unknown:
        raise InputError(f"unknown option {unknown[0]!r}; the options are {', '.join(known)}")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            raise cause from error
        option = ".".join(str(part) for part in first["loc"])
        raise InputError(f"option {option}: {first['input']!r} came; {first['msg'].lower()}") from error


def load_config(path: Path) -> dict[str, Any]:
    """Reads options from a YAML file of one mapping.

    Raises:
        ValueError: if the file is missing or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"there is no configuration file {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}; a mapping of options to values was expected")
    return content
