"""What is refused is said in the words of HTTP, with a cure that there is over HTTP."""

from __future__ import annotations

import json

import pytest

from fastslow.serving.words import in_options
from robustness import bodies

VECTORS = {"model": None}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/learn", {"vectors": [[1.0, 2.0]], "labels": []}, "got 1 examples and 0 labels"),
        ("/learn", {"labels": ["a"]}, "got neither images nor vectors; give one of the two"),
        ("/learn", {"labels": ["a"], "images": [], "vectors": []}, "got images and vectors; give one of the two"),
        ("/learn", {"vectors": [[1.0, 2.0]], "labels": [True]}, "labels.0: a text of 1 to 200 characters, or a whole"),
        ("/learn", {"vectors": [[1.0, 2.0]], "labels": ["\ud800"]}, "labels.0: a text"),
        ("/learn", {"vectors": [[1.0, 2.0], [1.0]], "labels": ["a", "b"]}, "vectors of 1 to 2 numbers"),
        (
            "/learn",
            {"vectors": [[1.0]], "labels": ["a"]},
            "got vectors of 1 numbers; this learner has learned vectors of",
        ),
        (
            "/predict",
            {"vectors": [[]]},
            "got vectors of 0 numbers; this learner has learned vectors of 2: give as many",
        ),
        ("/learn", {"vectors": [], "labels": []}, "an empty list of vectors"),
        ("/learn", {"images": ["*"], "labels": ["a"]}, "got no vectors; this learner has no model"),
        ("/learn", {"vectors": [[1.0, 2.0]], "labels": [7.0]}, "labels.0: a text"),
        ("/learn", {"vectors": [[1.0, 2.0]], "labels": ["a"], "max_examples": 5}, "max_examples: "),
        ("/forget", {}, "got neither label nor example; give one of the two"),
        ("/forget", {"label": "near", "example": 0}, "got label and example; give one of the two"),
        ("/forget", {"label": 1.5}, "label: a text of 1 to 200"),
        ("/forget", {"label": "none"}, "which has not been learned"),
        (
            "/forget",
            {"example": 99},
            "example 99 is not kept; /classes lists the ids of those that can be forgotten one",
        ),
        ("/undo", {"a": 1}, "a: Extra inputs are not permitted"),
        ("/predict", {"vectors": [[1.0, 2.0]], "top": 0}, "top: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_said(taught, path, body, words):
    answer = taught.post(path, content=json.dumps(body), headers=bodies.JSON)
    assert answer.status_code == 422
    assert words in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "kind"), [(b"[]", "a list"), (b"null", "null"), (b'"a"', "a text"), (b"1", "a number")]
)
def test_a_body_of_another_kind_is_named_as_json_names_it(taught, body, kind):
    answer = taught.post("/undo", content=body, headers=bodies.JSON)
    assert answer.json()["error"] == f"the body holds {kind}; an object of names and values was expected"


def test_a_list_of_no_numbers_is_refused_before_anything_is_known(ask):
    answer = ask(VECTORS).post("/learn", json={"vectors": [[]], "labels": ["a"]})
    assert answer.json()["error"] == "got vectors of 0 numbers; 1 is the least: give as many"


def test_what_is_no_image_is_refused_without_an_address_in_memory(ask):
    client = ask({"model": "omniglot-5w1s-fast"})
    for content in (b"no image", b"GIF89a" + b"0" * 40, b"\x89PNG\r\n\x1a\n"):
        answer = client.post("/learn", json={"images": [bodies.text(content)], "labels": ["a"]})
        assert answer.json()["error"] == "images[0] is no PNG or JPEG file; give the bytes of one in base64"


def test_an_image_that_is_no_square_is_refused_with_the_servers_option(ask):
    upright = bodies.text(bodies.png(36, 78))
    answer = ask({"model": "omniglot-5w1s-fast"}).post("/learn", json={"images": [upright], "labels": ["a"]})
    assert answer.json()["error"].startswith("images[0] has 36 x 78 pixels; a square was expected: make it one, or")
    assert "the option --crop of fastslow serve" in answer.json()["error"]
    cropping = ask({"model": "omniglot-5w1s-fast", "crop": True}, name="b")
    assert cropping.post("/learn", json={"images": [upright], "labels": ["a"]}).status_code == 200


def test_the_library_speaks_of_the_servers_options(ask):
    client = ask({**VECTORS, "max_examples": 2, "eviction": "refuse"})
    answer = client.post("/learn", json={"vectors": [[1.0]] * 3, "labels": ["ink='dark'"] * 3})
    assert "a memory of --max-examples 2 that holds 0; raise --max-examples" in answer.json()["error"]
    assert "give --eviction merge or 'oldest'; options of fastslow serve belong" in answer.json()["error"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise max_examples, or forget classes", "raise --max-examples, or forget classes"),
        ("which holds 2 of per_class=2", "which holds 2 of --per-class 2"),
        ("give ink='bright' or ink='as_is' (--ink on the command line)", "give --ink bright or --ink as_is"),
        ("too thin; crop=True (--crop) cuts it to its ink", "too thin; --crop cuts it to its ink"),
        ("the model's ink='dark' is the page's", "the model's --ink dark is the page's"),
    ],
)
def test_arguments_are_options_of_the_server(text, words):
    assert in_options(text) == (
        f"{words}; options of fastslow serve belong to a state from its beginning on: other ones need another --state"
    )


@pytest.mark.parametrize(
    "text",
    ["got the label 'ink=\\'dark\\' per_class'", 'got the label "it\'s crop=True"', "is blank: no dark ink stands out"],
)
def test_what_speaks_of_no_argument_stays_as_it_is(text):
    assert in_options(text) == text
