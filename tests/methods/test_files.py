from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest
import torch

from fastslow import FastSlowClassifier, FastSlowForecaster
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import CONTROLS, METHODS, PRESETS, preset
from fastslow.methods.files import PRETRAINED_FOLDER, TrainedModel, load_model, pretrained_names, save_model
from fastslow.methods.maml import MAML
from fastslow.methods.nmn import FineTunedNetwork
from fastslow.tensors import load_tensors, save_tensors

SMALL = {"channels": (4, 8), "residual": (False, True), "projection": 16, "dim": 16, "predictor_hidden": 8, "n_way": 3}


def make(name="default", **changes):
    config = preset(name, num_slots=4, **{**SMALL, **changes})
    torch.manual_seed(0)
    return TrainedModel(build_method(config).eval(), config, {"note": 1})


def answer(model):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, model.method.encoder.num_features, generator=generator)
    if isinstance(model.method, MAML):  # whose features are images
        features = torch.rand(2, 3, 1, 28, 28, generator=generator)
    if isinstance(model.method, FineTunedNetwork):
        model.method.steps = 2  # weights are compared here, not how well they are tuned
    return model.method(features, torch.arange(3).expand(2, 3), features).detach()


CASES = [(name, method, "none") for name in sorted(PRESETS) for method in METHODS]
CASES += [(name, method, control) for (method, name), found in CONTROLS.items() for control in found[1:]]


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize(("name", "method", "control"), CASES)
def test_a_model_comes_back_as_it_was(tmp_path, name, method, control):
    model = make(name, method=method, control=control)
    save_model(tmp_path / "model.safetensors", model)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        back = load_model(source)
        assert back.config == model.config
        assert back.details == {"note": 1}
        assert type(back.method) is type(model.method)
        assert torch.equal(answer(back), answer(model))


def test_half_the_size_is_near_enough(tmp_path):
    model = make()
    save_model(tmp_path / "full.safetensors", model)
    save_model(str(tmp_path / "half.safetensors"), model, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    torch.testing.assert_close(answer(load_model(tmp_path / "half.safetensors")), answer(model), atol=1e-2, rtol=1e-2)


def test_the_file_is_complete_in_itself_and_its_json_a_copy(tmp_path):
    model = make()
    save_model(tmp_path / "model.safetensors", model)
    said = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))
    assert said["model"]["dim"] == 16
    for content in ('{"model": "another"}', None):
        if content is None:
            (tmp_path / "model.json").unlink()
        else:
            (tmp_path / "model.json").write_text(content, encoding="utf-8")
        assert torch.equal(answer(load_model(tmp_path)), answer(model))


def test_missing_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"there is no model .*nowhere: give a run folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no pretrained model 'omniglot-3w'"):
        load_model("pretrained:omniglot-3w")


@pytest.mark.parametrize("name", pretrained_names())
def test_a_bare_name_is_refused_with_how_it_is_written(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    cure = f"write pretrained:{name} for the one that ships with the library"
    with pytest.raises(InputError, match=rf"there is no model {name}: {cure}"):
        load_model(name)
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=rf"there is no model {name}.model\.safetensors: {cure}"):
        load_model(name)
    with pytest.raises(InputError, match=rf"'pretrained:{name}'; write {name} without pretrained: before it"):
        load_model(f"pretrained:pretrained:{name}")


def test_a_folder_is_not_hidden_by_a_model_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = pretrained_names()[0]
    save_model(Path(name) / "model.safetensors", make())
    assert load_model(name).details == {"note": 1}


def test_a_file_that_is_no_model_is_not_said_to_be_missing(tmp_path):
    for name in ("page.html", "model", "model.safetensors.zip"):
        (tmp_path / name).write_text("")
        with pytest.raises(
            InputError, match=rf"{name} is no \.safetensors file: give a run folder, a \.safetensors file"
        ):
            load_model(tmp_path / name)


def test_a_name_that_could_not_be_read_again_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match=r"m\.pt to write a model to; give a file that ends in \.safetensors"):
        save_model(tmp_path / "m.pt", make())
    assert list(tmp_path.iterdir()) == []


