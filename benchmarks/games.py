"""How often the memory is right in the challenges of `fastslow play`, played in a browser without anybody to draw.

    PYTHONPATH=tests python benchmarks/games.py PAGE.html --json results/benchmark_games.json

The page is a file that `fastslow play --out` writes. In its own functions, in a fresh headless Chromium
(FASTSLOW_CHROMIUM), games are begun as it begins them, from drawings of a generator with a seed, and the memory is
asked each of their drawings. Of each challenge where drawings are asked: the share that the memory is right on, with
its 95 % interval over games; of strangers and of the characters it knows also apart.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from timing import table, write_json

from play.browser import Browser

#: Games of each challenge: for each, of each drawing asked, whether it was of a stranger and whether the memory was
#: right. Random numbers are from mulberry32, so that a seed gives the same games in every browser.
PLAY = """
(() => {
  const engine = createEngine(bytesOf(document.getElementById("model").textContent));
  const mind = createMind(engine);
  const glyphs = readGlyphs(JSON.parse(document.getElementById("glyphs").textContent), engine.imageSize);
  let state = SEED;
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const played = (kind) => {
    const game = newGame(kind, glyphs, random);
    const slots = mind.slotsOf(game.project);
    return game.rounds.map(({ label, drawing }) => [
      label === -1,
      memorysChoice(mind.answer(drawing, slots), kind.strangers > 0) === label,
    ]);
  };
  const kinds = CHALLENGES.filter((kind) => !kind.drawn && kind.classes <= engine.numClasses);
  return JSON.stringify(
    kinds.map((kind) => ({ title: kind.title, games: Array.from({ length: GAMES }, () => played(kind)) })),
  );
})()
"""


def row_of(title: str, games: list[list[tuple[bool, bool]]]) -> dict[str, Any]:
    """Percent right in the games of one challenge."""
    shares = np.array([100 * np.mean([right for _, right in game]) for game in games])
    row = {"challenge": title, "games": len(games), "drawings": sum(map(len, games)), "right %": float(shares.mean())}
    row["+-"] = float(1.96 * shares.std(ddof=1) / len(shares) ** 0.5)
    for name, strange in (("known right %", False), ("strangers right %", True)):
        found = [right for game in games for stranger, right in game if stranger == strange]
        row[name] = 100 * float(np.mean(found)) if found else None
    return row


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="games", description=__doc__)
    parser.add_argument("page", type=Path, help="HTML file")
    parser.add_argument("--games", type=int, default=500, help="of each challenge, at least 2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file of the figures")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Browser(Path(folder)) as browser:
        browser.open(given.page.resolve().as_uri())
        found = json.loads(str(browser.run(PLAY.replace("SEED", str(given.seed)).replace("GAMES", str(given.games)))))
        assert browser.errors == []
    rows = [row_of(one["title"], one["games"]) for one in found]
    print(table(rows))
    if given.json:
        command = shlex.join(["PYTHONPATH=tests", "python", "benchmarks/games.py", *sys.argv[1:]])
        write_json(given.json, command, rows, what=__doc__, seed=given.seed, bytes=given.page.stat().st_size)


if __name__ == "__main__":
    main()
