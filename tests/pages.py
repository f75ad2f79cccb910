"""The code that pages show, for tests that run it."""

from __future__ import annotations

import re


def python_blocks(text):
    """Each piece of Python of a page."""
    return [code for code, _ in code_and_output(text)]


def code_and_output(text):
    """Each piece of Python, and what stands below it as what it prints; None where nothing does."""
    found = re.findall(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", text, re.DOTALL)
    return [(code, output or None) for code, output in found]
