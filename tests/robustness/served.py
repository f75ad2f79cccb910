"""A server in a process of its own, with its state in a folder; and many clients at once that remember what it said."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import fastslow
from fastslow.estimators.stream import FastSlowClassifier

CLIENTS, FEATURES = 16, 8
_SOURCE = Path(fastslow.__file__).parents[1]
_SECONDS = 120


class Served:
    """`fastslow serve` on a free port."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.state, self.address = folder / "state.safetensors", ("", 0)
        self.log = folder / "log.txt"
        self._options = options
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> float:
        """Starts it; seconds until it says where it is."""
        began = time.perf_counter()
        with self.log.open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fastslow", "serve", "--state", str(self.state), "--port", "0", *self._options],
                stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": str(_SOURCE), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line.startswith("serving on http://"), line + self.log.read_text(encoding="utf-8")
        host, port = line.split()[2].removeprefix("http://").rsplit(":", 1)
        self.address = (host, int(port))
        return time.perf_counter() - began

    def kill(self) -> None:
        """As `kill -9`."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As `kill`: its exit code."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)

    def close(self) -> None:
        """Ends it if it has not ended."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            if self.process.stdout:
                self.process.stdout.close()

    def memory_mib(self) -> float:
        """What it has of the machine's memory; 0 where the system does not say."""
        assert self.process
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8").splitlines()
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
        return 0.0


class Connection:
    """One client's connection, opened again where it was closed."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._open: http.client.HTTPConnection | None = None

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:  # fmt: skip
        """Status and content; OSError or HTTPException where none came."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if self._open is None:
            self._open = http.client.HTTPConnection(*self._served.address, timeout=_SECONDS)
        try:
            self._open.request(method, path, content, headers or {"Content-Type": "application/json"})
            answer = self._open.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


@dataclasses.dataclass
class Said:
    """What clients were told, and what they were not."""

    requests: int = 0
    repeated: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)
    changes: dict[int, tuple[str, Any, list[int]]] = dataclasses.field(default_factory=dict)
    unanswered: list[tuple[str, Any]] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def note(self, do: str, what: Any, answer: dict[str, Any]) -> None:
        with self.lock:
            if (number := answer["change"]) in self.changes:
                self.faults.append(f"two changes are number {number}")
            self.changes[number] = (do, what, answer.get("examples", []))


