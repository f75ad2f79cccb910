"""Knowledge sharing: when the second network is taught, what it shares with the first, and what is said of it."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from fastslow.core.motion import motion_of
from fastslow.data.base import ClassImages
from fastslow.data.splits import make_split
from fastslow.errors import InputError
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.studies import load_study, sharing, sharing_images, sharing_tracks
from fastslow.studies.base import Study
from fastslow.studies.sharing import EVERY, STUDY, TASKS, number, watched
from fastslow.studies.sharing_data import Asked, Examples, Pair
from fastslow.studies.sharing_images import IMAGES, LEARNED, WAYS
from fastslow.studies.sharing_learners import BATCH, ROWS, Branches
from fastslow.studies.sharing_tracks import TRACKS, pair_of, squared

OUTPUTS = 6


def examples(rows=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Examples(torch.randn(rows, 5, 2, generator=generator), torch.randn(rows, OUTPUTS, generator=generator))


def batch(seed=0):
    return examples(BATCH, seed)


def asked(rows=8, seed=9):
    loss = functools.partial(squared, factors=torch.ones(OUTPUTS))
    return Asked(examples(rows, seed), loss, torch.ones(rows).double(), torch.arange(rows) // 2, "of CV")


def branches_of(name, kind=TRACKS, outputs=OUTPUTS):
    return Branches(ROWS[name], kind, outputs=outputs, seed=0)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(sharing_tracks, "_TRACKS", 60)
    monkeypatch.setattr(sharing, "EVERY", 3)
    for cached in (pair_of, sharing_images.pair_of, sharing._courses):
        cached.cache_clear()
    yield
    for cached in (pair_of, sharing_images.pair_of, sharing._courses):
        cached.cache_clear()


def test_the_study_is_registered_and_every_seed_has_every_row():
    assert load_study("sharing") is STUDY
    assert isinstance(STUDY, Study)
    for budget, seeds, data in (("quick", 1, "junction"), ("cpu", 5, "vru")):
        cells = STUDY.cells(budget)
        assert len({cell.key for cell in cells}) == len(cells) == (len(ROWS) - 2) * seeds
        assert {cell.data for cell in cells} == {data}
    assert {cell.options["task"] for cell in STUDY.cells("cpu", "junction")} == set(TASKS["junction"])
    named = {cell.method for cell in STUDY.cells("cpu", "omniglot")}
    assert named == {name for name in ROWS if name not in ("errors", "first-errors")}
    with pytest.raises(InputError, match="runs on junction or vru or omniglot or glyphs"):
        STUDY.cells("quick", "mnist")


class Watcher(Branches):
    """Remembers who was shown what."""

    def __init__(self):
        self.seen = []
        self.lately = []

    def learn(self, batch):
        self.seen.append(("first", batch.inputs))

    def update(self, batch):
        self.seen.append(("second", batch.inputs))

    def answers(self, inputs, *, second):
        return torch.zeros(len(inputs), OUTPUTS)


def test_the_second_network_is_updated_after_each_hundred_iterations_of_the_first():
    pair = Pair(examples(), examples(30, seed=1), asked(), asked(), TRACKS, {})
    runs = [Watcher(), Watcher()]
    numbers = [dict(watched(watcher, pair, 3, seed=0)) for watcher in runs]
    assert [who for who, _ in runs[0].seen] == 3 * (EVERY * ["first"] + ["second"])
    assert EVERY == 100
    assert {len(inputs) for _, inputs in runs[0].seen} == {BATCH} == {10}
    assert list(numbers[0]) == [number(who, k) for k in range(4) for who in ("second", "first")]
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(*(run.seen for run in runs), strict=True))
    taught = torch.cat([inputs for who, inputs in runs[0].seen if who == "second"])
    assert len(taught.unique(dim=0)) == 30  # none twice before all have come
    with pytest.raises(InputError, match="got 4 windows to learn from; at least 10"):
        dict(watched(Watcher(), pair._replace(second=examples(4)), 1, seed=0))


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module, before):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize("name", list(ROWS))
def test_each_network_is_moved_by_its_own_examples_only(name):
    row, branches = ROWS[name], branches_of(name)
    first, second = branches.first.network, branches.second.network
    before = copied(second)
    branches.learn(batch())
    assert all(part.split(".")[0] in row.parts for part in moved(second, before))
    branches.update(batch(1))
    before, theirs = copied(first), copied(second)
    branches.update(batch(2))
    assert not moved(first, before)
    assert bool(moved(second, theirs)) == bool(row.steps or row.forward)
    for part in ("encoder", "decoder"):
        assert (getattr(first, part) is getattr(second, part)) == (part in row.parts)


def test_shared_predictors_are_one_object_that_both_learners_fit():
    branches = branches_of("shared")
    assert branches.first.predictors is branches.second.predictors
    assert branches.first.fit_optimiser is branches.second.fit_optimiser
    for teach in (branches.learn, branches.update):
        before = copied(branches.first.predictors)
        teach(batch())
        assert moved(branches.second.predictors, before)
    separate = branches_of("separate")
    before = copied(separate.second.predictors)
    separate.learn(batch())
    assert not moved(separate.second.predictors, before)


@pytest.mark.parametrize("name", ["shared-decoder", "shared-decoder-random"])
def test_forward_only_updates_move_the_output_controller_and_nothing_else(name):
    branches = branches_of(name)
    for seed in range(3):  # a predictor that has not been fitted predicts nothing
        branches.learn(batch(seed))
    network, predictors = copied(branches.second.network), copied(branches.second.predictors)
    branches.update(batch())
    names = moved(branches.second.network, network)
    assert names
    assert all(name.startswith("memory.output_controller.") for name in names)
    assert not moved(branches.second.predictors, predictors)


def test_random_predictors_are_never_fitted_and_those_of_the_first_are():
    branches = branches_of("shared-random")
    both = [branches.first.predictors, branches.second.predictors]
    before = [copied(predictors) for predictors in both]
    branches.learn(batch())
    branches.update(batch())
    assert [bool(moved(*pair)) for pair in zip(both, before, strict=True)] == [True, False]


def weights(learner):
    return torch.cat([parameter.detach().flatten() for parameter in learner.network.parameters()])


def test_a_copy_is_made_once_at_the_first_update():
    branches = branches_of("copied")
    branches.learn(batch())
    branches.update(batch(1))
    mine, theirs = weights(branches.second), weights(branches.first)
    assert 0 < float((mine - theirs).abs().max()) < 2 * TRACKS.rate
    for seed in range(20):
        branches.learn(batch(seed))
    branches.update(batch(2))
    assert float((weights(branches.second) - mine).abs().max()) < 2 * TRACKS.rate


@pytest.mark.no_cover  # lines that others run
def test_what_is_kept_comes_again_and_what_is_not_does_not(monkeypatch):
    for name, shown in (("backprop-40-kept", {0, 1, 2}), ("backprop-40", {2})):
        branches, seen = branches_of(name), []
        batches = [Examples(torch.full((BATCH, 5, 2), float(k)), torch.zeros(BATCH, OUTPUTS)) for k in range(3)]
        for one in batches[:2]:
            branches.update(one)
        monkeypatch.setattr(branches.second, "step", lambda inputs, targets, seen=seen: seen.append(inputs))
        branches.update(batches[2])
        assert {inputs.numel() for inputs in seen} == {BATCH * 5 * 2}
        assert len(seen) == 40
        assert set(torch.cat(seen).unique().tolist()) == shown


def test_a_memory_of_errors_answers_with_what_was_wrong_beside_a_network_that_stays_as_it_is():
    branches = branches_of("errors")
    taught, plain = batch(), branches_of("backprop")
    assert torch.equal(branches.answers(taught.inputs, second=True), plain.answers(taught.inputs, second=True))
    before = branches.answers(taught.inputs, second=True)
    branches.update(taught)
    after = branches.answers(taught.inputs, second=True)
    wrong = [(answers - taught.targets).square().mean() for answers in (before, after)]
    assert float(wrong[1]) < 0.2 * float(wrong[0])
    far = taught.inputs + 100
    assert torch.equal(branches.answers(far, second=True), plain.answers(far, second=True))
    assert torch.equal(branches.answers(far, second=False), plain.answers(far, second=False))


def test_a_ratio_is_of_sums_over_tracks_whose_windows_count_as_one():
    inputs, targets = torch.zeros(3, 5, 2), torch.zeros(3, 2)
    loss = functools.partial(squared, factors=torch.tensor([1.0, 2.0]))
    plain = torch.tensor([2.0, 4.0, 5.0]).double()
    told = Asked(Examples(inputs, targets), loss, plain, torch.tensor([0, 0, 1]), "of CV")
    found = told.ratio(torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    mine, plain = (1.0 + 4.0) / 2 + 5.0, (2.0 + 4.0) / 2 + 5.0
    off = torch.tensor([2.5 - 3.0 * mine / plain, 5.0 - 5.0 * mine / plain])
    assert found.mean == pytest.approx(mine / plain)
    assert (found.count, found.unit) == (2, "of CV")
    assert found.half_width == pytest.approx(1.96 * float(off.std()) / (plain / 2) / math.sqrt(2), rel=1e-5)


@pytest.mark.parametrize("task", TASKS["junction"])
def test_constant_velocity_is_one_in_either_frame_and_nobody_is_asked_what_was_taught(task, few):
    pair = pair_of(task, "junction", 0)
    first, second = (sharing_tracks._windows(tracks, 1) for tracks in sharing_tracks.PAIRS[task]("junction", 0))
    assert len(first.track) != len(second.track)
    for taught, told in ((pair.first, pair.first_asked), (pair.second, pair.second_asked)):
        rows = torch.cat([taught.inputs.unique(dim=0), told.examples.inputs.unique(dim=0)])
        assert len(rows.unique(dim=0)) == len(rows)
        assert torch.equal(told.group.unique(), torch.arange(int(told.group.max()) + 1))
        assert told.ratio(told.examples.targets).mean == 0
    places = pair_of(task, "junction", 0, places=True)
    assert torch.equal(places.second_asked.plain, pair.second_asked.plain)
    seen = sharing_tracks._stream(sharing_tracks.PAIRS[task]("junction", 0)[1], 0, "test").asked.seen
    plain = motion_of(seen, 25.0)
    ahead = plain.turned(plain.forecast(50, rate=25.0, damping=0.0) - seen[:, -1:])
    assert pair.second_asked.ratio(torch.from_numpy(ahead).flatten(1).float()).mean == pytest.approx(1, abs=1e-3)


def test_a_cell_is_measured_on_made_up_junctions_and_shown(tmp_path, few):
    cells = [cell for cell in STUDY.cells("quick") if cell.method in ("shared-literal", "shared-decoder", "first")]
    results = [STUDY.run(cell, tmp_path / cell.key) for cell in cells]
    for result, cell in zip(results, cells, strict=True):
        assert result.cell == cell
        assert set(result.numbers) == {number(who, k) for who in ("first", "second") for k in range(4)}
        assert f"--methods {cell.method} --seeds 1" in result.provenance.command
    assert not STUDY.page(results[:1]).figures
    assert [r.numbers for r in results] == [STUDY.run(cell, tmp_path / "again").numbers for cell in cells]
    assert results[1].cell.method == "shared-decoder"
    ours = results[1]
    assert ours.numbers[number("second", 3)].mean < 0.9 * ours.numbers[number("second", 0)].mean


def drawn(rows=BATCH, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(WAYS, (rows,), generator=generator)
    return Examples(torch.rand(rows, 1, 28, 28, generator=generator), torch.eye(WAYS)[labels])


@pytest.mark.parametrize("name", ["shared-literal", "shared-encoder", "shared-decoder"])
def test_networks_of_drawings_are_moved_by_their_own_examples_only(name):
    row, branches = ROWS[name], branches_of(name, IMAGES, WAYS)
    for seed in range(2):
        before = copied(branches.second.network)
        branches.learn(drawn(seed=seed))
        assert all(part.split(".")[0] in row.parts for part in moved(branches.second.network, before))
    before, theirs = copied(branches.first.network), copied(branches.second.network)
    branches.update(drawn(seed=2))
    assert not moved(branches.first.network, before)
    assert moved(branches.second.network, theirs)
    asked_about = drawn(4, seed=3).inputs
    together = branches.answers(asked_about, second=True)
    alone = torch.cat([branches.answers(one[None], second=True) for one in asked_about])
    assert torch.allclose(together, alone, atol=1e-5)


def test_two_hands_draw_the_same_characters_and_share_no_drawing():
    pair = sharing_images.pair_of("hand to hand", "glyphs", 0)
    for taught, told in ((pair.first, pair.first_asked), (pair.second, pair.second_asked)):
        assert taught.targets.sum(0).tolist() == [LEARNED] * WAYS
        rows = torch.cat([taught.inputs, told.examples.inputs])
        assert len(rows.unique(dim=0)) == len(rows) == 40 * WAYS
        guess = torch.zeros(len(told.examples.inputs), WAYS)
        assert told.ratio(guess).mean == pytest.approx(1)
        assert told.right(guess).mean == pytest.approx(1 / WAYS)
        assert (told.ratio(20 * told.examples.targets).mean, told.right(told.examples.targets).mean) == (
            pytest.approx(0, abs=1e-6), 1,
        )  # fmt: skip
    ink = [part.inputs.mean((1, 2, 3)) for part in (pair.first, pair.second)]
    assert max(its.mean() for its in ink) > 1.5 * min(its.mean() for its in ink)  # one has the thicker pen
    other = sharing_images.pair_of("hand to hand", "glyphs", 0, part="validation")
    assert not torch.equal(other.first.inputs, pair.first.inputs)


def characters(alphabets, each=20):
    """Every drawing is of its own number: 256 times that of the character, and that of who drew it."""
    names = tuple(f"images_evaluation/{a}/character{c:02d}" for a, count in alphabets.items() for c in range(count))
    images = torch.zeros(len(names) * each, 28, 28, dtype=torch.uint8)
    images[:, 0, 0] = torch.arange(each).repeat(len(names))
    images[:, 0, 1] = torch.arange(len(names)).repeat_interleave(each)
    everything = ClassImages(images, torch.arange(len(names)).repeat_interleave(each), names)
    return everything, make_split("lake", names, train=(), validation=(), test=range(len(names)))


def test_two_alphabets_share_no_character_and_nobody_is_asked_about_who_drew_what_was_learned(monkeypatch, few):
    made = characters({"Angelic": 12, "Small": 9, "ULOG": 10})
    monkeypatch.setattr(sharing_images, "load_source", lambda data, split: made)
    pair = sharing_images.pair_of("alphabet to alphabet", "omniglot", 0)
    seen = []
    for taught, told in ((pair.first, pair.first_asked), (pair.second, pair.second_asked)):
        who, what = ((255 * taught.inputs[:, 0, 0, k]).round().long() for k in (0, 1))
        by, which = ((255 * told.examples.inputs[:, 0, 0, k]).round().long() for k in (0, 1))
        assert set(what.tolist()) == set(which.tolist())
        assert (len(set(what.tolist())), len(set(who.tolist())), len(set(by.tolist()))) == (WAYS, LEARNED, 20 - LEARNED)
        assert not set(who.tolist()) & set(by.tolist())
        seen.append(set(what.tolist()))
    assert sorted(map(min, seen))[0] < 12
    assert sorted(map(min, seen))[1] == 21  # no alphabet is in both, and the small one is in neither
    assert pair.facts["split"] == "lake"
    made = characters({"Angelic": 12, "Small": 9})
    sharing_images.pair_of.cache_clear()
    with pytest.raises(InputError, match="got 1 alphabets of 10 characters in part test; two were expected"):
        sharing_images.pair_of("alphabet to alphabet", "omniglot", 0)


@pytest.mark.no_cover  # lines that others run
def test_a_first_network_that_learns_alike_does_not_learn_again(monkeypatch):
    monkeypatch.setattr(sharing, "EVERY", 2)
    pair = Pair(examples(), examples(seed=1), asked(), asked(), TRACKS, {})
    courses = []
    alone = dict(watched(branches_of("shared-decoder"), pair, 3, 0))
    dict(watched(branches_of("copied"), pair, 2, 0, courses))
    assert len(courses) == 2
    again = branches_of("shared-decoder")
    learned = []
    learn, again.learn = again.learn, lambda batch: (learned.append(batch), learn(batch))
    assert dict(watched(again, pair, 3, 0, courses)) == alone  # two of three updates found, the third learned
    assert (len(learned), len(courses)) == (2, 3)
    assert {name for name, row in ROWS.items() if row.mutual} == {"shared-literal", "shared"}


def test_a_cell_is_measured_on_two_hands_and_shown_with_the_share_of_right_answers(tmp_path, few):
    cells = [cell for cell in STUDY.cells("quick", "glyphs") if cell.method in ("backprop-tuned", "shared-decoder")]
    results = [STUDY.run(cell, tmp_path / cell.key) for cell in cells]
    for result in results:
        ends = {number("first right", 3), number("second right", 3)}
        assert set(result.numbers) == ends | {number(who, k) for who in ("first", "second") for k in range(4)}
        assert result.numbers[number("second", 0)].unit == "of guessing"
        assert result.provenance.protocol["learned"] == LEARNED
    table = STUDY.page(results).tables[0]
    assert "cross entropy over that of guessing" in table.title
    assert "second, % right" in table.columns
    assert {len(row) for row in table.rows} == {len(table.columns)}


def test_cells_of_another_study_are_refused(tmp_path):
    with pytest.raises(InputError, match="is no cell of study sharing"):
        STUDY.run(Cell("other", "shared", "junction", {}, 0), tmp_path)


def test_the_page_says_how_soon_a_row_is_where_backpropagation_ends(tmp_path):
    chosen = ("backprop-tuned", "shared-decoder", "first")
    cells = [cell for cell in STUDY.cells("quick") if cell.method in chosen]
    curves = {"backprop-tuned": [9, 8, 7, 5], "shared-decoder": [4, 6, 3, 2], "first": [9, 9, 9, 9]}
    results = [
        Result(cell, {
            number(who, k): Interval(float(error), 0.1, 9, "of CV")
            for who in ("first", "second") for k, error in enumerate(curves[cell.method])
        }, Provenance(command="", versions={}))
        for cell in cells
    ]  # fmt: skip
    page = STUDY.page(results)
    (table,), (figure,) = page.tables, page.figures
    last = {row[0]: list(row[1:2]) + list(row[-2:]) for row in table.rows}
    assert last == {
        "backprop-tuned": ["1 + 0", "1.00", "3 of 3"], "shared-decoder": ["0 + 40", "0.40", "2 of 3"],
        "first": ["0 + 0", "1.80", "-"],
    }  # fmt: skip
    assert figure.frame()["shared-decoder"] == [4, 6, 3, 2]
    assert figure.frame()["iterations"] == [0, 100, 200, 300]
    assert STUDY.page(results[1:]).tables[0].rows[0][-1] == "-"
    figure.plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
