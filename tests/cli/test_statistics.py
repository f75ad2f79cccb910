"""`fastslow statistics`: the file that stream learners start from."""

import numpy as np
import pytest
import torch

from fastslow import FastSlowClassifier
from fastslow.cli import main
from fastslow.core.gaussian import class_statistics
from fastslow.errors import InputError
from fastslow.estimators.statistics import load_statistics
from fastslow.estimators.weights import weights_sha256
from fastslow.methods.files import load_model, save_model
from fastslow.protocol.features import embed


@pytest.fixture
def model(tmp_path, few_glyphs):
    save_model(tmp_path / "m.safetensors", load_model("pretrained:omniglot-5w1s-fast"))
    return tmp_path / "m.safetensors"


def test_statistics_lie_beside_the_model_and_learners_start_from_them(model, tmp_path, capsys):
    plain = FastSlowClassifier(str(model))
    assert plain._encoder().prior is None
    main(["statistics", str(model), "--data", "glyphs"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "m.statistics")
    prior = FastSlowClassifier(str(model))._encoder().prior
    from fastslow.data.registry import load_source

    images, split = load_source("glyphs", image_size=28)
    part = images.select(split.train)
    expected = class_statistics(embed(load_model(str(model)).method.encoder.folded(), part.images), part.labels)
    for found, wanted in zip(prior, expected, strict=True):
        assert torch.allclose(found, wanted, atol=0.01 * float(wanted.abs().max()))
    main(["statistics", str(model), "--data", "glyphs", "--part", "all", "--out", str(tmp_path / "o.statistics")])
    sha256 = weights_sha256(load_model(str(model)).method.encoder.state_dict())
    other = load_statistics(tmp_path / "o.statistics", 128, sha256)
    assert not torch.equal(other.within, prior.within)


def test_statistics_are_of_the_images_that_the_model_was_trained_on_read_as_then(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr("fastslow.data.registry.load_source", lambda data, **how: read.append((data, how)) or 1 / 0)
    trained = load_model("pretrained:omniglot-5w1s-fast")
    told = {"data": "mine", "split": "lake", "ink": "as_is", "crop": True}
    save_model(tmp_path / "m.safetensors", trained._replace(details={**trained.details, "training": told}))
    for options in ([], ["--data", "mine"], ["--data", "glyphs", "--split", "vinyals"]):
        with pytest.raises(ZeroDivisionError):
            main(["statistics", str(tmp_path / "m.safetensors"), *options])
    found = [(data, how["split"], how["ink"], how["crop"]) for data, how in read]
    assert found == [("mine", "lake", "as_is", True)] * 2 + [("glyphs", "vinyals", "auto", False)]


def test_statistics_of_other_features_are_refused_by_name(model, tmp_path):
    main(["statistics", str(model), "--data", "glyphs"])
    with pytest.raises(InputError, match=r"m\.statistics holds no statistics of 64 features; make it again"):
        load_statistics(tmp_path / "m.statistics", 64, "")
    with pytest.raises(InputError, match=r"m\.statistics is of other weights than the model's; make it again"):
        load_statistics(tmp_path / "m.statistics", 128, "0" * 64)
    (tmp_path / "m.statistics").write_bytes(b"x" * 99)
    with pytest.raises(InputError, match=r"m\.statistics"):
        FastSlowClassifier(str(model)).learn_one(np.ones((28, 28)), "a")
