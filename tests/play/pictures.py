"""Pictures of the page in its states, for the documents: `PYTHONPATH=tests python -m play.pictures docs/images`."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image, ImageDraw

from fastslow.play.page import play_page
from fastslow.play.serve import page_server
from play.browser import Browser
from play.test_page import SIGNS, STRANGE, arc, by_another_hand, draw, drop, teach

MORE = {
    "wave": [[(0.15 + 0.7 * i / 24, 0.5 + (0.15 if i % 8 < 4 else -0.15)) for i in range(25)]],
    "house": [[(0.25, 0.8), (0.25, 0.45), (0.5, 0.2), (0.75, 0.45), (0.75, 0.8), (0.25, 0.8)]],
    "ladder": [[(0.35, 0.15), (0.35, 0.85)], [(0.65, 0.15), (0.65, 0.85)], [(0.35, 0.4), (0.65, 0.4)]],
    "snail": [[*arc(0.5, 0.5, 0.12, 0, 270), *arc(0.5, 0.5, 0.28, -90, 200)]],
    "arrow": [[(0.2, 0.5), (0.8, 0.5)], [(0.6, 0.3), (0.8, 0.5), (0.6, 0.7)]],
}


def shot(browser: Browser, folder: Path, name: str) -> None:
    """A picture of few colours, once nothing moves any more."""
    time.sleep(0.5)
    path = folder / f"{name}.png"
    browser.picture(path)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
    print(path, flush=True)


def take(address: str, folder: Path, work: Path) -> None:
    """Goes through the page as somebody who is new to it."""
    signs = SIGNS | MORE
    with Browser(work / "wide", height=1180) as browser:
        browser.open(address)
        shot(browser, folder, "play-start")
        draw(browser, SIGNS["ring"])
        shot(browser, folder, "play-first")
        for name, strokes in signs.items():
            teach(browser, name, strokes)
        draw(browser, [by_another_hand(points) for points in SIGNS["hook"]])
        browser.run("document.querySelectorAll('.more')[2].click()")
        draw(browser, [by_another_hand(by_another_hand(points)) for points in SIGNS["hook"]])
        shot(browser, folder, "play")
        draw(browser, STRANGE)
        shot(browser, folder, "play-none")
        browser.run("document.querySelectorAll('.forget')[0].click()")
        shot(browser, folder, "play-forgot")
        browser.click("#undo")
        drop(browser, pictures(work))
        browser.wait("document.querySelector('#status').innerText.startsWith('Learned from')")
        shot(browser, folder, "play-imported")
        browser.open(address)
        shot(browser, folder, "play-again")
        browser.resize(1200, 900)
        browser.run("Math.random = () => 0.37")
        browser.run("document.querySelectorAll('.challenge')[1].click()")
        shot(browser, folder, "play-challenge")
        browser.click("#challenge-body .choice")
        shot(browser, folder, "play-judged")
    with Browser(work / "narrow", width=390, height=844) as browser:
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        browser.open(address)
        for name, strokes in SIGNS.items():
            teach(browser, name, strokes)
        draw(browser, [by_another_hand(points) for points in SIGNS["hook"]])
        shot(browser, folder, "play-narrow")


def pictures(work: Path) -> Path:
    """A folder of two classes, and a picture of nothing."""
    for name, box in (("bar/1", (140, 30, 160, 170)), ("bar/2", (130, 20, 150, 180)), ("block/1", (80, 60, 220, 140))):
        picture = Image.new("L", (300, 200), 250)
        ImageDraw.Draw(picture).rectangle(box, fill=20)
        path = work / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return work / "pictures"


def main() -> None:
    """The command."""
    folder = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as name, page_server(play_page()) as server:
        for part in ("wide", "narrow"):
            (Path(name) / part).mkdir()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        take(f"http://127.0.0.1:{server.server_port}/", folder, Path(name))
        server.shutdown()


if __name__ == "__main__":
    main()
