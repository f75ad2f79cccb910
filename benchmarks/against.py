"""Another checkout against this one, in one run: `python benchmarks/against.py PATH/TO/OTHER/src --json FILE`.

Two processes, one a checkout, wait for their turn; each round times every piece of work in the one, then in the other,
and in the other order in the next round. Compared is within the round.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
THIS, OTHER = "this checkout", "other checkout"


def works() -> dict[str, Callable[[], object]]:
    """What is compared; in the process of a checkout."""
    import layer
    import learning

    import training

    return {
        "learn a 5-way task": learning.make(learning.OURS, 5),
        "learn a 20-way task": learning.make(learning.OURS, 20),
        "meta-training step, 5-way": training.make(training.FULL, 5),
        "meta-training step, 20-way": training.make(training.FULL, 20),
        "memory layer, literal, quick, T=50": layer.make(layer.QUICK, 10, 50),
        "memory layer, literal, loop, T=50": layer.make(layer.LOOP, 10, 50),
        "memory layer, default, T=50": layer.make(layer.DEFAULT, 10, 50),
    }


def serve() -> None:
    """Answers each name on standard input with the milliseconds that the work took, in its steady state."""
    import torch
    from timing import interleaved

    import fastslow

    torch.set_num_threads(1)
    forms = works()
    print(fastslow.__file__, *forms, sep="\t", flush=True)
    for line in sys.stdin:
        name = line.rstrip("\n")
        print(interleaved({name: forms[name]}, rounds=1, warmup=0)[name].min_ms, flush=True)


class Checkout:
    """A process that times the work of one checkout.

    Args:
        source: its `src`.
    """

    def __init__(self, source: Path) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(source), str(HERE)]), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE / "against.py"), "--serve"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
        )
        home, *self.names = self._answer().split("\t")
        if not Path(home).is_relative_to(source):
            raise RuntimeError(f"got the fastslow of {home}; expected that of {source}: is another one installed?")

    def time(self, name: str) -> float:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the process of a checkout ended; its message is above")
        return line.rstrip("\n")


def compare(checkouts: dict[str, Checkout], rounds: int) -> list[dict[str, Any]]:
    names = checkouts[THIS].names
    times: dict[str, dict[str, list[float]]] = {name: {which: [] for which in checkouts} for name in names}
    for number in range(rounds):
        order = list(checkouts) if number % 2 else list(reversed(checkouts))
        for name in names:
            for which in order:
                times[name][which].append(checkouts[which].time(name))
    rows = []
    for name, by in times.items():
        ratios = [this / other for this, other in zip(by[THIS], by[OTHER], strict=True)]
        row: dict[str, Any] = {"work": name} | {f"{which} ms": statistics.median(each) for which, each in by.items()}
        row |= {"this / other": statistics.median(ratios), "by min": min(by[THIS]) / min(by[OTHER])}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("other", type=Path, nargs="?", help="the src of the other checkout")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    parser.add_argument("--rounds", type=int, default=50, help="interleaved runs of each")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve()
    if options.other is None or not (options.other / "fastslow").is_dir():
        parser.error("name the src of another checkout, the folder that holds its fastslow")
    from timing import table, write_json

    checkouts = {THIS: Checkout(HERE.parent / "src"), OTHER: Checkout(options.other.resolve())}
    rows = compare(checkouts, options.rounds)
    for checkout in checkouts.values():
        checkout.close()
    print(table(rows))
    if options.json:
        words = ["python", "benchmarks/against.py", "OTHER/src", "--json", str(options.json)]
        command = shlex.join([*words, "--rounds", str(options.rounds)])
        write_json(options.json, command, rows, rounds=options.rounds, what="milliseconds, interleaved rounds")


if __name__ == "__main__":
    main()
