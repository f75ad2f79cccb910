// Pieces of the page: thumbnails, the answer, the memory's slots, the classes. Names are put in as text, never as HTML.
"use strict";

const SURE = 0.8;

const element = (id) => document.getElementById(id);

/** An element with attributes, and children that are elements or text. */
function made(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

/** A drawing as a small picture, its ink dark; the style sheet turns it in the dark. */
function thumbnail(drawing, size, label) {
  const canvas = made("canvas", {
    class: "thumb",
    width: size,
    height: size,
    ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }),
  });
  const pixels = new ImageData(size, size);
  drawing.forEach((value, i) => (pixels.data[4 * i + 3] = value));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

/** A share in words; what is rounded to none or all of it is not said to be that. */
function percent(share) {
  if (share > 0.995) return "> 99 %";
  return share < 0.005 ? "< 1 %" : `${Math.round(100 * share)} %`;
}

/** The answer in words. */
function answerInWords({ names, shares, none }) {
  const ranked = names.map((name, i) => ({ name, share: shares[i] })).sort((a, b) => b.share - a.share);
  if (none > 0.5) return "None of these";
  if (ranked[0].share >= SURE || ranked.length === 1) return `It is “${ranked[0].name}”`;
  return `Perhaps “${ranked[0].name}”`;
}

/** A function from an answer to rows: the likeliest classes and none of them, with bars. A class keeps its row, so that
 * an answer costs little and bars move. */
function createAnswerRows(slots, size, most = 5) {
  const rows = new Map();
  for (const { name, drawing } of slots) {
    if (!rows.has(name)) rows.set(name, answerRow(thumbnail(drawing, size, ""), name, ""));
  }
  const stranger = answerRow(
    made("span", { class: "thumb none", "aria-hidden": "true" }, "?"),
    "none of these",
    " stranger",
  );
  return ({ names, shares, none }) => {
    const ranked = names.map((name, i) => ({ row: rows.get(name), share: shares[i] }));
    ranked.sort((a, b) => b.share - a.share);
    const shown = [...ranked.slice(0, most), { row: stranger, share: none }];
    for (const { row, share } of shown) row.fill(share);
    return shown.map(({ row }) => row.node);
  };
}

/** A row with a bar, and what fills it. */
function answerRow(picture, name, kind) {
  const bar = made("span");
  const text = made("span", { class: "share" });
  const node = made(
    "li",
    { class: `answer${kind}` },
    picture,
    made("span", { class: "name" }, name),
    made("span", { class: "bar", "aria-hidden": "true" }, bar),
    text,
  );
  const fill = (share) => {
    bar.style.width = `${(100 * share).toFixed(1)}%`;
    text.textContent = percent(share);
  };
  return { node, fill };
}

/** Puts nodes into a list, unless they are in it as they should be. */
function showNodes(list, nodes) {
  const same = list.children.length === nodes.length && nodes.every((node, i) => list.children[i] === node);
  if (!same) list.replaceChildren(...nodes);
}

/** All slots of the memory, those written with their drawing. */
function slotCells(slots, numSlots, size) {
  return Array.from({ length: numSlots }, (_, s) => {
    if (s >= slots.length) return made("li", { class: "slot empty" }, made("span", { class: "hidden" }, "empty"));
    const { drawing, name } = slots[s];
    return made(
      "li",
      { class: "slot", title: name },
      thumbnail(drawing, size, name),
      made("span", { class: "label", "aria-hidden": "true" }, name),
    );
  });
}

/** Lights slots by how much each is read, less where the answer is none of them; none where there is no answer. */
function lightSlots(cells, slots, answer) {
  slots.forEach(({ name }, s) => {
    const light = answer ? (answer.weights[s] * (1 - answer.none)).toFixed(3) : "0";
    if (cells[s].style.getPropertyValue("--light") === light) return;
    const about = answer ? `${name}: read ${percent(answer.weights[s])}` : name;
    cells[s].style.setProperty("--light", light);
    cells[s].title = about;
    cells[s].firstChild.setAttribute("aria-label", about);
  });
}

/** The classes, each with its drawings, its name to be changed, and what can be done with it. */
function classCards(project, size, actions) {
  return project.classes.map(({ name, drawings }) =>
    made(
      "li",
      { class: "class" },
      made(
        "div",
        { class: "drawings" },
        thumbnail(drawings[0], size, ""),
        drawings.length > 1 ? made("small", {}, `×${drawings.length}`) : "",
      ),
      made("input", {
        class: "rename",
        value: name,
        "aria-label": `Name of “${name}”; change it to rename`,
        maxlength: 40,
        autocomplete: "off",
        spellcheck: "false",
        title: name,
        change: (event) => actions.rename(name, event.target),
        keydown: (event) => {
          if (event.key === "Escape") event.target.value = name; // as it was
        },
      }),
      made(
        "button",
        {
          type: "button",
          class: "more",
          title: `Teach what is drawn as one more “${name}”`,
          click: () => actions.teach(name),
        },
        "Teach more",
      ),
      made(
        "button",
        { type: "button", class: "forget", "aria-label": `Forget “${name}”`, click: () => actions.forget(name) },
        "Forget",
      ),
    ),
  );
}
