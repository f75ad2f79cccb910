"""The long form: `make torture`. 10,000 mutations a reader and files made to be slow or large, each reader in a process
of its own whose memory is measured; 200 killed trainings and saves of a stream learner, 20 killed replacements of a
quickstart.

Figures go to `results/torture.json`; the exit code is 1 where the bar is not met.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastslow.files import write_json
from fastslow.protocol.provenance import processor_name, versions
from robustness import kills, replacements, stream_saves
from robustness.harness import MOST_MIB, MOST_SECONDS, Tally, survey
from robustness.registry import READERS

_OUT = Path(__file__).parents[2] / "results" / "torture.json"
_REPLACEMENTS = "replacements"
#: What is killed, by name.
_KILLS = {
    "trainings": kills.kill_trainings, "saves": stream_saves.kill_saves, _REPLACEMENTS: replacements.kill_replacements,
}  # fmt: skip


def _one(name: str, count: int, seed: int) -> dict[str, Any]:
    """What comes of one reader, or of kills, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        if name in READERS:
            return dataclasses.asdict(survey(READERS[name](Path(folder)), count, seed=seed))
        with kills.nursery(Path(folder)) as processes:
            return dataclasses.asdict(_KILLS[name](processes, Path(folder) / "runs", count, seed=seed))


def _in_its_process(name: str, count: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "robustness.torture", "--one", name, "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {"faults": [f"the process ended with code {done.returncode}"]}
    print(f"{name}: {done.stdout.strip()}", flush=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _holds(found: dict[str, Any]) -> bool:
    return not found["faults"] and ("mutations" not in found or Tally(**found).holds)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000, help="of each reader")
    parser.add_argument(
        "--kills", type=int, default=200, help="of trainings, and of saves; a tenth as many of replacements"
    )
    parser.add_argument("--seed", type=int, default=0, help="of all of them")
    parser.add_argument("--jobs", type=int, default=1, help="readers at a time; times are longer with more")
    parser.add_argument("--out", type=Path, default=_OUT, help="file of the figures")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        print(json.dumps(_one(given.one, given.count, given.seed)))
        return 0
    counts = dict.fromkeys(_KILLS, given.kills) | {_REPLACEMENTS: given.kills // 10} if hasattr(os, "fork") else {}
    counts |= dict.fromkeys(READERS, given.mutations)
    with ThreadPoolExecutor(given.jobs) as pool:
        done = pool.map(lambda name: _in_its_process(name, counts[name], given.seed), counts)
        found = dict(zip(counts, done, strict=True))
    holds = all(map(_holds, found.values()))
    options = f"--mutations {given.mutations} --kills {given.kills} --seed {given.seed} --jobs {given.jobs}"
    write_json(given.out, {
        "command": f"PYTHONPATH=tests python -m robustness.torture {options}", "processor": processor_name(),
        "versions": versions(), "bar": {"seconds": MOST_SECONDS, "memory_mib": MOST_MIB, "met": holds},
        "kills": {name: found[name] for name in counts if name not in READERS},
        "readers": {name: found[name] for name in READERS},
    })  # fmt: skip
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
