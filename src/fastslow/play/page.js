// The page: what is drawn, taught, asked, saved and loaded.
"use strict";

(function startPage() {
  const engine = createEngine(bytesOf(element("model").textContent));
  const mind = createMind(engine);
  const size = engine.imageSize;
  const history = createHistory(EMPTY_PROJECT);
  const figures = {};
  let slots = [];
  let cells = [];
  let rowsOf = () => [];
  let waiting = 0;
  let sheet = {};
  const pad = createPad(element("pad"), padChanged);

  const say = (words, wrong = false) => {
    element("status").textContent = words;
    element("status").classList.toggle("wrong", wrong);
  };

  /** Does something for the user, and says why it could not be done. */
  async function attempt(action) {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof UnclearDrawing)) throw error;
      say(error.message, true);
    }
  }

  function timed(name, action) {
    const began = performance.now();
    const result = action();
    figures[name] = performance.now() - began;
    document.body.dataset[name] = figures[name].toFixed(1);
    return result;
  }

  function showFigures() {
    const parts = [`ready in ${figures.ready.toFixed(0)} ms`];
    if (figures.learned) parts.push(`last drawing learned in ${figures.learned.toFixed(0)} ms`);
    if (figures.answered) parts.push(`last answer in ${figures.answered.toFixed(0)} ms`);
    element("figures").textContent = parts.join(" · ");
  }

  /** Shows what is known, from the project. */
  function showProject() {
    const project = history.current;
    slots = mind.slotsOf(project);
    element("used").textContent = `${slots.length} of ${engine.numSlots} slots`;
    element("nothing").hidden = slots.length > 0;
    const focused = [...element("classes").querySelectorAll("input, button")].indexOf(document.activeElement);
    element("classes").replaceChildren(...classCards(project, size, { rename, teach: teachAs, forget }));
    element("classes").querySelectorAll("input, button")[focused]?.focus();
    element("save").disabled = slots.length === 0;
    element("undo").disabled = history.last === null;
    element("undo").title = history.last === null ? "" : `Undo: ${history.last}`;
    cells = slotCells(slots, engine.numSlots, size);
    element("slots").replaceChildren(...cells);
    rowsOf = createAnswerRows(slots, size);
    showAnswer();
  }

  /** What is on the sheet, made once for all that is done with it. */
  function drawn() {
    if (sheet.strokes !== pad.strokes()) {
      sheet = { strokes: pad.strokes(), drawing: drawingOfStrokes(pad.strokes(), size) };
    }
    return sheet.drawing;
  }

  /** Shows what the memory makes of what is on the sheet. */
  function showAnswer() {
    clearTimeout(waiting);
    waiting = 0;
    element("answers").removeAttribute("aria-busy");
    const asked = !pad.isBlank() && slots.length > 0;
    const answer = asked ? timed("answered", () => mind.answer(drawn(), slots)) : null;
    if (!asked && !pad.isBlank()) mind.see(drawn()); // so that the first one is learned at once, too
    element("verdict").textContent = asked
      ? answerInWords(answer)
      : slots.length
        ? "Draw something, and it says what it is."
        : "Teach it something first.";
    element("verdict").classList.toggle("quiet", !asked);
    showNodes(element("answers"), asked ? rowsOf(answer) : []);
    lightSlots(cells, slots, answer?.weights);
    showFigures();
  }

  function padChanged() {
    const blank = pad.isBlank();
    element("hint").hidden = !blank;
    element("back").disabled = element("clear").disabled = blank;
    element("answers").setAttribute("aria-busy", "true");
    waiting ||= setTimeout(showAnswer, 2 * (figures.answered ?? 5)); // where answers are slow, lines are not
  }

  function change(project, what) {
    history.apply(project, what);
    showProject();
    say(what);
  }

  function teachAs(name) {
    return attempt(() => {
      if (pad.isBlank()) throw new Refusal("Draw something first.");
      timed("learned", () => {
        const project = withDrawing(history.current, name, drawn(), engine);
        mind.slotsOf(project);
        history.apply(project, `Learned “${checkedName(name)}”.`);
      });
      pad.clear();
      element("name").value = "";
      showProject();
      say(history.last);
    });
  }

  function rename(from, field) {
    attempt(() => {
      const to = checkedName(field.value);
      if (to !== from) change(renamed(history.current, from, to), `Renamed “${from}” to “${to}”.`);
    });
    if (field.isConnected) field.value = from;
  }

  function forget(name) {
    change(withoutClass(history.current, name), `Forgot “${name}”.`);
    (element("classes").querySelector(".forget") ?? element("name")).focus();
  }

  function undo() {
    const undone = history.last;
    if (undone === null) return;
    history.undo();
    showProject();
    say(`Taken back: ${undone}`);
  }

  /** Teaches each picture as what its file is named; numbers at the end count drawings of one class. */
  async function importPictures(files) {
    const failed = [];
    let project = history.current;
    for (const file of files) {
      const stem = file.name.replace(/\.[^.]*$/, "");
      try {
        const drawing = await drawingOfFile(file, size);
        project = withDrawing(project, stem.replace(/[-_ ]*\(?\d+\)?$/, "") || stem, drawing, engine);
      } catch (error) {
        if (!(error instanceof Refusal || error instanceof UnclearDrawing)) throw error;
        failed.push(`“${file.name}”: ${error.message}`);
      }
    }
    const learned = files.length - failed.length;
    if (learned) change(project, `Learned from ${learned} ${learned === 1 ? "picture" : "pictures"}.`);
    if (failed.length) say(`${learned ? history.last + " " : ""}Not read: ${failed.join(" ")}`, true);
  }

  function save() {
    const link = made("a", {
      href: URL.createObjectURL(new Blob([toFile(history.current)], { type: "application/json" })),
      download: "taught.json",
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say("Saved as taught.json.");
  }

  /** A button that opens a file, by the file input behind it. */
  function opens(button, input, use) {
    element(button).addEventListener("click", () => element(input).click());
    element(input).addEventListener("change", async (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      await attempt(() => use(files));
    });
  }

  function openChallenge(kind) {
    const glyphs = readGlyphs(JSON.parse(element("glyphs").textContent), size);
    const body = made("div");
    element("challenge-title").textContent = kind.title;
    element("challenge-body").replaceChildren(body);
    if (!element("challenge").open) element("challenge").showModal();
    playGame(body, newGame(kind, glyphs), mind, size, () => openChallenge(kind));
  }

  element("teach").addEventListener("submit", (event) => {
    event.preventDefault();
    teachAs(element("name").value);
  });
  element("back").addEventListener("click", () => pad.takeBack());
  element("clear").addEventListener("click", () => pad.clear());
  element("undo").addEventListener("click", undo);
  element("save").addEventListener("click", save);
  opens("import", "pictures", importPictures);
  opens("load", "project", async ([file]) => change(fromFile(await file.text(), engine), `Loaded “${file.name}”.`));
  element("leave").addEventListener("click", () => element("challenge").close());
  element("challenge").addEventListener("close", () => {
    if (!element("challenge").open) element("challenge-body").replaceChildren();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", pad.show);
  document.addEventListener("keydown", (event) => {
    if (event.target instanceof HTMLInputElement || element("challenge").open) return;
    const control = event.ctrlKey || event.metaKey;
    if (control && event.key === "z") {
      event.preventDefault();
      if (pad.isBlank()) undo();
      else pad.takeBack();
    } else if (!control && !event.altKey && /^[^\s]$/u.test(event.key)) {
      element("name").focus(); // the letter goes there
    }
  });
  element("challenges").replaceChildren(
    ...CHALLENGES.map((kind) =>
      made(
        "li",
        {},
        made(
          "button",
          { type: "button", class: "challenge", click: () => openChallenge(kind) },
          made("strong", {}, kind.title),
          made("span", {}, kind.about),
        ),
      ),
    ),
  );

  figures.ready = performance.now();
  document.body.dataset.ready = figures.ready.toFixed(0);
  showProject();
  warmUp(20, []);

  /** The first passes are slow, before the browser has made the code quick: some are made while nobody draws. */
  function warmUp(passes, classes) {
    if (passes === 0) return;
    setTimeout(() => {
      const [from, to] = [passes, 20 - passes].map((y) => [y / 20, 1 - y / 20]);
      const drawing = drawingOfStrokes([[from, to]], size);
      const more = [...classes, { name: String(passes), drawings: [drawing] }].slice(-engine.numClasses);
      if (pad.isBlank()) mind.answer(drawing, mind.slotsOf({ classes: more }));
      warmUp(passes - 1, more);
    }, 20);
  }
})();
