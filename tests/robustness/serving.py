"""A server under many clients that is killed among them, and one that gets bodies which are wrong.

`python -m robustness.serving` is the long form; figures go to `results/torture_serving.json`, and the exit code is 1
where anything was lost, mixed up or answered by other than a refusal, or memory grew.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fastslow.estimators.stream import FastSlowClassifier
from fastslow.files import write_json
from fastslow.protocol.provenance import processor_name, versions
from robustness import bodies
from robustness.served import CLIENTS, Connection, Crowd, Served, faults

_OUT = Path(__file__).parents[2] / "results" / "torture_serving.json"
#: What the memory of a server may grow by, MiB, over thousands of bodies that are refused, or questions.
MOST_GROWTH_MIB = 8.0


def mixed(folder: Path, requests: int, kills: int, *, seed: int = 0) -> dict[str, Any]:
    """Many clients at once, the server killed and started in between."""
    folder.mkdir(parents=True)
    served = Served(folder, "--model", "none", "--max-examples", "100000")
    try:
        first_start = served.start()
        crowd = Crowd(served, requests, seed)
        began = time.perf_counter()
        crowd.run(kills)
        seconds, said = time.perf_counter() - began, crowd.said
        one = Connection(served)
        num_changes = _json(one, "/status")["changes"]
        status, content = one.ask("GET", "/snapshot")
        assert status == 200
        memory, code = served.memory_mib(), served.stop()
        found = list(faults(said, FastSlowClassifier.load(served.state), num_changes))
        (folder / "sent.safetensors").write_bytes(content)
        found += list(faults(said, FastSlowClassifier.load(folder / "sent.safetensors"), num_changes))
        log = served.log.read_text(encoding="utf-8")
        found += [f"the exit code is {code}"] * bool(code) + [f"the log says {log[-300:]!r}"] * bool(log)
    finally:
        served.close()
    waits = np.array(said.seconds) * 1000
    return {
        "requests": said.requests, "clients": CLIENTS, "kills": kills, "acknowledged_changes": len(said.changes),
        "repeated_with_a_key": said.repeated,
        "unanswered_changes": len(said.unanswered), "of_these_made": num_changes - len(said.changes),
        "seconds_with_restarts": seconds, "first_start_seconds": first_start,
        "milliseconds": {str(q): float(np.percentile(waits, q)) for q in (50, 90, 99)},
        "memory_mib": memory, "faults": found[:20], "num_faults": len(found),
    }  # fmt: skip


def refused(folder: Path, count: int, *, images: bool, seed: int = 0) -> dict[str, Any]:
    """Wrong bodies, one after the other: how they are answered, and what they cost."""
    folder.mkdir(parents=True)
    served = Served(folder, "--model", "omniglot-5w1s-fast" if images else "none", "--max-request", "0.25")
    path, answers, found, memory = "/learn", dict[int, int](), list[str](), list[float]()
    try:
        served.start()
        one = Connection(served)
        status, content = one.ask("POST", path, bodies.right(images, path))
        assert status == 200, content
        before = _json(one, "/classes")
        for number, asked in enumerate(bodies.wrong(count, seed, images=images, max_bytes=2**18)):
            status, content = _insistently(one, asked)
            answers[status] = answers.get(status, 0) + 1
            if (fault := bodies.fault(asked, status, content)) is not None:
                found.append(fault)
            if number in (count // 5, count - 1):
                memory.append(served.memory_mib())
        found += ["something was learned"] * (_json(one, "/classes") != before)
        code, log = served.stop(), served.log.read_text(encoding="utf-8")
        found += [f"the exit code is {code}"] * bool(code) + [f"the log says {log[-300:]!r}"] * bool(log)
    finally:
        served.close()
    return {
        "bodies": count, "answers": {str(status): answers[status] for status in sorted(answers)},
        "memory_mib_after_a_fifth": memory[0], "memory_mib_at_the_end": memory[-1], "faults": found[:20],
        "num_faults": len(found),
    }  # fmt: skip


def steady(folder: Path, requests: int, *, seed: int = 0) -> dict[str, Any]:
    """As many clients, a learner that is full: what the server's memory grows by."""
    folder.mkdir(parents=True)
    served = Served(folder, "--model", "none", "--max-examples", "500")
    memory = []
    try:
        served.start()
        for part in range(3):
            crowd = Crowd(served, requests // 3, seed + part)
            crowd.run(0)
            memory.append(served.memory_mib())
        served.stop()
    finally:
        served.close()
    return {"requests": requests, "memory_mib_after_each_third": memory}


def _insistently(one: Connection, asked: bodies.Wrong) -> tuple[int, bytes]:
    """A refusal may come, and the connection close, before the body has been sent."""
    for _ in range(5):
        try:
            return one.ask("POST", asked.path, asked.body, asked.headers)
        except OSError:
            continue
    return 0, b"no answer"


def _json(one: Connection, path: str) -> Any:
    import json

    status, content = one.ask("GET", path)
    assert status == 200, content
    return json.loads(content)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="serving", description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="of 16 clients")
    parser.add_argument("--kills", type=int, default=1, help="among them")
    parser.add_argument("--bodies", type=int, default=5_000, help="that are wrong: half of vectors, half of images")
    parser.add_argument("--seed", type=int, default=0, help="of all of them")
    parser.add_argument("--out", type=Path, default=_OUT, help="file of the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {"mixed": mixed(folder / "mixed", given.requests, given.kills, seed=given.seed)}
        print(found["mixed"], flush=True)
        for kind in ("vectors", "images"):
            images = kind == "images"
            found[f"refused_{kind}"] = refused(folder / kind, given.bodies // 2, images=images, seed=given.seed)
            print(found[f"refused_{kind}"], flush=True)
        found["steady"] = steady(folder / "steady", given.requests * 3 // 5, seed=given.seed)
        print(found["steady"], flush=True)
    thirds = found["steady"]["memory_mib_after_each_third"]
    growth = [thirds[-1] - thirds[0]]
    growth += [
        found[name]["memory_mib_at_the_end"] - found[name]["memory_mib_after_a_fifth"]
        for name in ("refused_vectors", "refused_images")
    ]
    holds = max(growth) <= MOST_GROWTH_MIB and not any(part.get("num_faults") for part in found.values())
    options = f"--requests {given.requests} --kills {given.kills} --bodies {given.bodies} --seed {given.seed}"
    write_json(given.out, {
        "command": f"PYTHONPATH=tests python -m robustness.serving {options}", "processor": processor_name(),
        "versions": versions(), "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "bar": {"faults": 0, "growth_mib": MOST_GROWTH_MIB, "met": holds}, **found,
    })  # fmt: skip
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
