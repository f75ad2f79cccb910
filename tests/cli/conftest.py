"""A study that takes no time, for commands on studies."""

from __future__ import annotations

import pytest


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The fake study, listed as "fake", in a folder of the test's own."""
    from fastslow.studies import STUDIES
    from studies import fake_study

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(STUDIES, "fake", "studies.fake_study:STUDY")
    monkeypatch.setattr(fake_study, "STUDY", fake_study.FakeStudy(tmp_path / "runs.log"))
    return fake_study.STUDY
