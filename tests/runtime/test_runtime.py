"""What is exported answers as the model did, and is refused where it is not what was exported."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch

from commands import fails
from exported_sample import SMALL, built, types_unchecked
from fastslow import FewShotClassifier, load_model
from fastslow.cli import main
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.estimators.images import prepared_images
from fastslow.export.folder import export_model
from fastslow.export.graphs import _images, _state, examples_at_once
from fastslow.export.state import state_tensors
from fastslow.files import read_json, write_json
from fastslow.methods.files import save_model
from fastslow.runtime import ExportedClassifier
from fastslow.runtime.drawings import trial_drawings
from fastslow.runtime.graphs import Graphs
from fastslow.runtime.manifest import FILES, MANIFEST, read_manifest, sealed

pytestmark = pytest.mark.xdist_group("exported")

MODEL = "pretrained:omniglot-5w1s-fast"
NAMES = ["alpha", "beta", "gamma", "delta", "epsilon"]


@pytest.fixture(scope="module")
def glyphs():
    """Forty classes of six drawings, (classes, drawings, 28, 28) uint8."""
    return make_glyphs(num_classes=40, per_class=6, seed=77).images.reshape(40, 6, 28, 28).numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "fast"
    with types_unchecked():
        main(["export", "--model", MODEL, "--out", str(out)])
    return out


@pytest.fixture(scope="module")
def shared(exported):
    return ExportedClassifier(exported, threads=1)


@pytest.fixture
def model(shared):
    shared.reset()
    return shared


@pytest.fixture(scope="module")
def original():
    return FewShotClassifier(load_model(MODEL))


@pytest.fixture
def copied(exported, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(exported, tmp_path / "copied")


def largest_gap(ours, theirs, glyphs, tasks):
    """Largest difference of logits over random tasks, learned in two parts."""
    rng, gap = np.random.default_rng(0), 0.0
    for _ in range(tasks):
        ways, shots = int(rng.integers(1, min(ours.max_classes, 6) + 1)), int(rng.integers(1, 4))
        classes = rng.choice(len(glyphs), ways, replace=False)
        logits = []
        for classifier in (ours, theirs):
            classifier.reset()
            classifier.learn(glyphs[classes, 0], list(range(ways)))
            if shots > 1:
                classifier.learn(glyphs[classes, 1:shots].reshape(-1, 28, 28), np.repeat(np.arange(ways), shots - 1))
            logits.append(classifier.decision_function(glyphs[classes[:2], 5]))
        gap = max(gap, float(np.abs(logits[0] - logits[1]).max()))
    return gap


def test_answers_are_those_of_the_model(model, original, glyphs):
    assert largest_gap(original, model, glyphs, 40) < 3e-5


def test_answers_are_nearer_to_those_in_64_bits_than_is_what_torch_rounds(model, glyphs):
    method, rng = load_model(MODEL).method.eval(), np.random.default_rng(0)
    exact = copy.deepcopy(method).double()
    for _ in range(20):
        drawings = glyphs[rng.choice(len(glyphs), 5, replace=False)]
        model.reset()
        logits = model.learn(drawings[:, 0], NAMES).learn(drawings[:, 1], NAMES).decision_function(drawings[:, 5])
        with torch.no_grad():
            images = (prepared_images(drawings[:, k], size=28, ink="auto", crop=False) for k in (0, 1, 5))
            first, second, queries = (exact.embed(part.double()).unsqueeze(0) for part in images)
            labels = torch.arange(5).unsqueeze(0)
            wanted = exact.answer(queries, exact.learn(second, labels, exact.learn(first, labels)))[0]
        assert np.abs(logits - wanted.numpy()).max() < 1e-5


@pytest.mark.no_cover  # lines that others run
def test_what_pooling_leaves_out_is_not_computed(exported):
    graph = onnx.load(exported / "embed.onnx").graph
    pads = [next(tuple(one.ints) for one in node.attribute if one.name == "pads") for node in graph.node
            if node.op_type == "Conv"]  # fmt: skip
    # Images of 28 pixels are halved to 14, 7 and 3: of 7 rows the last is left out.
    assert pads == [(1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 1, 1), (1, 1, 0, 0), (1, 1, 1, 1)]


def test_the_encoder_in_8_bits_answers_nearly_as_right(model, exported, glyphs):
    small = ExportedClassifier(exported, threads=1, int8=True)
    queries = glyphs[:5, 1:].reshape(-1, 28, 28)
    right = [
        np.mean(np.array(one.learn(glyphs[:5, 0], NAMES).predict(queries)) == np.repeat(NAMES, 5))
        for one in (model, small)
    ]
    assert right[1] >= right[0] - 0.05
    assert (exported / "embed.int8.onnx").stat().st_size < 0.35 * (exported / "embed.onnx").stat().st_size


MODELS = {
    "eight views": {"name": "default", "views": True, **SMALL},
    "write gate": {"name": "default", "write_gate": True, **SMALL},
    "paper": {"name": "paper", "channels": (4, 8), "residual": (False, False), "dim": 16},
}


@pytest.mark.no_cover  # what it runs, others run
@pytest.mark.slow
@pytest.mark.parametrize("changes", MODELS.values(), ids=MODELS)
def test_other_models_answer_as_they_did(changes, tmp_path, glyphs):
    built_model = built(**changes)
    with types_unchecked():
        export_model(built_model, tmp_path)
    theirs = ExportedClassifier(tmp_path, threads=1)
    theirs.self_test()
    assert largest_gap(FewShotClassifier(built_model), theirs, glyphs, 10) < 1e-5


@pytest.mark.parametrize("changes", [{"num_slots": 1}, {"control": "write_where_read"}])
def test_a_memory_that_learns_one_example_at_a_time_is_traced_so(changes):
    method = built(name="default", **SMALL, **changes).method
    with torch.no_grad():
        state, growing = _state(method)
        features, labels = method.embed(_images(method)).unsqueeze(0), torch.zeros(1, 3, dtype=torch.int64)
        wanted = state_tensors(method.learn(features, labels))
    assert examples_at_once(method) == 1
    assert growing == ({}, {})
    assert all(torch.allclose(state[name], part, atol=1e-6) for name, part in wanted.items())


def test_images_too_small_to_be_measured_on_are_refused_by_their_size(tmp_path):
    with pytest.raises(InputError, match=r"got a model of images of 7 pixels; .* 8 pixels or more"):
        export_model(built(name="default", image_size=7, **SMALL), tmp_path)


@pytest.mark.parametrize("method", ["maml", "nmn"])
def test_what_learns_by_gradients_is_refused_by_name_and_nothing_is_written(method, tmp_path):
    model = built(name="default", method=method, **SMALL)
    with pytest.raises(InputError, match=f"got a model of method '{method}' with control 'none'; only what"):
        export_model(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.no_cover  # what it runs, others run
@pytest.mark.slow
def test_a_method_that_counts_its_examples_is_refused_by_name_and_nothing_is_written(tmp_path):
    with types_unchecked(), pytest.raises(InputError, match="MetaNetwork cannot be exported"):
        export_model(built(name="default", method="metanet", **SMALL), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_graph_passes_the_checker_and_says_nothing_of_where_it_was_made(exported):
    assert sorted(path.name for path in exported.iterdir()) == sorted([*FILES, MANIFEST])
    for name in FILES:
        onnx.checker.check_model(onnx.load(exported / name), full_check=True)
        assert b".py" not in (exported / name).read_bytes()


def test_the_interface_is_that_of_the_estimator(model, original, glyphs):
    original.reset()
    for one in (model, original):
        assert one.learn(glyphs[:3, 0], NAMES[:3]) is one
        assert one.learn(glyphs[3:5, 0], NAMES[3:]).classes == tuple(NAMES)
    assert (model.max_classes, model.max_examples) == (original.max_classes, original.max_examples)
    assert model.image_size == original.image_size
    assert model.predict(glyphs[:5, 1]) == original.predict(glyphs[:5, 1])
    assert model.predict(torch.from_numpy(255 - glyphs[:5, 1])) == original.predict(255 - glyphs[:5, 1])
    shares = model.predict_proba(glyphs[:5, 1])
    np.testing.assert_allclose(shares, original.predict_proba(glyphs[:5, 1]), atol=1e-5)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    assert set(model.state) == {"state.slots", "state.usage"}
    assert model.reset() is None
    with pytest.raises(InputError, match="no class has been learned yet"):
        model.predict(glyphs[:5, 1])


def test_what_the_estimator_refuses_is_refused_and_nothing_is_learned(model, glyphs):
    with pytest.raises(InputError, match="got 2 images and 1 labels"):
        model.learn(glyphs[:2, 0], ["a"])
    with pytest.raises(InputError, match="that would make 6 classes; this model tells 5 apart"):
        model.learn(glyphs[:6, 0], list("abcdef"))
    with pytest.raises(InputError, match="got 33 examples in a task; this model's memory holds 32"):
        model.learn(glyphs[:5].reshape(30, 28, 28).repeat(2, 0)[:33], ["a"] * 33)
    with pytest.raises(InputError, match=r"images of shape \(2, 20, 21\)"):
        model.learn(np.zeros((2, 20, 21)), ["a", "b"])
    assert model.classes == ()


def test_it_learns_and_predicts_without_torch(exported, tmp_path, glyphs):
    np.save(tmp_path / "images.npy", glyphs[:3, 0])
    code = (
        "import sys, numpy\nfrom fastslow.runtime import ExportedClassifier\n"
        "model = ExportedClassifier(sys.argv[1], threads=1)\nmodel.self_test()\nimages = numpy.load(sys.argv[2])\n"
        "print(model.learn(images, ['a', 'b', 'c']).predict(images), 'torch' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    arguments = [sys.executable, "-c", code, str(exported), str(tmp_path / "images.npy")]
    done = subprocess.run(arguments, capture_output=True, env=environment, check=False, timeout=60)
    assert done.stdout.decode().strip() == "['a', 'b', 'c'] False", done.stderr.decode()


@pytest.mark.parametrize("copied_by", [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_know_what_was_learned_and_learn_by_themselves(model, glyphs, copied_by):
    model.learn(glyphs[:2, 0], NAMES[:2])
    other = copied_by(model)
    np.testing.assert_array_equal(other.decision_function(glyphs[:2, 1]), model.decision_function(glyphs[:2, 1]))
    other.learn(glyphs[2:3, 0], NAMES[2:3])
    assert (len(model.classes), len(other.classes)) == (2, 3)


def test_several_threads_teach_it_while_others_ask(model, glyphs):
    def teach(number):
        return model.learn(glyphs[number // 4, number % 4][None], [number // 4]).predict(glyphs[:5, 5])

    with ThreadPoolExecutor(4) as threads:
        for one in [threads.submit(teach, number) for number in range(20)]:
            assert len(one.result(timeout=60)) == 5
    assert sorted(model.classes) == [0, 1, 2, 3, 4]
    assert int((model.state["state.usage"] > 0).sum()) == 20


def test_a_pickle_whose_files_are_gone_is_refused_by_name(copied):
    pickled = pickle.dumps(ExportedClassifier(copied, threads=1))
    (copied / "learn.onnx").unlink()
    with pytest.raises(InputError, match=r"learn\.onnx"):
        pickle.loads(pickled)


def test_the_self_test_keeps_what_was_learned_and_finds_other_answers(copied, glyphs):
    model = ExportedClassifier(copied, threads=1).learn(glyphs[:5, 0], NAMES)
    before = model.decision_function(glyphs[:5, 1])
    model.self_test()
    np.testing.assert_array_equal(model.decision_function(glyphs[:5, 1]), before)
    content = read_json(copied / MANIFEST)
    del content["sha256"]
    content["expected"][1][1] += 0.01
    write_json(copied / MANIFEST, sealed(content))
    with pytest.raises(InputError, match=r"copied answers otherwise here .* logits differ by up to 0\.01"):
        ExportedClassifier(copied, threads=1).self_test()


@pytest.mark.parametrize("size", [8, 14, 28, 105])
def test_the_built_in_drawings_are_three_at_any_size(size):
    drawings = trial_drawings(size)
    assert len({drawing.tobytes() for drawing in drawings}) == 3
    assert all(0 < (drawing > 0).mean() < 0.5 for drawing in drawings)
    assert not drawings[:, 0].any()


@pytest.mark.parametrize("name", [name for name in FILES if "int8" not in name])
def test_a_damaged_or_missing_file_is_refused_by_name(name, copied):
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} is not what manifest\.json vouches for"):
        ExportedClassifier(copied)
    (copied / name).unlink()
    with pytest.raises(InputError, match=rf"there is no file .*{name}"):
        ExportedClassifier(copied)


def test_a_foreign_file_with_the_right_checksum_is_refused_by_name(copied):
    for content, words in ((b"no graph", "is no graph"), ((copied / "learn.onnx").read_bytes(), "takes .* and gives")):
        (copied / "answer.onnx").write_bytes(content)
        said = read_json(copied / MANIFEST)
        said["files"]["answer.onnx"] = hashlib.sha256(content).hexdigest()
        del said["sha256"]
        write_json(copied / MANIFEST, sealed(said))
        with pytest.raises(InputError, match=rf"answer\.onnx {words}"):
            ExportedClassifier(copied)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 1}, "has format 1; this version reads 2"),
        ({"more": 1}, "was expected"),
        ({"image_size": -1}, "has image_size=-1"),
        ({"num_classes": True}, "has num_classes=True"),
        ({"max_examples": "many"}, "has max_examples='many'"),
        ({"state": []}, r"has state=\[\]"),
        ({"files": {"embed.onnx": ""}}, "has files="),
        ({"expected": [[1]]}, "has expected="),
        ({"expected": [["a"], [1], [1]]}, "has expected="),
        ({"expected": [[1] * 4] * 3}, "has expected="),
        ({"expected": [[True] * 5] * 3}, "has expected="),
        ({"expected": [[10**400] * 5] * 3}, "has expected="),
        ({"details": 1}, "has details=1"),
    ],
)
def test_a_manifest_that_no_export_writes_is_refused_by_name(change, words, copied):
    said = read_json(copied / MANIFEST)
    del said["sha256"]
    write_json(copied / MANIFEST, sealed(said | change))
    with pytest.raises(InputError, match=rf"manifest\.json .*{words}"):
        read_manifest(copied)


def test_a_manifest_in_which_a_digit_changed_is_refused_by_name(copied):
    text = (copied / MANIFEST).read_text(encoding="utf-8")
    assert '"max_examples": 32,' in text
    (copied / MANIFEST).write_text(text.replace('"max_examples": 32,', '"max_examples": 33,'), encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json was changed or damaged since it was written"):
        ExportedClassifier(copied)


@pytest.mark.parametrize("change", [{"image_size": 27}, {"num_classes": 4, "expected": [[1] * 4] * 3}])
def test_graphs_of_other_sizes_than_the_manifest_says_are_refused_by_name(change, copied):
    said = read_json(copied / MANIFEST)
    del said["sha256"]
    write_json(copied / MANIFEST, sealed(said | change))
    with pytest.raises(InputError, match=r"\.onnx has sizes \[.*\] where the manifest says"):
        ExportedClassifier(copied)


@pytest.mark.parametrize(("int8", "name"), [(False, "embed"), (True, r"embed\.int8")])
def test_a_graph_that_fails_on_its_input_is_named(exported, int8, name):
    graphs = Graphs(exported, read_manifest(exported), int8=int8, threads=1)
    with pytest.raises(
        InputError, match=rf"{name}\.onnx cannot be run on what its model takes \(.*\): export the model"
    ):
        graphs.embed(np.zeros((1, 1, 27, 27), np.float32))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
def test_a_manifest_that_is_none_is_refused_by_name(text, copied):
    (copied / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json"):
        read_manifest(copied)


def test_other_folders_are_refused_by_name(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(InputError, match=rf"{folder.name} is no exported model, for it has no manifest\.json"):
            ExportedClassifier(folder)


def test_options_that_do_not_exist_are_refused(exported, monkeypatch):
    for options, words in (({"ink": "as_is", "crop": True}, "got crop=True"), ({"threads": 0}, "got threads=0")):
        with pytest.raises(InputError, match=words):
            ExportedClassifier(exported, **options)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install \"fastslow\[runtime\]\""):
        ExportedClassifier(exported)


@pytest.mark.usefixtures("as_users_call_it")
def test_threads_are_whole_numbers_of_any_kind_and_the_folder_a_path(exported):
    assert ExportedClassifier(exported, threads=np.uint8(1)).image_size > 0
    for threads in (True, "2", 1.5, np.float64(1), -1, 1025, 2**40):
        with pytest.raises(InputError, match=r"got threads=.*; give at least 1"):
            ExportedClassifier(exported, threads=threads)
    with pytest.raises(InputError, match="got path=None; the path of a folder was expected"):
        ExportedClassifier(None)


def test_places_and_models_that_cannot_be_used_are_refused_by_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("", encoding="utf-8")
    said = fails(capsys, "export", "--model", MODEL, "--out", "file")
    assert said.startswith("error: file is a file, and a folder is needed there: give a folder that you may write to")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "manifest.json").write_text('{"name": "a page of the web"}', encoding="utf-8")
    for other in ("[1]", '\ufeff{"name": "a page"}', '{"name": "a page of the web"}'):
        (tmp_path / "page" / "manifest.json").write_text(other, encoding="utf-8")
        assert "manifest.json is of something else" in fails(capsys, "export", "--model", MODEL, "--out", "page")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["manifest.json"]
    bare = MODEL.removeprefix("pretrained:")
    assert f"there is no model {bare}: write {MODEL} for" in fails(capsys, "export", "--model", bare, "--out", "out")
    assert "file is no .safetensors file" in fails(capsys, "export", "--model", "file", "--out", "out")
    assert "there is no model" in fails(capsys, "export", "--model", "none", "--out", "out")
    assert "there is no pretrained model 'x'" in fails(capsys, "export", "--model", "pretrained:x", "--out", "out")
    (tmp_path / "m.safetensors").write_bytes(b"x" * 99)
    assert "m.safetensors" in fails(capsys, "export", "--model", "m.safetensors", "--out", "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr("fastslow.export.folder._PACKAGES", ("no_such_package",))
    assert 'pip install "fastslow[export]"' in fails(capsys, "export", "--model", MODEL, "--out", "out")


@pytest.mark.no_cover  # what it runs, others run
@pytest.mark.slow
def test_an_export_replaces_one_that_is_there(copied, tmp_path, glyphs):
    save_model(tmp_path / "m.safetensors", built(name="default", method="protonet", **SMALL))
    with types_unchecked():
        main(["export", "--model", str(tmp_path / "m.safetensors"), "--out", str(copied)])
    assert json.loads((copied / MANIFEST).read_text(encoding="utf-8"))["details"]["model"]["method"] == "protonet"
    original = FewShotClassifier(load_model(tmp_path / "m.safetensors"))
    assert largest_gap(original, ExportedClassifier(copied, threads=1), glyphs, 10) < 1e-5
