"""How long the page of `fastslow play` takes to answer.

    PYTHONPATH=tests python benchmarks/page.py PAGE.html OTHER.html --json FILE

Pages are files that `fastslow play --out` writes, of this checkout and of others. They take turns, round after round,
each in a fresh headless Chromium (FASTSLOW_CHROMIUM). Twenty signs are taught as soon as a page is ready, then it is
asked about others, by strokes of the mouse; the page answers while it is drawn on. Of each answer are told:

- answer: milliseconds by the page's own clock, from drawing to probabilities;
- task: milliseconds of the whole task that answers and shows the answer;
- processor: of these, what the page's thread had of the processor (Chromium's trace). On a machine that has other
  things to do it is this that says what an idle one would take.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import table, write_json

from play.browser import Browser
from play.measure import TRACED, WATCH, answers_of, loading_of

CLASSES, TAUGHT = 20, 20
ANSWER, LEARNING, READY = 15.0, 40.0, 600.0  # milliseconds that each may take
Rows = list[dict[str, Any]]


def sign(choose: random.Random) -> list[tuple[float, float]]:
    """A line with corners and bows, points close together as a mouse gives them."""
    corners = [(choose.uniform(0.1, 0.9), choose.uniform(0.1, 0.9)) for _ in range(choose.randint(3, 4))]
    points = []
    for (x, y), (to_x, to_y) in itertools.pairwise(corners):
        bow = choose.uniform(-0.1, 0.1)
        for step in range(3):
            share = step / 3
            rise = bow * math.sin(math.pi * share)
            points.append((x + (to_x - x) * share + rise, y + (to_y - y) * share - rise))
    return points


def other_hand(points: list[tuple[float, float]], choose: random.Random) -> list[tuple[float, float]]:
    """The same line, moved and shaken a little."""
    x, y = choose.uniform(-0.05, 0.05), choose.uniform(-0.05, 0.05)
    return [(0.5 + 0.85 * (a - 0.5) + x, 0.5 + 0.9 * (b - 0.5) + y) for a, b in points]


def asked(page: Path, questions: int, seed: int) -> dict[str, Any]:
    """The answers of one page in a browser of its own: those while it is taught, and those after."""
    choose = random.Random(seed)
    signs = [sign(choose) for _ in range(CLASSES)]
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.start_trace(*TRACED)
        browser.open(page.resolve().as_uri())
        found: dict[str, Any] = {"loading": loading_of(browser.end_trace())}
        found["ready"] = float(browser.run("document.body.dataset.ready"))
        browser.run(WATCH)
        learned = []
        browser.start_trace(*TRACED)
        for number in range(TAUGHT):
            browser.stroke("#pad", other_hand(signs[number % CLASSES], choose))
            browser.type("#name", f"sign {number % CLASSES}")
            browser.key("Enter", "\r")
            learned.append(float(browser.run("document.body.dataset.learned")))
        found["first"] = answers_of(browser)
        browser.start_trace(*TRACED)
        right = 0
        for number in range(questions):
            name = number % CLASSES
            browser.stroke("#pad", other_hand(signs[name], choose))
            right += f"“sign {name}”" in browser.text("#verdict")
            browser.click("#clear")
        found |= {"later": answers_of(browser), "learned": learned, "right": right}
        assert browser.errors == []
    return found


def summary(values: list[float], bound: float) -> dict[str, float]:
    """Median, 99th percentile and largest; and how many there are, and how many above a bound."""
    spread = {"median": float(np.median(values)), "99%": float(np.percentile(values, 99)), "most": max(values)}
    return {"count": len(values), **spread, "bound": bound, "above": sum(value > bound for value in values)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="page", description=__doc__)
    parser.add_argument("pages", nargs="+", type=Path, help="HTML files, the new one first")
    parser.add_argument("--rounds", type=int, default=3, help="of each page")
    parser.add_argument("--questions", type=int, default=60, help="drawings asked about in each round")
    parser.add_argument("--json", type=Path, help="file of the figures")
    given = parser.parse_args()
    rounds: dict[Path, list[dict[str, Any]]] = {page: [] for page in given.pages}
    for number in range(given.rounds):
        for page in given.pages:
            rounds[page].append(asked(page, given.questions, number))
            print(f"round {number + 1}, {page}: ready in {rounds[page][-1]['ready']:.0f} ms", flush=True)
    rows: Rows = []
    for page, found in rounds.items():
        for when in ("first", "later"):
            for kind in ("answer", "task", "processor"):
                values = [value for one in found for value in one[when][kind]]
                rows.append({"page": page.name, "when": when, "ms of": kind} | summary(values, ANSWER))
        values = [value for one in found for value in one["learned"]]
        rows.append({"page": page.name, "when": "-", "ms of": "learning"} | summary(values, LEARNING))
        for name, key in (("getting ready", "ready"), ("getting ready, processor", "loading")):
            values = [one[key] for one in found]
            rows.append({"page": page.name, "when": "-", "ms of": name} | summary(values, READY))
    print(table(rows))
    right = {str(page.name): sum(one["right"] for one in found) for page, found in rounds.items()}
    print("right:", right, "of", given.rounds * given.questions)
    if given.json:
        command = shlex.join(["PYTHONPATH=tests", "python", "benchmarks/page.py", *sys.argv[1:]])
        write_json(
            given.json, command, rows, what=__doc__,
            questions=given.rounds * given.questions, right=right,
            bytes={page.name: page.stat().st_size for page in given.pages},
        )  # fmt: skip


if __name__ == "__main__":
    main()
