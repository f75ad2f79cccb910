"""`fastslow table`: results as a table over training seeds."""

from __future__ import annotations

from pathlib import Path


def table(sources: list[Path], *, out: Path | None = None) -> None:
    """Make a Markdown table from the results of training runs.

    Args:
        sources: result files, or folders of them.
        out: file to write; printed if not given.
    """
    from fastslow.experiments.tables import read_results, seed_table
    from fastslow.runs import write_atomically

    files = [file for source in sources for file in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    text = seed_table(read_results(file for file in files if not file.name.startswith("benchmark_")))
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, lambda temporary: temporary.write_text(text))
