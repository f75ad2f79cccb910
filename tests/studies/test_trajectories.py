"""Road users in a stream: what is forecast before it is learned, and what is said of it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastslow.data.tracks.resample import resampled, windows_of
from fastslow.errors import InputError
from fastslow.protocol.result import Cell
from fastslow.studies import load_study, trajectories
from fastslow.studies.base import Selection, Study
from fastslow.studies.ten_tracks import errors_of
from fastslow.studies.track_learners import Setting, rows_of
from fastslow.studies.track_networks import Supervised, mlp
from fastslow.studies.trajectories import METHODS, NETWORKS, STUDY, _streamed, _streamed_network
from track_sample import turning


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(trajectories, "_TRACKS", 130)


def test_the_study_is_registered_and_every_seed_has_every_forecaster_at_both_rates():
    assert load_study("trajectories") is STUDY
    assert isinstance(STUDY, Study)
    for budget, seeds in (("quick", 2), ("cpu", 5)):
        cells = STUDY.cells(budget)
        cells = [cell for cell in cells if cell.options["protocol"] == "stream"]
        methods = (*METHODS, *trajectories.PLANS[budget].networks)
        assert len({cell.key for cell in cells}) == len(cells) == 2 * len(methods) * seeds
        assert {cell.method for cell in cells} == set(methods)
    assert set(trajectories.PLANS["cpu"].networks) == set(NETWORKS)
    with pytest.raises(InputError, match="runs on junction or vru"):
        STUDY.cells("quick", "omniglot")
    assert {cell.options.get("first", 50) for cell in STUDY.cells("cpu", "junction")} == {50}  # it has no 300


@pytest.mark.no_cover  # lines that others run
def test_a_track_is_forecast_before_it_is_learned_and_the_memory_learns_the_place():
    tracks = turning(60, length=110)
    errors = {method: _streamed(method, tracks, tracks, 10.0, seed=0) for method in METHODS}
    assert np.array_equal(errors["memory"][0], errors["damped"][0])
    assert not np.array_equal(errors["memory"][1], errors["damped"][1])
    assert np.array_equal(errors["memory"], _streamed("memory", tracks, tracks, 10.0, seed=0))
    assert len(errors["memory"]) == 60


def test_only_the_first_piece_of_a_track_is_forecast_whatever_tracks_are_called():
    plain = turning(20, length=110)
    renamed = dataclasses.replace(plain, names=tuple(f"p#{k}" for k in range(20)))
    errors = [_streamed("memory", tracks, tracks, 10.0, seed=0) for tracks in (plain, renamed)]
    assert len(errors[1]) == 20
    assert np.array_equal(*errors)
    times = np.concatenate([plain.times, plain.times + 60.0])[np.argsort(np.tile(plain.track, 2), kind="stable")]
    twice = dataclasses.replace(
        renamed, times=times, track=np.repeat(np.arange(20), 220),
        positions=plain.positions.reshape(20, 1, 110, 2).repeat(2, 1).reshape(-1, 2),
    )  # fmt: skip
    assert len(_streamed("memory", plain, twice, 10.0, seed=0)) == 20


def test_networks_forecast_each_track_before_it_is_learned_too():
    tracks, setting = resampled(turning(20, length=110), 10.0), Setting(10.0, 0, 0.01)
    frozen = Supervised(setting, mlp)
    frozen.train(windows_of(tracks, every=4))
    windows = windows_of(tracks)
    order = np.random.default_rng(0).permutation(20)
    plain = errors_of(frozen, rows_of(windows, order))
    for method in NETWORKS:
        errors = _streamed_network(method, tracks, tracks, setting)
        assert np.allclose(errors[0], plain[0], rtol=1e-5)
        assert np.allclose(errors[1:], plain[1:], rtol=1e-5) == (method == "mlp")


@pytest.mark.no_cover  # lines that others run
def test_a_cell_is_measured_on_made_up_junctions_and_shown(tmp_path, few):
    cells = [cell for cell in STUDY.cells("quick") if cell.seed == 0][:4]
    results = [STUDY.run(cell, tmp_path / "x") for cell in cells]
    by_method = {result.cell.method: result.numbers for result in results}
    assert len({numbers["mse"].mean for numbers in by_method.values()}) >= 3
    assert all(0 < numbers["ade"].mean < numbers["fde"].mean for numbers in by_method.values())
    assert by_method["memory"]["ade"].unit == "m"
    (table,) = STUDY.page(results).tables
    assert [row[1] for row in table.rows] == list(METHODS)[:4]
    assert table.rows[0][4] == "1.000"


def test_too_few_tracks_and_cells_of_another_study_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(trajectories, "_TRACKS", 20)
    with pytest.raises(InputError, match="long enough; more than 50 were expected"):
        STUDY.run(STUDY.cells("quick")[0], tmp_path)
    with pytest.raises(InputError, match="is no cell of study trajectories"):
        STUDY.run(Cell("other", "memory", "junction", {"task": "25 Hz"}, 0), tmp_path)


def test_the_data_are_chosen_by_name_and_others_are_refused():
    assert {cell.data for cell in Selection(data="vru").of(STUDY, "quick")} == {"vru"}
    with pytest.raises(InputError, match=r"a study runs on data with a name: .*junction, vru"):
        Selection(data="elsewhere").of(STUDY, "quick")
