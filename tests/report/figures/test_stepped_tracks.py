"""Forecasts step by step: lines where they belong, the last step where no script runs, and a slider where one does."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fastslow.errors import InputError
from fastslow.report.figures.stepped_tracks import Forecaster, SteppedTracks, Track
from fastslow.studies.page import Page
from play.browser import Browser, needs_chromium

SEEN, FUTURE = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[3.0, 0.0], [4.0, 0.0]])
HOSTILE = '"><script>alert(1)</script><b x="'


def figure(*, steps=3, name="ours", tracks=2, **changes):
    """Ours is a metre off in y, then two, then three."""
    up = np.arange(1.0, steps + 1)[:, None, None, None] * np.array([0.0, 1.0])
    forecasts = np.broadcast_to(FUTURE + up, (steps, tracks, 2, 2))
    off = np.broadcast_to(np.arange(1.0, steps + 1)[:, None], (steps, tracks))
    its = [
        Forecaster("plain", "black", "1 5", np.broadcast_to(FUTURE, forecasts.shape), 0 * off, {"m²": [0.5] * steps}),
        Forecaster(name, "red", "", forecasts, off, {"m²": [0.25 * step for step in range(steps)]}),
    ]
    given = {"title": "t", "caption": "c", "step": "updates", **changes}
    return SteppedTracks(**given, tracks=[Track(f"track {k}", SEEN, FUTURE) for k in range(tracks)], forecasters=its)


def parsed(markup):
    """The picture as XML, its script left out."""
    plain = re.sub(r"<(script|style)>.*?</\1>", "", markup, flags=re.DOTALL)
    return ET.fromstring(re.sub(r"<input ([^>]*)>", r"<input \1/>", plain).replace(" hidden>", ' hidden="">'))


def points(line):
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def test_lines_are_where_movements_are_and_forecasts_begin_where_what_was_seen_ends():
    panel = parsed(figure().markup()).findall(".//figure")[0]
    seen, future = panel.findall("./svg/polyline")[:2]
    place = lambda x, y: pytest.approx(((x + 0.8) / 5.6 * 260, (2.8 - y) / 5.6 * 260), abs=0.06)  # noqa: E731
    assert seen.get("stroke") == "#0072B2"
    assert points(seen) == [place(0, 0), place(2, 0)]
    assert future.get("stroke") == "#009E73"
    assert points(future) == [place(2, 0), place(3, 0), place(4, 0)]
    for step, group in enumerate(panel.findall("./svg/g")):
        plain, ours = group.findall("polyline")
        assert group.get("data-step") == str(step)
        assert plain.get("stroke-dasharray") == "1 5"
        assert points(ours) == [place(2, 0), place(3, step + 1), place(4, step + 1)]
    bar = panel.findall("./svg/polyline")[-1]
    assert panel.find("./svg/text").text == "1 m"  # of 5.6 that are shown
    assert points(bar)[1][0] - points(bar)[0][0] == pytest.approx(260 / 5.6, abs=0.06)


def test_without_a_script_the_last_step_is_shown_and_no_slider():
    picture = parsed(figure().markup())
    by_step = picture.findall(".//*[@data-step]")
    assert {part.get("data-step") for part in by_step} == {"0", "1", "2"}
    assert {part.get("data-step") for part in by_step if part.get("class") == "on"} == {"2"}
    assert all((part.get("class") == "on") == (part.get("data-step") == "2") for part in by_step)
    assert picture.find("./p[@class='slider']").get("hidden") is not None
    assert "updates 2 of 2" in picture.find("./noscript/p").text
    cells = [cell for row in picture.findall(".//tr")[1:] for cell in row.findall("td")[1:]]
    assert [[part.text for part in cell] for cell in cells] == [
        ["0.500"] * 3, ["0.000"] * 3, ["0.000", "0.250", "0.500"], ["1.000", "2.000", "3.000"]
    ]  # fmt: skip


def test_the_data_are_a_row_a_step_and_forecaster():
    frame = figure().frame()
    assert frame["step"] == [0, 0, 1, 1, 2, 2]
    assert frame["forecaster"] == ["plain", "ours"] * 3
    assert frame["m²"] == [0.5, 0.0, 0.5, 0.25, 0.5, 0.5]
    assert frame["track 1 (m)"] == [0.0, 1.0, 0.0, 2.0, 0.0, 3.0]


def test_no_text_is_taken_for_markup():
    shown = figure(name=HOSTILE, title=HOSTILE, caption=HOSTILE, step=HOSTILE)
    shown = SteppedTracks(
        shown.title, shown.caption, shown.step, [Track(HOSTILE, SEEN, FUTURE)] * 2,
        [Forecaster(HOSTILE, HOSTILE, HOSTILE, its.forecasts, its.off, {HOSTILE: [0.0] * 3})
         for its in shown.forecasters],
    )  # fmt: skip
    parsed(shown.markup())  # nothing but elements of our own, all of them closed
    page = Page(HOSTILE, figures=[shown], notes=[HOSTILE]).html()
    assert page.count("<script>") == 1
    assert "<b x" not in page
    assert "alert(1)&lt;/script&gt;" in page


def test_forecasts_of_different_lengths_and_readings_of_some_are_refused():
    good = figure()
    for steps, tracks, shown in ((2, 2, 2), (3, 1, 2), (3, 2, 0)):
        other = figure(steps=steps, tracks=tracks).forecasters
        with pytest.raises(InputError, match="one was expected"):
            SteppedTracks("t", "c", "s", good.tracks[:shown], [*good.forecasters, *other])
    first, second = good.forecasters
    for readings in ({}, {"m²": [1.0]}):
        with pytest.raises(InputError, match="all of both were expected"):
            SteppedTracks("t", "c", "s", good.tracks, [first, Forecaster("x", "x", "", second.forecasts, second.off,
                                                                        readings)])  # fmt: skip


def test_someone_who_stands_is_shown_within_two_metres():
    still = Track("s", np.zeros((3, 2)), np.zeros((2, 2)))
    its = Forecaster("ours", "red", "", np.zeros((1, 1, 2, 2)), np.zeros((1, 1)))
    (panel,) = parsed(SteppedTracks("t", "c", "s", [still], [its]).markup()).findall(".//figure")
    assert points(panel.findall("./svg/polyline")[0]) == [(130.0, 130.0)] * 3
    assert panel.find("./svg/text").text == "0.5 m"


@needs_chromium
def test_the_slider_shows_one_step_is_moved_by_keys_and_asks_for_nothing_elsewhere(tmp_path):
    (tmp_path / "page.html").write_text(Page("t", figures=[figure(), figure(steps=5)]).html(), encoding="utf-8")
    address = (tmp_path / "page.html").as_uri()
    shown = (
        "[...document.querySelectorAll('.steps')].map(box => [...box.querySelectorAll('[data-step]')]"
        ".filter(part => part.getClientRects().length).map(part => part.dataset.step).join('')).join(' ')"
    )
    with Browser(tmp_path) as browser:
        for allowed in (False, True):
            browser.call("Emulation.setScriptExecutionDisabled", value=not allowed)
            browser.call("Page.navigate", url=address)
            browser.wait("document.readyState === 'complete' && !!document.querySelectorAll('.steps')[1]")
            assert browser.run(shown) == "222222 444444"
            visible = browser.run("document.querySelector('input').getClientRects().length")
            assert bool(visible) == allowed
        browser.run("document.querySelector('input').focus()")
        for key, expected in (("ArrowLeft", "1"), ("Home", "0"), ("ArrowRight", "1")):
            code = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36}[key]
            browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code)
            browser.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
            browser.wait(f"document.querySelector('input').value === '{expected}'")
            assert browser.run(shown) == f"{expected * 6} 444444"
            assert browser.text("output") == f"{expected} of 2"
        assert browser.requests == [address] * 2
        assert not browser.errors
