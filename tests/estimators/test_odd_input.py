"""What is neither examples nor labels, however it is wrapped, is refused in words."""

import numpy as np
import pytest
import torch

from fastslow import FastSlowClassifier, FewShotClassifier, load_model, load_pretrained, preset
from fastslow.data import make_glyphs
from fastslow.errors import InputError
from fastslow.runtime import ExportedClassifier

VECTORS, NUMBERS = np.eye(3, 4), np.arange(3)
DRAWINGS = make_glyphs(num_classes=3, per_class=1, seed=0).images.numpy()
DATES = np.array(["2020-01-01", "NaT", "2021-01-01"], "M8[ns]")
MASKED = np.ma.array(NUMBERS, mask=[0, 1, 0])
LABELS = {
    "dates": (DATES, "a date or a span of time"), "list of dates": (list(DATES), "a date or a span of time"),
    "days": (DATES.astype("M8[D]"), "a date or a span of time"), "spans": (DATES - DATES[0], "or a span of time"),
    "masked": (MASKED, "got labels of which 1 are masked"), "sparse": (torch.eye(3).to_sparse(), "cannot be"),
    "meta": (torch.zeros(3, device="meta"), "cannot be"), "number": (3, "give a list"), "none": (None, None),
}  # fmt: skip


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("name", LABELS)
def test_labels_that_are_none_are_refused_wherever_they_are_given(name):
    labels, message = LABELS[name]
    taught = FastSlowClassifier(None).fit(VECTORS, NUMBERS)
    for give in (FastSlowClassifier(None).fit, taught.partial_fit, taught.score):
        with pytest.raises(InputError, match=message or "requires y"):
            give(VECTORS, labels)
    with pytest.raises(InputError):
        load_pretrained("omniglot-5w1s-fast").learn(DRAWINGS, labels)
    assert taught.classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("other", [True, 1.0])
def test_no_class_is_forgotten_or_renamed_by_a_label_of_another_type(other):
    learner = FastSlowClassifier(None).fit(VECTORS, [1, 2, 3])
    for change in (learner.forget, lambda label: learner.rename(label, 7)):
        with pytest.raises(InputError, match="equal but of different type"):
            change(other)
    assert learner.forget(np.int64(1)).classes_.tolist() == [2, 3]


WRAPPINGS = ("masked", "sparse", "meta", "quantised", "text", "bytes", "dates", "complex")


def _wrapped(values):
    tensor = torch.as_tensor(values).float()
    return {
        "masked": np.ma.array(values, mask=values > 0), "sparse": tensor.to_sparse(), "meta": tensor.to("meta"),
        "quantised": torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "text": values.astype("U5"),
        "bytes": values.astype("S5"), "dates": values.astype("M8[s]"), "complex": torch.complex(tensor, tensor).conj(),
    }  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_examples_that_are_no_plain_numbers_are_refused(wrapping):
    for model, values in ((None, VECTORS), ("omniglot-5w1s-fast", DRAWINGS)):
        learner = FastSlowClassifier(model).fit(values, NUMBERS)
        given = _wrapped(values)[wrapping]
        with pytest.raises(InputError):
            learner.predict(given)
        for learn in (learner.fit, learner.partial_fit):
            with pytest.raises(InputError):
                learn(given, NUMBERS)
        with pytest.raises(InputError):
            learner.learn_one(given[0], 0)
    with pytest.raises(InputError):
        load_pretrained("omniglot-5w1s-fast").learn(_wrapped(DRAWINGS)[wrapping], NUMBERS)


def test_wrappings_that_hide_nothing_are_taken():
    for values in (np.ma.array(VECTORS), torch.eye(3, 4).bfloat16(), torch.eye(3, 4).to(torch.float16)):
        learner = FastSlowClassifier(None).fit(values, np.ma.array(NUMBERS))
        assert learner.predict_one(values[1]) == 1
    with pytest.raises(InputError, match="the example cannot be made an array"):
        learner.predict_one([[1], [1, 2]])


@pytest.mark.usefixtures("as_users_call_it")
@pytest.mark.parametrize("value", ["false", None, 2, 0.5, [True]])
def test_an_option_that_is_neither_true_nor_false_is_refused(value, tmp_path):
    model = load_model("pretrained:omniglot-5w1s-fast")
    for name, make in {
        "crop": lambda: FewShotClassifier(model, crop=value),
        "slow": lambda: FastSlowClassifier(None, slow=value).fit(VECTORS, NUMBERS),
        "doubt_labels": lambda: FastSlowClassifier(None, doubt_labels=value).fit(VECTORS, NUMBERS),
        "int8": lambda: ExportedClassifier(tmp_path, int8=value),
        "write_gate": lambda: preset("default", write_gate=value),
        r"residual\[0\]": lambda: preset("paper", residual=(value,) * 3),
    }.items():
        with pytest.raises(InputError, match=rf"got {name}=.*; True or False was expected"):
            make()
    for true in (1, np.True_):
        assert preset("default", views=true).views is True
