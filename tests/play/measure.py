"""How long a page takes: by its own clock, and by what it had of the processor, which is the same on a busy machine."""

from __future__ import annotations

from play.browser import Browser

#: Has the page's figure of each answer kept, and a mark put into the trace.
WATCH = """
window.answers = [];
new MutationObserver(() => {
  answers.push(Number(document.body.dataset.answered));
  performance.mark("answered");
}).observe(document.body, { attributeFilter: ["data-answered"] });
"""
#: What answers, in the trace: after a pause while somebody draws, or when a key or a button has been pressed.
TASKS = ("TimerFire", "EventDispatch")
#: What is to be traced for both.
TRACED = ("devtools.timeline", "blink.user_timing")


def answers_of(browser: Browser) -> dict[str, list[float]]:
    """Of each answer since the trace began: its own time, the task's, and the processor's, in milliseconds."""
    events = browser.end_trace()
    marks = [(event["tid"], event["ts"]) for event in events if event["name"] == "answered"]
    tasks = [event for event in events if event["name"] in TASKS and "dur" in event]
    found: dict[str, list[float]] = {"task": [], "processor": []}
    for thread, moment in marks:
        around = [t for t in tasks if t["tid"] == thread and t["ts"] <= moment <= t["ts"] + t["dur"]]
        longest = max(around, key=lambda task: task["dur"])
        found["task"].append(longest["dur"] / 1000)
        found["processor"].append(longest["tdur"] / 1000)
    found["answer"] = browser.run("window.answers.splice(0)")
    return found


def loading_of(events: list[dict]) -> float:
    """What the processor took to read a page, and to run its script until it was ready; milliseconds."""
    parsed = [event for event in events if event["name"] == "ParseHTML" and "tdur" in event]
    main = max(parsed, key=lambda event: event["tdur"])["tid"]
    return sum(event["tdur"] for event in parsed if event["tid"] == main) / 1000
