"""Encoders in ONNX files: what they make, and files that are none."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from fastslow import FastSlowClassifier
from fastslow.errors import InputError
from stream_sample import clouds

WEIGHT = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)


def write_model(path, *, batch="n", kind=TensorProto.FLOAT, inputs=1, weight=WEIGHT):
    """examples @ weight, plus a sum over further inputs."""
    given = [helper.make_tensor_value_info(f"x{k}", kind, [batch, len(weight)]) for k in range(inputs)]
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, weight.shape[1]])
    matrix = helper.make_tensor("w", TensorProto.FLOAT, weight.shape, weight.ravel().tolist())
    nodes = [
        helper.make_node("Cast", ["x0"], ["f"], to=TensorProto.FLOAT), helper.make_node("MatMul", ["f", "w"], ["y"])
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "g", given, [out], [matrix])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize("batch", ["n", 1, 4])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_a_model_in_a_file_is_compared_like_the_same_function(tmp_path, batch, kind):
    vectors, labels = clouds(each=3)
    path = write_model(tmp_path / "m.onnx", batch=batch, kind=kind)
    by_file = FastSlowClassifier(str(path)).fit(vectors[:7], labels[:7]).partial_fit(vectors[7:], labels[7:])
    by_function = FastSlowClassifier(lambda x: x @ WEIGHT).fit(vectors, labels)
    assert np.allclose(by_file.decision_function(vectors), by_function.decision_function(vectors), rtol=1e-4)
    assert by_file.predict_one(torch.from_numpy(vectors[0])) == by_function.predict_one(vectors[0])


def test_bytes_go_in_as_bytes(tmp_path):
    path = write_model(tmp_path / "m.onnx", kind=TensorProto.UINT8)
    images = np.random.default_rng(0).integers(0, 255, size=(6, 5), dtype=np.uint8)
    learner = FastSlowClassifier(path).fit(images, [0, 1, 2, 0, 1, 2])
    assert learner.memory_.examples.num_features == 3
    for others in (images / 255.0, images.astype(int) + 300):
        with pytest.raises(InputError, match="it takes bytes, whole numbers from 0 to 255"):
            learner.predict(others)


def test_a_saved_learner_knows_the_file_that_it_was_taught_with(tmp_path):
    vectors, labels = clouds()
    path = write_model(tmp_path / "m.onnx")
    FastSlowClassifier(str(path)).fit(vectors, labels).save(tmp_path / "a.safetensors")
    again = FastSlowClassifier.load(tmp_path / "a.safetensors")
    assert again.score(vectors, labels) > 0.9
    write_model(path, weight=-WEIGHT)
    with pytest.raises(InputError, match="its weights have changed"):
        FastSlowClassifier.load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"nothing", bytes(1000)])
def test_what_is_no_model_is_refused_by_name(tmp_path, content):
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"m\.onnx"):
        FastSlowClassifier(str(tmp_path / "m.onnx")).fit(np.ones((2, 5), np.float32), [0, 1])


def test_a_truncated_or_missing_file_is_refused_by_name(tmp_path):
    path = write_model(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"m\.onnx is no ONNX model that can be run"):
        FastSlowClassifier(str(path)).fit(np.ones((2, 5), np.float32), [0, 1])
    with pytest.raises(InputError, match=r"none\.onnx cannot be read"):
        FastSlowClassifier(str(tmp_path / "none.onnx")).fit(np.ones((2, 5), np.float32), [0, 1])


def test_models_of_two_inputs_or_of_words_are_refused(tmp_path):
    for options in ({"inputs": 2}, {"kind": TensorProto.INT64}):
        path = write_model(tmp_path / "m.onnx", **options)
        with pytest.raises(InputError, match="one input was expected"):
            FastSlowClassifier(str(path)).fit(np.ones((2, 5), np.float32), [0, 1])


@pytest.mark.parametrize("examples", [np.ones((2, 4)), np.ones((0, 5)), [["a"] * 5] * 2, 3])
def test_examples_that_do_not_fit_are_refused_with_what_the_model_takes(tmp_path, examples):
    path = write_model(tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"m\.onnx makes no features of examples of shape"):
        FastSlowClassifier(str(path)).fit(examples, [0, 1])


def test_without_onnxruntime_the_cure_is_named(tmp_path, monkeypatch):
    path = write_model(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"pip install \"fastslow\[onnx\]\""):
        FastSlowClassifier(str(path)).fit(np.ones((2, 5), np.float32), [0, 1])


def test_the_file_is_one_that_the_checker_of_onnx_takes(tmp_path):
    onnx.checker.check_model(onnx.load(write_model(tmp_path / "m.onnx")))
