"""scikit-learn's conventions: its own checks, and its tools on our estimator."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastslow import FastSlowClassifier
from fastslow.errors import InputError

#: Checks that are not met, and why.
NOT_MET = {
    "check_estimators_unfitted": "wants scikit-learn's own NotFittedError; ours is a ValueError and an AttributeError "
    "as that is, and scikit-learn is not imported",
    "check_supervised_y_2d": "wants scikit-learn's own DataConversionWarning; a column of labels is taken silently",
}
#: Checks that scikit-learn leaves out where other libraries are missing.
LEFT_OUT = {"check_array_api_input", "check_classifier_data_not_an_array"}


#: As a user would, that is, without the types that tests check of every call.
_CHECKS = """
import json, warnings
from sklearn.utils.estimator_checks import check_estimator
from fastslow import FastSlowClassifier
warnings.simplefilter("ignore")
found = check_estimator(FastSlowClassifier(None), on_fail=None)
print(json.dumps({each["check_name"]: each["status"] for each in found}))
"""


def test_scikit_learns_checks_are_met_but_for_those_listed():
    said = subprocess.run([sys.executable, "-c", _CHECKS], capture_output=True, text=True, check=True).stdout
    statuses = json.loads(said.splitlines()[-1])
    assert {name for name, status in statuses.items() if status == "failed"} == set(NOT_MET)
    assert {name for name, status in statuses.items() if status == "skipped"} <= LEFT_OUT
    assert sum(status == "passed" for status in statuses.values()) >= 45


def test_it_works_in_a_pipeline_and_under_cross_validation():
    vectors, digits = load_digits(return_X_y=True)
    scores = cross_val_score(make_pipeline(StandardScaler(), FastSlowClassifier(None)), vectors, digits, cv=3)
    assert scores.min() > 0.85


def test_a_clone_has_the_arguments_and_none_of_the_memory():
    learner = FastSlowClassifier(None, max_examples=7, eviction="oldest").fit(np.eye(2), ["a", "b"])
    copied = clone(learner)
    assert copied.get_params() == learner.get_params()
    assert not hasattr(copied, "memory_")
    assert list(learner.get_params()) == [
        name for name in inspect.signature(FastSlowClassifier).parameters if name != "self"
    ]


def test_arguments_are_changed_by_name():
    learner = FastSlowClassifier(None).set_params(max_examples=3)
    assert learner.max_examples == 3
    assert repr(learner) == "FastSlowClassifier(model=None, max_examples=3)"
    with pytest.raises(InputError, match="got the parameter 'most'; there are model, max_examples"):
        learner.set_params(most=3)


def test_scikit_learn_is_not_imported_by_it():
    code = (
        "import sys, numpy as np; from fastslow import FastSlowClassifier\n"
        "FastSlowClassifier(None).fit(np.eye(2), ['a', 'b']).predict(np.eye(2)); print('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("label", ["a\0", "\0", "a\0\0"])
def test_a_label_that_ends_in_a_zero_character_comes_back_whole(label):
    learner = FastSlowClassifier(None).fit(np.eye(3, 2) * 9, ["a", label, "b"])
    assert learner.predict(np.eye(3, 2) * 9).tolist() == ["a", label, "b"]
    assert set(learner.classes_.tolist()) == {"a", label, "b"}
