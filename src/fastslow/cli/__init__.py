"""The command line. Commands import torch when they run, so that `--help` is quick."""

from __future__ import annotations

import os
import sys

import cyclopts

from fastslow.cli.console import flush, show_notes_as_lines, show_what_can_be_shown
from fastslow.cli.failures import Failure, failure
from fastslow.cli.numbers import exactly

app = cyclopts.App(
    name="fastslow",
    help="Neural memory networks that learn new classes at once, through synthetic gradients.",
    version="0.1.0",
    result_action="return_value",
    default_parameter=cyclopts.Parameter(converter=exactly),
    suppress_keyboard_interrupt=False,
)
app.command("fastslow.cli.train:app", name="train")
app.command("fastslow.cli.evaluate:evaluate", name="evaluate")
app.command("fastslow.cli.data:app", name="data")
app.command("fastslow.cli.quickstart:quickstart", name="quickstart")
app.command("fastslow.cli.reproduce:reproduce", name="reproduce")
app.command("fastslow.cli.study:app", name="study")
app.command("fastslow.cli.play:play", name="play")
app.command("fastslow.cli.report:report", name="report")
app.command("fastslow.cli.table:table", name="table")
app.command("fastslow.cli.pack:pack", name="pack")
app.command("fastslow.cli.statistics:statistics", name="statistics")
app.command("fastslow.cli.export:export", name="export")
app.command("fastslow.cli.forecast:forecast", name="forecast")
app.command("fastslow.cli.serve:serve", name="serve")


def main(arguments: list[str] | None = None) -> None:
    """Runs one command; ends with one line and an exit code where it cannot go on, see `failures`.

    A fault of ours ends in its traceback, and so does everything with FASTSLOW_DEBUG=1 in the environment.
    """
    show_what_can_be_shown()
    show_notes_as_lines()
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if not words or words[0] in app.help_flags:
            _load_commands()
        app(arguments, print_error=False, exit_on_error=False)
        flush()
    except (Exception, KeyboardInterrupt) as error:
        known = failure(error)
        if known is None or os.environ.get("FASTSLOW_DEBUG") == "1":
            raise
        _stop(known)


def _load_commands() -> None:
    """What each command is for stands in its docstring: without it the list of commands is a list of names."""
    for name in app:
        app[name]


def _stop(known: Failure) -> None:
    text = " ".join(known.text.split())
    try:
        print(text if known.code == 130 else f"error: {text}", file=sys.stderr)
        flush()
    except OSError:
        pass  # nowhere left to say it
    sys.exit(known.code)
