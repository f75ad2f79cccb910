"""Small files, small classes, small functions: bounds that a design which grows by flags runs into first."""

from __future__ import annotations

import ast
from pathlib import Path

import fastslow

FILES = sorted(Path(fastslow.__file__).parent.rglob("*.py"))
FILE_LINES, CLASS_LINES, CLASS_METHODS, BODY_LINES = 300, 200, 15, 30


def nodes(kind):
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield path.name, node


def body_lines(function):
    """Lines of a function's body without its docstring."""
    statements = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return statements[-1].end_lineno - statements[0].lineno + 1 if statements else 0


def test_no_file_is_over_300_lines():
    lengths = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_no_class_is_over_200_lines_or_15_methods():
    found = {}
    for name, node in nodes(ast.ClassDef):
        lines = node.end_lineno - node.lineno + 1
        methods = sum(isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) for part in node.body)
        if lines > CLASS_LINES or methods > CLASS_METHODS:
            found[f"{name}: {node.name}"] = (lines, methods)
    assert found == {}


def test_at_most_one_function_in_twenty_has_a_body_of_over_30_lines():
    functions = [(name, node) for name, node in nodes(ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f"{name}: {node.name}": body_lines(node) for name, node in functions if body_lines(node) > BODY_LINES}
    assert len(long) <= len(functions) / 20, long