def test_any_flipped_bit_is_refused_by_name(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, make())
    whole = path.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.raises(InputError, match=r"model\.safetensors"):
            load_model(path)
    for broken in (whole[: len(whole) // 2], b"x" * 100, b""):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"model\.safetensors"):
            load_model(path)


def rewritten(path, tensors=None, **changes):
    """A file whose checksum is right, but whose header or tensors are not what they should be."""
    old_tensors, header = load_tensors(path)
    save_tensors(path, old_tensors if tensors is None else tensors, header | changes)


def test_a_header_that_asks_for_other_weights_is_refused(tmp_path):
    path, model = tmp_path / "model.safetensors", make()
    wider = dataclasses.asdict(dataclasses.replace(model.config, dim=8, projection=8))
    for changes, message in (
        ({"model": wider}, r"of shape \(.*\), but its header asks for \(.*\)"),
        ({"model": dataclasses.asdict(model.config) | {"colour": "red"}}, "unknown option 'colour'"),
        ({"model": dataclasses.asdict(model.config) | {"n_way": -3}}, "got n_way=-3"),
        ({"model": dataclasses.asdict(model.config) | {"dim": 100_000, "projection": 100_000}}, "but its header asks"),
        ({"model": 5}, "does not say what model it is"),
        ({"details": None}, "does not say what model it is"),
        ({"format": 2}, "has format 2; this version reads 3: train the model again"),
    ):
        save_model(path, model)
        rewritten(path, **changes)
        with pytest.raises(InputError, match=message):
            load_model(path)


def test_a_healthy_file_of_a_learner_is_no_model_that_must_be_trained_again(tmp_path):
    stream, forecaster = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    FastSlowClassifier(None).learn_one([1.0, 2.0], "a").save(stream)
    FastSlowForecaster(rate=5).save(forecaster)
    for path, words in (
        (stream, r"a\.safetensors holds a stream learner and no model of images: FastSlowClassifier\.load reads it"),
        (forecaster, r"b\.safetensors holds a forecaster and no model of images: FastSlowForecaster\.load reads it"),
    ):
        with pytest.raises(InputError, match=words):
            load_model(path)
    assert FastSlowClassifier.load(stream).learn_one([1.0, 3.0], "b")
    assert FastSlowForecaster.load(forecaster)


def test_missing_tensors_and_tensors_of_another_dtype_are_refused_by_name(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, make())
    tensors, _ = load_tensors(path)
    for changed, message in (
        ({k: v for k, v in tensors.items() if k != "decoder.weight"}, r"has no decoder\.weight"),
        (tensors | {"decoder.weight": tensors["decoder.weight"].double()}, r"decoder\.weight of dtype"),
    ):
        rewritten(path, changed)
        with pytest.raises(InputError, match=message):
            load_model(path)


def test_loading_leaves_torchs_global_state_alone_and_does_not_depend_on_it(tmp_path):
    save_model(tmp_path / "model.safetensors", make())
    expected = answer(load_model(tmp_path))
    before = torch.random.get_rng_state()
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        model = load_model(tmp_path)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(answer(model), expected)


@pytest.mark.parametrize("name", pretrained_names())
def test_models_that_ship_load_and_have_room_for_the_tasks_they_are_named_after(name):
    model = load_model(f"pretrained:{name}")
    assert "split_sha256" in model.details
    # The teacher of the quick model for 20 ways knew the validation characters, too.
    assert len(model.details["trained_on"]["classes"]) == (1028 if name == "omniglot-5w1s-fast" else 1200)
    for way, shot in re.findall("([0-9]+)w([0-9]+)s", name):
        assert model.method.num_classes >= int(way)
        assert model.method.capacity >= int(way) * int(shot)


def test_all_promised_models_ship_and_are_small_together():
    tasks = ("5w1s", "5w5s", "20w1s", "20w5s", "5w1s-fast", "20w1s-fast")
    assert {f"omniglot-{task}" for task in tasks} <= set(pretrained_names())
    assert sum(path.stat().st_size for path in PRETRAINED_FOLDER.iterdir()) < 8_000_000
