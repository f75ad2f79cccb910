"""Flags made from a dataclass of options: one flag a field, its docstring the help, unset where not given."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import cyclopts

from fastslow.config import load_config, parse

T = TypeVar("T")


def field_docs(kind: type) -> dict[str, str]:
    """The docstring under each field of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    docs = {}
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{field.target.id} has no docstring"
            assert isinstance(text.value, ast.Constant), f"{field.target.id} has no docstring"
            docs[field.target.id] = f"{text.value.value!s} [default: {_default(kind, field.target.id)}]"
    return docs


def _default(kind: type, name: str) -> object:
    field = kind.__dataclass_fields__[name]  # type: ignore[attr-defined]
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()


def flags_of(kind: type) -> type:
    """A dataclass with the fields of `kind`, each of them None until its flag is given."""
    hints, docs = get_type_hints(kind), field_docs(kind)
    fields = [
        (
            field.name,
            Annotated[hints[field.name] | None, cyclopts.Parameter(help=docs[field.name], show_default=False)],
            None,
        )
        for field in dataclasses.fields(kind)
    ]
    flags = dataclasses.make_dataclass(f"{kind.__name__}Flags", fields, frozen=True)
    flags.__module__ = __name__  # cyclopts leaves classes of the standard library's modules unopened
    return flags


def resolve(kind: type[T], config: Path | None, flags: Any) -> T:  # noqa: ANN401 - a class made at run time
    """The options: those of the YAML file, over them the flags that were given, the defaults elsewhere.

    Raises:
        ValueError: if an option is unknown or has a wrong value.
    """
    values = load_config(config) if config is not None else {}
    if flags is not None:
        given = {field.name: getattr(flags, field.name) for field in dataclasses.fields(flags)}
        values |= {name: value for name, value in given.items() if value is not None}
    return parse(kind, values)
