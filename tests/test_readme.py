"""The README's code runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_ten_lines_do_what_they_say(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    expected = re.search(r"# (\[.*\])", code).group(1)
    assert capsys.readouterr().out.splitlines()[0] == expected
