"""Help is there at once: it imports no torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
