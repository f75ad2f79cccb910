"""The command line. Commands import torch when they run, so that `--help` is quick."""

from __future__ import annotations

import sys

import cyclopts

from fastslow.errors import InputError

app = cyclopts.App(
    name="fastslow",
    help="Neural memory networks that learn new classes at once, through synthetic gradients.",
    version="0.1.0",
    result_action="return_value",
)
app.command("fastslow.cli.train:app", name="train")
app.command("fastslow.cli.evaluate:evaluate", name="evaluate")
app.command("fastslow.cli.data:app", name="data")
app.command("fastslow.cli.quickstart:quickstart", name="quickstart")
app.command("fastslow.cli.report:report", name="report")
app.command("fastslow.cli.table:table", name="table")
app.command("fastslow.cli.pack:pack", name="pack")


def main(arguments: list[str] | None = None) -> None:
    """Runs one command; exits with 2 and one line on wrong input, with 130 if interrupted."""
    try:
        app(arguments, print_error=False, exit_on_error=False)
    except (InputError, cyclopts.CycloptsError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
