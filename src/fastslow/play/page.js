// The page: what is drawn, taught, asked, saved and loaded.
"use strict";

const MOST_TOLD = 3; // files that could not be read
const PASSES = 40; // made before anybody draws

(function startPage() {
  const asItCame = `<!doctype html>\n${document.documentElement.outerHTML}\n`;
  const engine = createEngine(bytesOf(element("model").textContent));
  const mind = createMind(engine);
  const size = engine.imageSize;
  const { project: before, again } = projectBefore();
  const history = createHistory(before);
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
    kept.write(toFile(project));
    slots = mind.slotsOf(project);
    element("used").textContent = `${slots.length} of ${engine.numSlots} slots`;
    element("nothing").hidden = slots.length > 0;
    const focused = [...element("classes").querySelectorAll("input, button")].indexOf(document.activeElement);
    element("classes").replaceChildren(...classCards(project, size, { rename, teach: teachAs, forget }));
    element("classes").querySelectorAll("input, button")[focused]?.focus();
    element("anew").hidden = project.classes.length < 2;
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
    const ask = () => mind.answer(drawn(), slots);
    const isNew = sheet.strokes !== pad.strokes(); // what was seen before is answered from what was made of it
    const answer = !asked ? null : isNew ? timed("answered", ask) : ask();
    if (!asked && !pad.isBlank()) mind.see(drawn()); // so that the first one is learned at once, too
    element("verdict").textContent = asked
      ? answerInWords(answer)
      : slots.length
        ? "Draw something, and it says what it is."
        : "Teach it something first.";
    element("verdict").classList.toggle("quiet", !asked);
    showNodes(element("answers"), asked ? rowsOf(answer) : []);
    lightSlots(cells, slots, answer);
    showFigures();
  }

  function padChanged() {
    const blank = pad.isBlank();
    if (!blank) say(""); // it was about what was there before
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
      if (pad.usesKeys()) element("pad").focus(); // to go on drawing
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

  async function importPictures(pictures) {
    if (pictures.length === 0) throw new Refusal("There are no pictures in it.");
    const { project, failed } = await withPictures(history.current, pictures, engine);
    const learned = pictures.length - failed.length;
    if (learned) change(project, `Learned from ${learned} ${learned === 1 ? "picture" : "pictures"}.`);
    if (!failed.length) return;
    const others = failed.length > MOST_TOLD ? ` And ${failed.length - MOST_TOLD} more.` : "";
    say(`${learned ? history.last + " " : ""}Not read: ${failed.slice(0, MOST_TOLD).join(" ")}${others}`, true);
  }

  async function load(file) {
    change(fromFile(await file.text(), engine), `Loaded “${file.name}”.`);
  }

  /** Pictures and folders of them, or a project, that were dropped onto the page. */
  async function drop(transfer) {
    const found = await dropped(transfer);
    const project = found.find(({ path }) => path.endsWith(".json"));
    await (found.length === 1 && project ? load(project.file) : importPictures(picturesIn(found)));
  }

  function save() {
    download(toFile(history.current), "application/json", "taught.json");
    say("Saved as taught.json.");
  }

  function saveAsPage() {
    download(pageWith(asItCame, history.current), "text/html", "taught.html");
    say("Saved as taught.html: this page, its model and what was taught, to be opened by a double click.");
  }

  /** What was taught in this tab before it was loaded anew, or came with the page. */
  function projectBefore() {
    for (const text of [kept.read(), element("taught").textContent]) {
      try {
        const project = fromFile(text ?? "", engine);
        return { project, again: text !== element("taught").textContent && project.classes.length > 0 };
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
      }
    }
    return { project: EMPTY_PROJECT, again: false };
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
  element("export").addEventListener("click", saveAsPage);
  element("anew").addEventListener("click", () => {
    change(EMPTY_PROJECT, "Forgot all.");
    element("name").focus();
  });
  opens("import", "pictures", (files) => importPictures(chosen(files)));
  opens("import-folder", "folder", (files) => importPictures(picturesIn(chosen(files))));
  opens("load", "project", ([file]) => load(file));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    attempt(() => drop(event.dataTransfer));
  });
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
  const playable = CHALLENGES.filter(({ classes }) => classes <= engine.numClasses);
  element("challenges").closest("section").hidden = playable.length === 0;
  element("challenges").replaceChildren(
    ...playable.map((kind) =>
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

  /** The first passes are slow, before the browser has made the code quick: some are made now, some in pauses. */
  function warmUp(pass, classes) {
    if (pass === PASSES) return;
    const place = (i) => [Math.sin(i * (1 + pass / 9)), Math.cos(0.6 * i)]; // with as much ink as people draw
    const drawing = drawingOfStrokes([Array.from({ length: 8 + (pass % 8) }, (_, i) => place(i))], size);
    const more = [...classes, { name: String(pass), drawings: [drawing] }].slice(-engine.numClasses);
    if (pad.isBlank()) mind.answer(drawing, mind.slotsOf({ classes: more }));
    if (pass < 3) warmUp(pass + 1, more);
    else setTimeout(() => warmUp(pass + 1, more), 20);
  }

  warmUp(0, []);
  figures.ready = performance.now();
  document.body.dataset.ready = figures.ready.toFixed(0);
  showProject();
  if (again) say("What was taught in this tab is here again.");
})();
