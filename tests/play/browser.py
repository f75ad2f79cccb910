"""A headless Chromium, where there is one, driven over a pipe by its debugging protocol; nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from pathlib import Path

import pytest

from play.chromium import chromium

#: Seconds that a browser may take to start, and to answer.
PATIENCE = 30, 60
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--mute-audio", "--remote-debugging-pipe",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip


needs_chromium = pytest.mark.skipif(chromium() is None, reason="no Chromium here; FASTSLOW_CHROMIUM may name one")


class NoBrowserError(AssertionError):
    """A browser that does not start, or has ended, or does not answer; the message has its last words."""


class Browser:
    """One page in a browser of its own; `requests` are the addresses that it asked for."""

    def __init__(self, folder: Path, *, width: int = 1200, height: int = 1000, program: str | None = None) -> None:
        self.folder, self.requests, self.errors = Path(folder), [], []
        (read, self._write), (self._read, write) = _pipe(), _pipe()

        def place() -> None:
            os.dup2(read, 3)
            os.dup2(write, 4)

        arguments = [program or chromium(), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        with (self.folder / "browser.log").open("wb") as log:
            self._process = subprocess.Popen(
                arguments, preexec_fn=place, pass_fds=(3, 4), stdout=subprocess.DEVNULL, stderr=log
            )
        os.close(read)
        os.close(write)
        self._rest, self._number, self._session = b"", 0, None
        self._traced, self._trace_ended = [], False
        self._patience = PATIENCE[0]
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "DOM"):
                self.call(f"{domain}.enable")
            self.resize(width, height)
        except BaseException:
            self.__exit__()
            raise
        self._patience = PATIENCE[1]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def call(self, method: str, **params: object) -> dict:
        self._number += 1
        session = {} if self._session is None else {"sessionId": self._session}
        message = {"id": self._number, "method": method, "params": params, **session}
        try:
            os.write(self._write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            raise self._gone("ended") from None
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _next(self) -> dict:
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], self._patience)[0]:
                raise self._gone(f"has not answered for {self._patience} seconds")
            if not (part := os.read(self._read, 2**20)):
                raise self._gone("ended")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _gone(self, how: str) -> NoBrowserError:
        log = (self.folder / "browser.log").read_text(encoding="utf-8", errors="replace").strip()
        return NoBrowserError(f"the browser {how}: {log[-500:]}")

    def _note(self, event: dict) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(event["params"]["exceptionDetails"])
        if event.get("method") == "Tracing.dataCollected":
            self._traced += event["params"]["value"]
        self._trace_ended |= event.get("method") == "Tracing.tracingComplete"

    def start_trace(self, *categories: str) -> None:
        self._traced, self._trace_ended = [], False
        self.call("Tracing.start", transferMode="ReportEvents", categories=",".join(categories))

    def end_trace(self) -> list[dict]:
        """What happened since, in the form of Chromium's trace viewer; times in microseconds."""
        self.call("Tracing.end")
        while not self._trace_ended:
            self._note(self._next())
        return self._traced

    def resize(self, width: int, height: int, *, scale: float = 1, touch: bool = False) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=touch
        )

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && !!document.body.dataset.ready")

    def run(self, expression: str) -> object:
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not self.run(condition):
            assert time.monotonic() < end, condition
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def type(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def key(self, key: str, text: str = "") -> None:
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def stroke(self, selector: str, points: list[tuple[float, float]]) -> None:
        """One line of the mouse over an element, points as shares of its width and height."""
        box = json.loads(
            self.run(f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        )
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        button = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **places[0], **button)
        for place in places[1:]:
            self.call("Input.dispatchMouseEvent", type="mouseMoved", **place, button="left", buttons=1)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **places[-1], **button)
        self.wait("!document.querySelector('[aria-busy]')")

    def give_files(self, selector: str, *paths: Path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def picture(self, path: Path) -> None:
        Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


def _pipe() -> tuple[int, int]:
    """A pipe whose ends are above the numbers that the browser reads and writes."""
    import fcntl  # which Windows has not

    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return high