class Crowd:
    """Clients that learn, ask, forget and undo at once, until so many requests have been sent.

    Every second client gives a key to each change and, where no answer comes, asks once more with it.
    """

    def __init__(self, served: Served, requests: int, seed: int) -> None:
        self.served, self.left, self.seed = served, requests, seed
        self.said, self.up, self.undoing = Said(), threading.Event(), threading.Lock()
        self.up.set()
        self._centres = np.random.default_rng(seed).normal(size=(CLIENTS, FEATURES)) * 30

    def run(self, kills: int) -> None:
        """Sends them all; kills and starts the server that often meanwhile, at even distances."""
        one = Connection(self.served)
        anchors = {"vectors": self._centres.tolist(), "labels": [f"client {i} anchor" for i in range(CLIENTS)]}
        self._teach(one, anchors)
        total = self.left
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for number in range(kills):
            while self.left > total * (kills - number) / (kills + 1) and any(t.is_alive() for t in threads):
                time.sleep(0.005)
            with self.undoing:  # what an undo took back is known only where each change before it was answered
                self.up.clear()
                self.served.kill()
                self.served.start()
                one.close()
                self._teach(one, {"vectors": self._centres[:1].tolist(), "labels": ["between"]})
                self.up.set()
        for thread in threads:
            thread.join()
        one.close()

    def _teach(self, connection: Connection, body: dict[str, Any]) -> None:
        status, content = connection.ask("POST", "/learn", body)
        assert status == 200, content
        self.said.note("learn", body, json.loads(content))

    def _client(self, number: int) -> None:
        random, connection, mine = Random(f"{self.seed} {number}"), Connection(self.served), []
        generator = np.random.default_rng([self.seed, number])
        while True:
            with self.said.lock:
                if self.left <= 0:
                    break
                self.left -= 1
                self.said.requests += 1
            self.up.wait()
            do = random.choices(
                ["learn", "predict", "forget", "undo", "status", "classes", "snapshot"], [45, 40, 6, 3, 3, 2, 1]
            )[0]
            body = self._body(do, number, random, generator, mine)
            with self.undoing if do == "undo" else contextlib.nullcontext():
                self._one(connection, do, body, number, mine)
        connection.close()

    def _body(self, do: str, number: int, random: Random, generator: np.random.Generator, mine: list[int]) -> Any:
        count = random.randint(1, 3)
        vectors = (self._centres[number] + generator.normal(size=(count, FEATURES))).astype(np.float32).tolist()
        match do:
            case "learn":
                return {"vectors": vectors, "labels": [f"client {number} {random.randint(0, 2)}" for _ in vectors]}
            case "predict":
                return {"vectors": vectors, "top": 2}
            case "forget" if mine and random.random() < 0.8:
                return {"example": mine.pop(random.randrange(len(mine)))}
            case "forget":
                return {"label": f"client {number} {random.randint(0, 2)}"}
            case "undo":
                return {}
        return None

    def _ask(self, connection: Connection, do: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        """What is answered; with a key, when it is asked for the second time."""
        headers = headers and {**headers, "Content-Type": "application/json"}
        try:
            return connection.ask("GET" if body is None else "POST", f"/{do}", body, headers)
        except (OSError, http.client.HTTPException):
            if not headers:
                raise
            self.up.wait()
            with self.said.lock:
                self.said.repeated += 1
            return connection.ask("POST", f"/{do}", body, headers)

    def _one(self, connection: Connection, do: str, body: Any, number: int, mine: list[int]) -> None:
        began, changes, headers = time.perf_counter(), do in ("learn", "forget", "undo"), {}
        if changes and number % 2:
            headers = {"Idempotency-Key": uuid.uuid4().hex}
        try:
            status, content = self._ask(connection, do, body, headers)
        except (OSError, http.client.HTTPException):
            with self.said.lock:
                if changes:
                    self.said.unanswered.append((do, body))
            return
        self.said.seconds.append(time.perf_counter() - began)
        may_refuse = do in ("forget", "undo")  # another client may have taken it back, or undone
        if status != 200:
            if not (may_refuse and status == 422):
                self.said.faults.append(f"{do} was answered by {status}: {content[:200]!r}")
            return
        if do in ("learn", "forget", "undo"):
            answer = json.loads(content)
            self.said.note(do, body, answer)
            mine += answer.get("examples", [])
        elif do == "predict":
            labels = [one["label"] for one in json.loads(content)["answers"]]
            if len(labels) != len(body["vectors"]) or not all(
                label.startswith(f"client {number} ") for label in labels
            ):
                self.said.faults.append(f"client {number} was answered with {labels}")


def faults(said: Said, learner: FastSlowClassifier, num_changes: int) -> Iterator[str]:
    """What is lost or mixed up in a learner, of all that clients were told."""
    yield from said.faults
    known: dict[int, tuple[list[float], str]] = {}
    before = known
    for number in sorted(said.changes):
        do, what, ids = said.changes[number]
        if do == "undo":
            known = before
            continue
        before, known = known, dict(known)
        if do == "learn":
            known |= {i: (v, label) for i, v, label in zip(ids, what["vectors"], what["labels"], strict=True)}
        elif "example" in what:
            known.pop(what["example"], None)
        else:
            known = {i: (v, label) for i, (v, label) in known.items() if label != what["label"]}
    holes = [number for number in range(1, num_changes + 1) if number not in said.changes]
    if len(holes) > len(said.unanswered):
        yield f"{len(holes)} changes were made of {len(said.unanswered)} that were not answered"
    if said.changes and max(said.changes) > num_changes:
        yield f"change {max(said.changes)} was acknowledged, of {num_changes}"
    gone = {what["example"] for do, what in said.unanswered if do == "forget" and "example" in what}
    emptied = {what["label"] for do, what in said.unanswered if do == "forget" and "label" in what}
    extra = {
        (tuple(v), label)
        for do, what in said.unanswered
        if do == "learn"
        for v, label in zip(what["vectors"], what["labels"], strict=True)
    }
    rows = zip(learner.memory_.examples.features.tolist(), learner.examples_, strict=True)
    there = {row.example: (vector, row.label) for vector, row in rows}
    for example, (vector, label) in known.items():
        if example not in there and example not in gone and label not in emptied:
            yield f"example {example} of {label!r} is lost"
        elif example in there and (there[example][1] != label or not _equal(there[example][0], vector)):
            yield f"example {example} of {label!r} is another"
    for example, (vector, label) in there.items():
        if example not in known and (tuple(vector), label) not in extra:
            yield f"example {example} of {label!r} is there, and was not learned or has been forgotten"


def _equal(a: list[float], b: list[float]) -> bool:
    return bool(np.array_equal(np.float32(a), np.float32(b)))
