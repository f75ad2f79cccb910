from __future__ import annotations

import pytest

from fastslow.errors import InputError
from fastslow.report.figures.update_curves import UpdateCurves


def test_a_line_a_learner_and_the_data_behind_it(tmp_path):
    figure = UpdateCurves("t", [0, 100, 200], {"a": [9.0, 3.0, 1.2], "b": [9.0, None, 8.0]}, "constant velocity")
    assert figure.frame() == {"iterations": [0, 100, 200], "a": [9.0, 3.0, 1.2], "b": [9.0, None, 8.0]}
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("curves", [{}, {"a": [1.0]}, {"a": [1.0, 2.0], "b": [1.0]}])
def test_no_curves_are_no_picture(curves):
    with pytest.raises(InputError, match="there are no lines to draw"):
        UpdateCurves("t", [0, 100], curves, "x")
