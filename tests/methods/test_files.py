from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from fastslow.errors import InputError
from fastslow.methods.files import TrainedModel, load_model, pretrained_names, save_model
from fastslow.methods.models import build_learner, preset
from fastslow.methods.protonet import PrototypeClassifier


@pytest.fixture
def model(tiny_model):
    config = preset("default", n_way=3, num_slots=4, **{k: _tuple(v) for k, v in tiny_model.items()})
    torch.manual_seed(0)
    learner = build_learner(config).eval()
    return TrainedModel(learner, PrototypeClassifier(num_classes=3), config, "fastslow", {"note": 1})


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


def _answer(model):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 3, 16, generator=generator)
    with torch.no_grad():
        return model.learner(features, torch.arange(3).expand(2, 3), features)


def test_a_model_comes_back_as_it_was(model, tmp_path):
    save_model(tmp_path / "model.safetensors", model)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        back = load_model(source)
        assert back.config == model.config
        assert back.details == {"note": 1}
        assert torch.equal(_answer(back), _answer(model))


def test_half_the_size_is_near_enough(model, tmp_path):
    save_model(tmp_path / "full.safetensors", model)
    save_model(tmp_path / "half.safetensors", model, half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.7 * sizes[0]
    torch.testing.assert_close(_answer(load_model(tmp_path / "half.safetensors")), _answer(model), atol=1e-2, rtol=1e-2)


def test_missing_files_are_refused_by_name(model, tmp_path):
    with pytest.raises(InputError, match=r"there is no model .*nowhere: give a run folder"):
        load_model(tmp_path / "nowhere")
    with pytest.raises(InputError, match="there is no pretrained model 'omniglot-3w'"):
        load_model("pretrained:omniglot-3w")
    save_model(tmp_path / "model.safetensors", model)
    (tmp_path / "model.json").unlink()
    with pytest.raises(InputError, match=r"model\.json is missing"):
        load_model(tmp_path)


def test_corrupt_files_are_refused_by_name(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    whole = path.read_bytes()
    for broken in (whole[: len(whole) // 2], b"x" * 100, b""):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"model\.safetensors is corrupt or truncated"):
            load_model(path)
    path.write_bytes(whole)
    (tmp_path / "model.json").write_text('{"format": 2}')
    with pytest.raises(InputError, match=r"model\.json is no description of a model"):
        load_model(path)
    (tmp_path / "model.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="has format 99; this version reads format 2: train"):
        load_model(path)


def test_other_sizes_are_refused_by_name(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    content = json.loads((tmp_path / "model.json").read_text())
    content["model"]["dim"] = content["model"]["projection"] = 8
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"of shape \(.*\), but its JSON asks for \(.*\)"):
        load_model(path)
    content["model"] = dataclasses.asdict(model.config) | {"colour": "red"}
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="unknown option 'colour'"):
        load_model(path)


def test_missing_tensors_are_refused_by_name(model, tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(path, model)
    tensors = load_file(path)
    del tensors["learner.network.decoder.weight"]
    save_file(tensors, path)
    with pytest.raises(InputError, match=r"has no network\.decoder\.weight"):
        load_model(path)


@pytest.mark.parametrize("name", pretrained_names())
def test_models_that_ship_are_small_and_load(name):
    from fastslow.methods.files import PRETRAINED_FOLDER

    assert (PRETRAINED_FOLDER / f"{name}.safetensors").stat().st_size < 3_000_000
    model = load_model(f"pretrained:{name}")
    assert f"{model.config.n_way}w1s" in name
    assert "split_sha256" in model.details


def test_both_promised_models_ship():
    assert {"omniglot-5w1s", "omniglot-20w1s"} <= set(pretrained_names())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 5}, "is no description of a model"),
        ({"details": None}, "is no description of a model"),
        ({"method": "foo"}, "has method 'foo'; the methods are fastslow, nmn, protonet"),
        ({"model": {"n_way": -3}}, "n_way=-3 came"),
    ],
    ids=str,
)
def test_a_description_that_cannot_be(model, tmp_path, change, message):
    save_model(tmp_path / "model.safetensors", model)
    content = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=message):
        load_model(tmp_path)
