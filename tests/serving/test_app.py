"""What is asked over HTTP, and how it is answered."""

from __future__ import annotations

import base64
import io
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fastslow import FastSlowClassifier
from fastslow.serving import app as app_module
from fastslow.serving import changes, examples
from robustness import bodies

VECTORS = {"model": None}


def encoded(pixels, kind="PNG"):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind)
    return base64.b64encode(out.getvalue()).decode()


def test_what_is_taught_is_answered_as_the_learner_answers(taught):
    queries = [[0.1, 0.1], [9.1, 9.1], [80.0, -50.0]]
    answers = taught.post("/predict", json={"vectors": queries, "top": 2}).json()["answers"]
    learner = taught.kept.learner
    assert [one["label"] for one in answers] == ["near", 7, learner.predict_one(queries[2])]
    assert [one["unknown"] for one in answers] == [False, False, True]
    assert [one["novelty"] for one in answers] == pytest.approx(learner.novelty(queries), rel=1e-5)
    for one, query in zip(answers, queries, strict=True):
        shares = {part["label"]: part["probability"] for part in one["probabilities"]}
        assert shares == pytest.approx(learner.predict_proba_one(query))
        assert one["probabilities"][0]["label"] == one["label"]
    only = taught.post("/predict", json={"vectors": queries[:1], "top": 1}).json()["answers"][0]["probabilities"]
    assert [part["label"] for part in only] == ["near"]


def test_what_is_forgotten_and_undone_is_counted(taught):
    assert taught.post("/forget", json={"example": 0}).json() == {"change": 2}
    assert taught.post("/forget", json={"label": 7}).json() == {"change": 3}
    assert taught.get("/classes").json() == {"classes": [{"label": "near", "examples": 2, "ids": [1, 2]}]}
    assert taught.post("/undo", json={}).json() == {"change": 4}
    near, seven = taught.get("/classes").json()["classes"]
    assert near == {"label": "near", "examples": 2, "ids": [1, 2]}
    assert seven == {"label": 7, "examples": 3, "ids": [3, 4, 5]}
    status = taught.get("/status").json()
    assert (status["model"], status["classes"], status["examples"], status["changes"]) == (None, 2, 5, 4)


def test_a_snapshot_is_a_learner(taught, tmp_path):
    answer = taught.get("/snapshot")
    (tmp_path / "sent.safetensors").write_bytes(answer.content)
    learner = FastSlowClassifier.load(tmp_path / "sent.safetensors")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert learner.examples_ == taught.kept.learner.examples_
    assert taught.post("/undo", json={}).status_code == 200  # a snapshot changes nothing


def test_nothing_learned_is_said_so(ask):
    client = ask(VECTORS)
    for answer in (client.post("/predict", json={"vectors": [[1.0]]}), client.get("/snapshot")):
        assert answer.status_code == 409
        assert "send examples to /learn first" in answer.json()["error"]
    assert client.get("/classes").json() == {"classes": []}


def test_a_distance_that_is_not_known_is_null(ask):
    client = ask(VECTORS)
    client.post("/learn", json={"vectors": [[0.0, 1.0]], "labels": ["only"]})
    one = client.post("/predict", json={"vectors": [[3e30, 1.0]]}).json()["answers"][0]
    assert one["unknown"]
    assert one["label"] == "only"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_images_are_files_in_base64(ask, kind):
    from fastslow.data import make_glyphs

    drawings = make_glyphs(num_classes=2, per_class=2, seed=3).images.reshape(2, 2, 28, 28).numpy()
    client = ask({"model": "omniglot-5w1s-fast"})
    shown = [encoded(drawing[0], kind) for drawing in drawings]
    assert client.post("/learn", json={"images": shown, "labels": ["a", "b"]}).status_code == 200
    asked = [encoded(drawing[1], kind) for drawing in drawings]
    lines = "\r\n".join(asked[0][start : start + 76] for start in range(0, len(asked[0]), 76))
    for images in (asked, [f"data:image/{kind.lower()};base64,{one}" for one in asked], [lines, asked[1]]):
        answers = client.post("/predict", json={"images": images}).json()["answers"]
        assert [one["label"] for one in answers] == ["a", "b"]
    refused = client.post("/predict", json={"vectors": [[1.0]]})
    assert "got no images" in refused.json()["error"]


def test_images_of_many_pixels_are_refused_before_they_are_decoded(ask, monkeypatch):
    client = ask({"model": "omniglot-5w1s-fast", "crop": True}, max_body_bytes=2**20)
    monkeypatch.setattr(examples, "MOST_PIXELS", 28 * 28 * 3)
    whole = encoded(np.frombuffer(np.random.default_rng(0).bytes(28 * 28), np.uint8).reshape(28, 28))
    answer = client.post("/learn", json={"images": [whole] * 4, "labels": ["a"] * 4})
    assert answer.status_code == 422
    assert "images[3] is too large: 28 x 28 pixels" in answer.json()["error"]
    large = encoded(np.zeros((4000, 4000), np.uint8))
    answer = client.post("/learn", json={"images": [large], "labels": ["a"]})
    assert "too large: 4000 x 4000" in answer.json()["error"]


