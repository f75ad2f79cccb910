"""A server among many clients, killed, stopped, and asked what is wrong: a share of `robustness.serving`."""

from __future__ import annotations

import copy
import http.client
import json
import threading

import numpy as np
import pytest

from fastslow.estimators.stream import FastSlowClassifier
from robustness import served, serving

pytestmark = pytest.mark.no_cover  # what it runs, others run


def test_a_server_killed_among_its_clients_has_all_that_it_acknowledged(tmp_path):
    found = serving.mixed(tmp_path / "mixed", 600, 1)
    assert found["faults"] == []
    assert found["acknowledged_changes"] > 200


def test_wrong_bodies_are_refused_by_a_server_that_goes_on(tmp_path):
    found = serving.refused(tmp_path / "refused", 200, images=False)
    assert found["faults"] == []
    assert set(found["answers"]) == {"413", "415", "422"}


def test_a_server_that_is_stopped_answers_what_it_is_asked_and_saves(tmp_path):
    server = served.Served(tmp_path, "--model", "none")
    server.start()
    acknowledged = []

    def teach(number):
        connection = served.Connection(server)
        for part in range(10_000):
            body = {"vectors": [[float(number), float(part)]], "labels": ["a"]}
            try:
                status, content = connection.ask("POST", "/learn", body)
            except (OSError, served.http.client.HTTPException):
                return
            assert status == 200
            acknowledged.append((json.loads(content)["examples"][0], body["vectors"][0]))

    threads = [threading.Thread(target=teach, args=(number,)) for number in range(4)]
    try:
        for thread in threads:
            thread.start()
        while len(acknowledged) < 50:
            threads[0].join(0.01)
        assert server.stop() == 0
        for thread in threads:
            thread.join()
        assert server.process.stdout.read().startswith("stopped; what was learned is in ")
        assert server.log.read_text(encoding="utf-8") == ""
        assert sorted(path.name for path in tmp_path.iterdir()) == ["log.txt", "state.safetensors"]
    finally:
        server.close()
    memory = FastSlowClassifier.load(server.state).memory_
    rows = dict(zip(memory.examples.ids.tolist(), memory.examples.features.tolist(), strict=True))
    assert all(rows[example] == vector for example, vector in acknowledged)


def test_what_could_be_lost_or_mixed_up_is_found():
    said = served.Said()
    vectors = [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    body = {"vectors": vectors, "labels": ["a", "b", "b"]}
    said.note("learn", body, {"change": 1, "examples": [0, 1, 2]})
    learner = FastSlowClassifier(None).partial_fit(np.float32(vectors), body["labels"])
    assert list(served.faults(said, learner, 1)) == []
    for spoil, words in (
        (lambda it: it.forget(example=1), "example 1 of 'b' is lost"),
        (lambda it: it.rename("a", "c"), "example 0 of 'a' is another"),
        (lambda it: it.learn_one([9.0, 9.0], "a"), "is there, and was not learned"),
    ):
        spoiled = copy.deepcopy(learner)
        spoil(spoiled)
        assert any(words in fault for fault in served.faults(said, spoiled, 1))
    assert list(served.faults(said, learner, 2)) == ["1 changes were made of 0 that were not answered"]
    said.note("forget", {"label": "b"}, {"change": 2})
    assert len(list(served.faults(said, learner, 2))) == 2
    said.note("undo", {}, {"change": 3})
    assert list(served.faults(said, learner, 3)) == []


def test_a_change_that_was_asked_for_twice_around_a_kill_is_made_once(tmp_path):
    """The answer is lost: the server is killed before it is read, and the client asks again with its key."""
    server = served.Served(tmp_path, "--model", "none")
    server.start()
    try:
        for number in range(3):
            body = {"vectors": [[float(number), 1.0]], "labels": [f"c{number}"]}
            headers = {"Content-Type": "application/json", "Idempotency-Key": f"key {number}"}
            lost = http.client.HTTPConnection(*server.address, timeout=60)
            lost.request("POST", "/learn", json.dumps(body).encode(), headers)
            if number:
                lost.getresponse()  # and nothing of it is read
            server.kill()
            lost.close()
            server.start()
            status, content = served.Connection(server).ask("POST", "/learn", body, headers)
            assert (status, json.loads(content)) == (200, {"change": number + 1, "examples": [number]})
        assert server.stop() == 0
        server.start()
        status, content = served.Connection(server).ask("POST", "/learn", body, headers)
        assert (status, json.loads(content)) == (200, {"change": 3, "examples": [2]})
        assert server.stop() == 0
    finally:
        server.close()
    assert list(FastSlowClassifier.load(server.state).memory_.labels) == ["c0", "c1", "c2"]
