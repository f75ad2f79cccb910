"""What the page saves is read in Python, and gives the page's answers."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from fastslow import load_pretrained
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.files import to_json
from fastslow.methods.files import load_model
from fastslow.play import load_taught
from fastslow.play.page import ENGINE, MODEL, model_bytes
from fastslow.play.taught import FORMAT
from play.javascript import needs_node, run_script

#: Saves drawings as a project; answers the last ones from it.
SAVED = """
const engine = createEngine(bytesOf(given.model));
const mind = createMind(engine);
const drawings = given.drawings.map(bytesOf);
let project = EMPTY_PROJECT;
for (let c = 0; c < 3; c++) project = withDrawing(project, `sign ${c}`, drawings[c], engine);
const slots = mind.slotsOf(project);
const answers = drawings.slice(3).map((drawing) => mind.answer(drawing, slots));
const known = answers.map(({ shares, none }) => shares.map((share) => share / (1 - none)));
return { file: toFile(project), known, sums: answers.map(({ shares, none }) => shares.reduce((a, b) => a + b, none)) };
"""

BLANK = base64.b64encode(bytes(784)).decode("ascii")


def in_base64(content):
    return base64.b64encode(content).decode("ascii")


@needs_node
def test_what_the_page_saves_gives_its_answers(tmp_path):
    glyphs = make_glyphs(num_classes=3, per_class=2, seed=7).images.reshape(3, 2, 28, 28).numpy()
    drawings = np.concatenate([glyphs[:, 0], glyphs[:, 1]])
    given = {"model": in_base64(model_bytes(load_model(MODEL))), "drawings": [in_base64(d.tobytes()) for d in drawings]}
    found = run_script(tmp_path, (*ENGINE, "project.js"), SAVED, given)
    (tmp_path / "taught.json").write_text(found["file"])
    taught = load_taught(tmp_path / "taught.json")
    assert taught.labels == ["sign 0", "sign 1", "sign 2"]
    assert (taught.images == glyphs[:, 0]).all()
    model = load_pretrained(MODEL.removeprefix("pretrained:")).learn(*taught)
    assert np.abs(model.predict_proba(glyphs[:, 1]) - np.array(found["known"])).max() < 1e-3
    assert np.allclose(found["sums"], 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": "other", "classes": []}, "no project"),
        ({"format": FORMAT, "classes": 3}, "no project"),
        ({"format": FORMAT, "classes": [3]}, "without a name or drawings"),
        ({"format": FORMAT, "classes": [{"name": " ", "drawings": []}]}, "a class of the name ' '; 1 to 40 letters"),
        ({"format": FORMAT, "classes": [{"name": "x" * 41, "drawings": []}]}, "1 to 40 letters were expected"),
        ({"format": FORMAT, "classes": [{"name": "a", "drawings": [BLANK]}] * 2}, "two classes of the name 'a'"),
        ({"format": FORMAT, "classes": [{"name": "a", "drawings": ["AAAA"]}]}, "damaged drawing"),
        ({"format": FORMAT, "classes": [{"name": "a", "drawings": [None]}]}, "damaged drawing"),
        ({"format": FORMAT, "classes": [{"name": "a", "drawings": ["%"]}]}, "damaged drawing"),
    ],
)
def test_what_is_no_project_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "taught.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"taught.json.*{message}"):
        load_taught(path)


def test_nothing_taught_is_no_images(tmp_path):
    (tmp_path / "taught.json").write_text(to_json({"format": FORMAT, "classes": []}))
    images, labels = load_taught(tmp_path / "taught.json")
    assert images.shape == (0, 28, 28)
    assert labels == []
