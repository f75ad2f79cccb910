"""`fastslow table`: results as a table over training seeds."""

from __future__ import annotations

from pathlib import Path


def table(sources: list[Path], *, out: Path | None = None) -> None:
    """Make a Markdown table from the results of training runs.

    Args:
        sources: result files, or folders of them.
        out: file to write; printed if not given.
    """
    from fastslow.errors import InputError
    from fastslow.files import write_atomically
    from fastslow.report.tables import read_results, seed_table

    files = [file for source in sources for file in (sorted(source.glob("*.json")) if source.is_dir() else [source])]
    results = read_results(file for file in files if not file.name.startswith("benchmark_"))
    if not any("training_seed" in result for result in results):
        raise InputError("no result of a training run came; give result.json files, or folders of them")
    text = seed_table(results)
    if out is None:
        print(text, end="")
    else:
        write_atomically(out, lambda temporary: temporary.write_text(text))
