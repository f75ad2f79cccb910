"""`fastslow table`: results as a table over training seeds."""

from __future__ import annotations

from pathlib import Path


def table(sources: list[Path], *, out: Path | None = None, readme: Path | None = None) -> None:
    """Make Markdown tables of results: one row for all runs that differ in the seed alone.

    Args:
        sources: result files, run folders, or folders of either.
        out: file to write; printed if neither this nor readme is given.
        readme: page whose table of results, between two marks, is renewed.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.errors import InputError
    from fastslow.files import write_atomically
    from fastslow.report.headline import renew
    from fastslow.report.tables import read_results, results_page

    read = {f"source {source}": source for source in sources}
    refuse_output("--out", out, ".md", ".txt", others={**read, "the page of --readme": readme})
    refuse_output("--readme", readme, ".md", others=read)
    results = read_results(file for source in sources for file in _result_files(source))
    if not results:
        raise InputError("found no results to tabulate; give result files (.json), run folders, or folders of them")
    text = results_page(results)
    if readme is not None:
        renew(readme, results)
    if out is not None:
        write_atomically(out, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    if out is None and readme is None:
        print(text, end="")


def _result_files(source: Path) -> list[Path]:
    """The results at a place; figures of benchmarks and of `make torture` are of another kind."""
    if not source.is_dir():
        return [source]
    if (source / "result.json").exists():
        return [source / "result.json"]
    files = [file for file in sorted(source.glob("*.json")) if not file.name.startswith(("benchmark_", "torture"))]
    return files + sorted(source.glob("*/result.json"))