def test_images_of_two_sizes_are_refused(ask):
    client = ask({"model": "omniglot-5w1s-fast", "crop": True})
    images = [encoded(np.eye(size, dtype=np.uint8) * 255) for size in (28, 30)]
    answer = client.post("/learn", json={"images": images, "labels": ["a", "b"]})
    assert "must have one size" in answer.json()["error"]


@pytest.mark.parametrize("images", [False, True])
def test_wrong_bodies_are_refused_in_a_line(ask, images):
    client = ask({"model": "omniglot-5w1s-fast"} if images else VECTORS)
    assert client.post("/learn", json=bodies.right(images, "/learn")).status_code == 200
    before = client.get("/classes").json()
    for asked in bodies.wrong(150, 1, images=images, max_bytes=2**16):
        answer = client.post(asked.path, content=asked.body, headers=asked.headers)
        assert bodies.fault(asked, answer.status_code, answer.content) is None
    assert client.get("/classes").json() == before


def test_ids_of_classes_are_those_that_can_be_forgotten_one_by_one(ask, monkeypatch):
    client = ask({**VECTORS, "max_examples": 10})
    assert client.post("/forget", json={"example": 0}).status_code == 409
    vectors = [[float(number // 2), 0.0] for number in range(12)]
    client.post("/learn", json={"vectors": vectors, "labels": ["a", "a", "b", "b"] * 3})
    classes = client.get("/classes").json()["classes"]
    assert sum(len(one["ids"]) for one in classes) < sum(one["examples"] for one in classes) < 12
    merged = next(row.example for row in client.kept.learner.examples_ if row.examples > 1)
    refused = client.post("/forget", json={"example": merged}).json()["error"]
    assert refused.startswith(f"example {merged} has been merged with others of its class; /classes lists the ids")
    monkeypatch.setattr(changes, "MOST_IDS", 3)
    few = [number for one in client.get("/classes").json()["classes"] for number in one["ids"]]
    assert sorted(few) == sorted(number for one in classes for number in one["ids"])[-3:]
    for number in few:
        assert client.post("/forget", json={"example": number}).status_code == 200


def test_labels_that_no_file_can_hold_are_refused_before_they_are_learned(taught, monkeypatch):
    monkeypatch.setattr(changes, "_OTHER_HEADER_BYTES", changes.MAX_HEADER_BYTES - 60)
    answer = taught.post("/learn", json={"vectors": [[1.0, 2.0]], "labels": ["x" * 60]})
    assert "the labels would take" in answer.json()["error"]
    monkeypatch.setattr(changes, "MAX_BYTES", changes.MAX_HEADER_BYTES)
    answer = taught.post("/learn", json={"vectors": [[1.0, 2.0]], "labels": ["near"]})
    assert "begin with a smaller --max-examples" in answer.json()["error"]
    assert taught.get("/status").json()["changes"] == 1


def test_paths_and_methods_that_there_are_not_are_refused(taught):
    assert (taught.get("/none").status_code, taught.get("/learn").status_code) == (404, 405)
    assert list(taught.get("/none").json()) == ["error"]
    assert taught.post("/learn/", json={}).status_code == 404


def test_without_the_token_nothing_is_told(ask):
    client = ask(VECTORS, token="a" * 20, hosts=())
    right = {"Authorization": f"Bearer {'a' * 20}"}
    for headers in ({}, {"Authorization": "Bearer b"}, {"Authorization": "a" * 20}, {"Authorization": "Bearer é"}):
        headers = {name: value.encode("latin-1") for name, value in headers.items()}
        answer = client.get("/status", headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.post("/undo", json={}, headers=headers).status_code == 401
        assert client.get("/none", headers=headers).status_code == 401
    assert client.get("/status", headers=right).status_code == 200
    wrong = [client.get("/status", headers=sent).json()["error"] for sent in (
        {}, {"Authorization": "Basic b"}, {"Authorization": "Bearer b"},
    )]  # fmt: skip
    said = ["got no token; send", "got a header Authorization of another form", "got another token than this server's"]
    assert all(text.startswith(start) for text, start in zip(wrong, said, strict=True)), wrong
    schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert client.get("/docs").status_code == 200


def test_a_page_of_the_web_is_kept_out(taught):
    evil = taught.get("/status", headers={"Host": "evil.example:8000"})
    assert (evil.status_code, evil.json()) == (
        421, {"error": "got the host 'evil.example:8000'; this server is asked for as testserver"},
    )  # fmt: skip
    assert taught.get("/status", headers={"Host": "testserver:8000"}).status_code == 200
    answer = taught.post("/undo", content=b"{}", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


def test_too_large_a_body_is_refused_whether_or_not_it_says_so(taught):
    headers = {"Content-Type": "application/json"}
    assert taught.post("/learn", content=b" " * (2**16 + 1), headers=headers).status_code == 413
    parts = (b" " * 2**12 for _ in range(17))
    assert taught.post("/learn", content=parts, headers=headers).status_code == 413


def test_the_page_tells_what_is_sent_and_what_comes_back(taught):
    schema = taught.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/learn", "/predict", "/forget", "/undo", "/classes", "/status", "/snapshot"}
    learn = schema["paths"]["/learn"]["post"]
    body = learn["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == {"images", "vectors", "labels"}
    assert learn["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("Taught")
    assert "422" in learn["responses"]


def test_a_disk_that_fails_acknowledges_nothing_and_goes_on_when_it_is_mended(taught, monkeypatch):
    before = taught.get("/classes").json()
    body = {"vectors": [[1.0, 1.0]], "labels": ["new"]}
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        answer = taught.post("/learn", json=body)
        assert answer.status_code == 503
        assert "No space left on device" in answer.json()["error"]
    assert taught.get("/classes").json() == before
    assert taught.post("/learn", json=body).json()["change"] == 2


def test_a_state_that_cannot_be_read_back_answers_nothing_more(taught, monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("write", "ftruncate"):
            patch.setattr(os, name, lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        assert taught.post("/undo", json={}).status_code == 503
    answer = taught.get("/status")
    assert answer.status_code == 503
    assert "mend it and start again" in answer.json()["error"]


def test_a_fault_of_ours_is_no_traceback(taught, monkeypatch):
    monkeypatch.setattr(app_module, "classes_of", lambda _: 1 / 0)
    answer = taught.get("/classes")
    assert (answer.status_code, list(answer.json())) == (500, ["error"])
    assert taught.get("/status").status_code == 200


def test_too_many_that_wait_are_refused(taught, monkeypatch):
    monkeypatch.setattr(app_module, "_MOST_WAITING", 2)
    monkeypatch.setattr(app_module, "classes_of", lambda _: time.sleep(0.5) or [])
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: taught.get("/classes"), range(6)))
    codes = {answer.status_code for answer in answers}
    assert codes == {200, 503}
    assert next(a for a in answers if a.status_code == 503).headers["Retry-After"] == "1"


def test_changes_of_many_at_once_are_all_made_and_numbered(taught):
    def teach(number):
        return taught.post("/learn", json={"vectors": [[float(number), 0.5]], "labels": [f"c{number}"]}).json()

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(teach, range(40)))
    assert sorted(one["change"] for one in said) == list(range(2, 42))
    rows = {row.example: row.label for row in taught.kept.learner.examples_}
    assert all(rows[one["examples"][0]] == f"c{number}" for number, one in enumerate(said))


def test_a_request_that_is_sent_again_with_its_key_is_done_once(taught):
    key = {"Idempotency-Key": "0d1c2f"}
    for path, body in (("/learn", {"vectors": [[5.0, 5.0]], "labels": ["new"]}), ("/forget", {"example": 6})):
        headers = {"Idempotency-Key": f"for {path}"}
        first, second = (taught.post(path, json=body, headers=headers) for _ in range(2))
        assert (first.status_code, first.json()) == (200, second.json())
    assert taught.get("/status").json()["changes"] == 3
    body = {"vectors": [[5.0, 5.0]], "labels": ["new"]}
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda _: taught.post("/learn", json=body, headers=key).json(), range(8)))
    assert said == [{"change": 4, "examples": said[0]["examples"]}] * 8
    other = taught.post("/learn", json={"vectors": [[6.0, 5.0]], "labels": ["new"]}, headers=key)
    assert (other.status_code, "was sent with another request" in other.json()["error"]) == (422, True)
    other = taught.post("/undo", json={}, headers=key)
    assert other.status_code == 422
    assert taught.get("/status").json()["changes"] == 4


@pytest.mark.parametrize("keys", [[b""], [b"  "], [b"x" * 129], ["é".encode("latin-1")], [b"a\tb"], [b"a", b"b"]])
def test_a_key_that_is_none_is_refused(taught, keys):
    headers = [(b"Content-Type", b"application/json"), *((b"Idempotency-Key", key) for key in keys)]
    answer = taught.post("/undo", content=b"{}", headers=headers)
    assert (answer.status_code, "Idempotency-Key" in answer.json()["error"]) == (422, True)
    assert taught.get("/status").json()["changes"] == 1


def test_the_page_tells_of_keys_and_of_how_long_is_waited(taught):
    schema = taught.get("/openapi.json").json()
    told = {path for path, on in schema["paths"].items() if "parameters" in on.get("post", {})}
    assert told == {"/learn", "/forget", "/undo"}
    parameter = schema["paths"]["/learn"]["post"]["parameters"][0]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("Idempotency-Key", "header", False)
    assert "for 20 seconds is closed; a body has 60 seconds" in schema["info"]["description"]
