"""Pretrained learners by torch and by onnxruntime: the same answers, and what is said where it cannot be."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest
import torch

from exported_sample import types_unchecked
from fastslow import FewShotClassifier, load_pretrained
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.export.kept import exported_graphs, kept_graphs
from fastslow.files import UnwritableError
from fastslow.runtime import ExportedClassifier

pytestmark = pytest.mark.xdist_group("kept graphs")

NAME = "omniglot-5w1s-fast"
SOURCE = f"pretrained:{NAME}"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder with graphs of one model."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch, types_unchecked():
        patch.setenv("FASTSLOW_CACHE", str(folder))
        exported_graphs(SOURCE)
    return folder


@pytest.fixture
def kept(cache, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(cache))


@pytest.fixture(scope="module")
def glyphs():
    return make_glyphs(num_classes=5, per_class=6, seed=77).images.reshape(5, 6, 28, 28)


def test_the_tests_of_a_group_are_known_as_such_to_what_hands_them_out(request):
    groups = request.config.getoption("loadgroup", False)  # of a process of pytest-xdist
    assert request.node.nodeid.endswith("@kept graphs") == groups  # else each process makes their fixtures


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize("backend", ["onnx", "auto"])
def test_answers_are_those_of_torch(kept, glyphs, backend):
    plain, quick = load_pretrained(NAME), load_pretrained(NAME, backend=backend)
    assert (type(plain), type(quick)) == (FewShotClassifier, ExportedClassifier)
    for part in (slice(0, 3), slice(3, 5)):
        for one in (plain, quick):
            one.learn(glyphs[part, 0], list("abcde"[part]))
    queries = glyphs[:, 1:].reshape(-1, 28, 28)
    np.testing.assert_allclose(quick.predict_proba(queries), plain.predict_proba(queries), atol=1e-5)
    assert quick.predict(queries) == plain.predict(queries)
    assert quick.predict(queries.half() / 255) == plain.predict(queries.half() / 255)


def test_what_comes_back_has_the_interface_of_the_estimator(kept, glyphs):
    quick = load_pretrained(NAME, backend="onnx", ink="bright", crop=False)
    public = {name for name, _ in inspect.getmembers(FewShotClassifier) if not name.startswith("_")}
    assert public - set(dir(quick)) == {"device"}
    assert quick.to("cpu") is quick
    assert quick.to(torch.device("cpu")) is quick
    assert quick.to("cpu:0") is quick
    with pytest.raises(InputError, match="got device='cuda'; exported models run on the processor"):
        quick.to("cuda")
    with pytest.raises(InputError, match="no dark ink"):
        load_pretrained(NAME, backend="auto", ink="dark").learn(glyphs[:1, 0], ["a"])


def test_it_computes_on_as_many_threads_as_torch(kept, monkeypatch):
    given = []
    monkeypatch.setattr("fastslow.runtime.graphs._session", lambda content, path, threads: given.append(threads))
    with pytest.raises(AttributeError):
        load_pretrained(NAME, backend="onnx")
    assert given == [torch.get_num_threads()]


def test_a_model_is_exported_once_and_again_where_the_graphs_were_damaged(cache, kept, tmp_path, monkeypatch):
    folder = kept_graphs(SOURCE)
    assert folder is not None
    assert [path.name for path in (cache / "graphs").iterdir()] == [folder.name]
    monkeypatch.setattr("fastslow.export.kept.export_model", None)
    assert exported_graphs(SOURCE) == folder
    content = (folder / "learn.onnx").read_bytes()
    (folder / "learn.onnx").write_bytes(content[:-1])
    try:
        assert kept_graphs(SOURCE) is None
        assert isinstance(load_pretrained(NAME, backend="auto"), FewShotClassifier)
        with pytest.raises(TypeError):
            exported_graphs(SOURCE)
    finally:
        (folder / "learn.onnx").write_bytes(content)


def test_what_was_never_exported_is_answered_by_torch_where_the_choice_is_free(kept):
    assert isinstance(load_pretrained("omniglot-20w1s-fast", backend="auto"), FewShotClassifier)


def test_without_onnxruntime_the_cure_is_said_and_the_free_choice_is_torch(kept, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"needs onnxruntime, not installed here: pip install \"fastslow\[export\]\""):
        load_pretrained(NAME, backend="onnx")
    assert isinstance(load_pretrained(NAME, backend="auto"), FewShotClassifier)


def test_the_processor_may_have_a_number(kept):
    assert isinstance(load_pretrained(NAME, backend="onnx", device="cpu:0"), ExportedClassifier)


def test_other_devices_and_backends_are_refused_in_words(kept):
    with pytest.raises(InputError, match="got device='cuda' with backend='onnx', which runs on the processor"):
        load_pretrained(NAME, backend="onnx", device="cuda")
    with pytest.raises(InputError, match=r"got backend='jax'; choose from \['torch', 'onnx', 'auto'\]"):
        load_pretrained(NAME, backend="jax")
    with pytest.raises(InputError, match="there is no pretrained model 'x'"):
        load_pretrained("x", backend="auto")


def test_a_cache_that_cannot_be_written_is_refused_with_the_variable_that_moves_it(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "file"))
    with pytest.raises(
        InputError, match=r"file.*cannot be written.*set FASTSLOW_CACHE to a folder that you"
    ) as refused:
        load_pretrained(NAME, backend="onnx")
    assert "give a file" not in str(refused.value)


@pytest.mark.parametrize("error", [UnwritableError("graphs cannot be written (full)"), OSError(28, "full")])
def test_a_disk_that_is_full_is_said_with_the_variable_that_moves_the_cache(tmp_path, monkeypatch, error):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path))

    def full(*_, **__):
        raise error

    monkeypatch.setattr("fastslow.export.kept.export_model", full)
    with pytest.raises(InputError, match=r"\(full\): free space, or set FASTSLOW_CACHE"):
        load_pretrained(NAME, backend="onnx")
    assert list((tmp_path / "graphs").iterdir()) == []


def test_a_cache_that_nobody_may_look_into_has_no_graphs(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path))

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("fastslow.export.kept.read_manifest", refuse)
    assert kept_graphs(SOURCE) is None
    assert isinstance(load_pretrained(NAME, backend="auto"), FewShotClassifier)
