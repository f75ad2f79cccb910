// Challenges with made-up characters: you and the memory see each of them once, then both say which one a drawing is.
"use strict";

const CHALLENGES = [
  {
    title: "Five characters",
    classes: 5,
    rounds: 8,
    strangers: 0,
    about: "A gentle start: five characters that nobody has seen before.",
  },
  {
    title: "Twenty characters",
    classes: 20,
    rounds: 10,
    strangers: 0,
    about: "You against the memory, which has had one look at each, as you have.",
  },
  {
    title: "Friend or stranger",
    classes: 8,
    rounds: 10,
    strangers: 0.5,
    about: "Half of the drawings are of none of the eight. Who notices?",
  },
  {
    title: "Draw it from memory",
    classes: 10,
    rounds: 5,
    strangers: 0,
    drawn: true,
    seconds: 2.5,
    about: "You see a character for a moment, then draw it. Does the memory know which one you mean?",
  },
];

/** Drawings of made-up characters, class by class. */
function readGlyphs({ classes, each, pixels }, size) {
  const bytes = bytesOf(pixels);
  const area = size * size;
  return Array.from({ length: classes }, (_, c) =>
    Array.from({ length: each }, (_, d) => bytes.slice((c * each + d) * area, (c * each + d + 1) * area)),
  );
}

function shuffled(values, random) {
  const result = [...values];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}

/** A game: what is shown once, and the drawings that are asked, each with its class or -1 for a stranger. */
function newGame(kind, glyphs, random = Math.random) {
  const order = shuffled(glyphs, random);
  const known = order.slice(0, kind.classes);
  const others = order.slice(kind.classes);
  const strangers = Math.round(kind.rounds * kind.strangers);
  const rounds = Array.from({ length: kind.rounds }, (_, r) => {
    const stranger = r < strangers;
    const label = stranger ? -1 : Math.floor(random() * known.length);
    const drawings = stranger ? others[r % others.length] : known[label];
    return { label, drawing: drawings[1 + Math.floor(random() * (drawings.length - 1))] };
  });
  const project = { classes: known.map((drawings, c) => ({ name: String(c + 1), drawings: [drawings[0]] })) };
  return { kind, project, rounds: shuffled(rounds, random) };
}

/** What the memory says, as the number of a class, or -1 for none where strangers may come. */
function memorysChoice({ shares, none }, strangers) {
  const best = shares.indexOf(Math.max(...shares));
  return strangers && none > 0.5 ? -1 : best;
}

