"""`fastslow report`: results as one HTML page."""

from __future__ import annotations

from pathlib import Path


def report(sources: list[Path], *, out: Path = Path("report.html")) -> None:
    """Write one self-contained HTML page about runs and results.

    Args:
        sources: run folders, finished or not, and result files (.json).
        out: HTML file to write.
    """
    from fastslow.cli.outputs import refuse_output

    refuse_output("--out", out, ".html", ".htm", others={f"source {source}": source for source in sources})

    from fastslow.report.page import write_report

    write_report(sources, out)
    print(out)
