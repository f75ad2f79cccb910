"""Help is there at once: it imports no torch."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from fastslow.cli import app, main


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["train", "fewshot", "--help"],
        *(
            [name, "--help"]
            for name in ("evaluate", "data", "quickstart", "report", "table", "pack", "export", "play", "reproduce")
        ),
        ["study", "lines", "--help"],
        ["reproduce", "no-such-study"],
        ["study", "lines", "no-such-study"],
        ["pack", "model", "m.pt"],
    ],
    ids=" ".join,
)
def test_help_and_refusals_do_not_wait_for_torch(arguments):
    code = (
        "import sys\nfrom fastslow.cli import main\ntry:\n"
        f"    main({arguments!r})\nfinally:\n    print('torch:', 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False, timeout=60)
    assert done.stdout.decode().splitlines()[-1] == "torch: False"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]], ids=" ".join)
def test_the_list_of_commands_says_what_each_is_for(words, capsys):
    main(words)
    listed = re.findall(r"^\W+([a-z]+) {2,}(.*\w.*)$", capsys.readouterr().out, re.MULTILINE)
    assert {name for name in app if name.isalpha()} - {name for name, _ in listed} == set()