/** Plays a game in an element. */
function playGame(body, game, mind, size, again) {
  const slots = mind.slotsOf(game.project);
  const score = { you: 0, memory: 0, yours: 0, its: 0 };
  const start = () => (game.kind.drawn ? drawnRound : chosenRound)(0);
  start();

  function chosenRound(r) {
    const round = game.rounds[r];
    const began = performance.now();
    const choices = choiceButtons(game, slots, size, (choice) => {
      score.yours += performance.now() - began;
      const asked = performance.now();
      const answer = mind.answer(round.drawing, slots);
      score.its += performance.now() - asked;
      const its = memorysChoice(answer, game.kind.strangers > 0);
      score.you += choice === round.label ? 1 : 0;
      score.memory += its === round.label ? 1 : 0;
      judged(choices, round.label, choice, its);
      after(r, inWords(choice, its, round.label));
    });
    const asked = made(
      "div",
      { class: "asked" },
      thumbnail(round.drawing, size, "The drawing that is asked"),
      made("p", {}, "Which one is this?"),
    );
    show(r, asked, choices);
    choices.querySelector("button").focus();
  }

  function drawnRound(r) {
    const round = game.rounds[r];
    const first = slots[round.label].drawing;
    const ready = made("button", { type: "button", class: "main", click: look }, "Show it to me");
    show(r, made("p", {}, `You will see a character for ${game.kind.seconds} seconds. Then draw it.`), ready);
    ready.focus();

    function look() {
      show(r, made("div", { class: "asked" }, thumbnail(first, size, "The character to be drawn")));
      setTimeout(() => body.isConnected && draw(), 1000 * game.kind.seconds);
    }

    function draw() {
      const canvas = made("canvas", {
        class: "pad",
        tabindex: 0,
        role: "application",
        "aria-label": "Sheet to draw on",
      });
      const done = made("button", { type: "button", class: "main", disabled: true, click: ask }, "Done");
      const clear = made("button", { type: "button", click: () => pad.clear() }, "Clear");
      const pad = createPad(canvas, () => (done.disabled = pad.isBlank()));
      show(r, made("div", { class: "sheet small" }, canvas), made("div", { class: "row" }, done, clear));
      canvas.focus();

      function ask() {
        const yours = drawingOfStrokes(pad.strokes(), size);
        const its = memorysChoice(mind.answer(yours, slots), false);
        score.memory += its === round.label ? 1 : 0;
        const shown = made(
          "div",
          { class: "asked" },
          thumbnail(first, size, "The character"),
          thumbnail(yours, size, "Your drawing"),
          thumbnail(slots[its].drawing, size, "What the memory says"),
        );
        show(r, shown, made("p", { class: "small" }, "The character, your drawing, and what the memory takes it for."));
        after(r, its === round.label ? "It knew which one you meant." : "It took it for another one.");
      }
    }
  }

  function show(r, ...parts) {
    body.replaceChildren(made("p", { class: "score" }, scoreLine(r)), ...parts);
  }

  function scoreLine(r) {
    const kept = game.kind.drawn ? `recognised ${score.memory}` : `you ${score.you}, memory ${score.memory}`;
    return `Drawing ${r + 1} of ${game.rounds.length} · ${kept}`;
  }

  function after(r, words) {
    const last = r + 1 === game.rounds.length;
    body.querySelector(".score").textContent = scoreLine(r);
    const next = made(
      "button",
      {
        type: "button",
        class: "main",
        click: () => (last ? end() : (game.kind.drawn ? drawnRound : chosenRound)(r + 1)),
      },
      last ? "Result" : "Next",
    );
    body.append(made("p", { class: "outcome", role: "status" }, words), next);
    next.focus();
    next.scrollIntoView?.({ block: "nearest" });
  }

  function end() {
    const button = made("button", { type: "button", class: "main", click: again }, "Play again");
    body.replaceChildren(
      ...resultOf(game, score).map((line, i) => made("p", i ? {} : { class: "verdict" }, line)),
      button,
    );
    button.focus();
  }
}

/** A button for each character, and one for none where strangers may come. */
function choiceButtons(game, slots, size, choose) {
  const buttons = slots.map(({ drawing }, c) =>
    made(
      "button",
      { type: "button", class: "choice", "data-class": c, "aria-label": `Character ${c + 1}`, click: () => choose(c) },
      thumbnail(drawing, size, ""),
    ),
  );
  if (game.kind.strangers) {
    buttons.push(
      made(
        "button",
        { type: "button", class: "choice none", "data-class": -1, click: () => choose(-1) },
        "None of these",
      ),
    );
  }
  return made("div", { class: "choices" }, ...buttons);
}

/** Marks what was right, and who said what. */
function judged(choices, right, yours, its) {
  for (const button of choices.children) {
    const label = Number(button.dataset.class);
    button.disabled = true;
    if (label === right) button.classList.add("right");
    if (label === yours) button.append(made("span", { class: "mark you" }, "you"));
    if (label === its) button.append(made("span", { class: "mark it" }, "memory"));
  }
}

function inWords(yours, its, right) {
  if (yours === right) return its === right ? "Both right." : "You are right, the memory is not.";
  return its === right ? "The memory is right." : "Neither of you.";
}

function resultOf(game, { you, memory, yours, its }) {
  const rounds = game.rounds.length;
  if (game.kind.drawn) return [`It recognised ${memory} of your ${rounds} drawings.`];
  const winner = you === memory ? "A draw" : you > memory ? "You win" : "The memory wins";
  return [
    `${winner}: you ${you}, memory ${memory} of ${rounds}.`,
    `You took ${(yours / 1000).toFixed(0)} s, the memory ${(its / 1000).toFixed(2)} s.`,
  ];
}
