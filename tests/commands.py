"""Commands that must fail, as tests run them."""

from __future__ import annotations

import pytest

from fastslow.cli import main


def fails(capsys, *arguments):
    """Runs a command that must fail with code 2; the one line that it says."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]
