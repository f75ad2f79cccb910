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

const percent = (share) => `${Math.round(100 * share)} %`;

/** The answer in words. */
function answerInWords({ names, shares, none }) {
  const ranked = names.map((name, i) => ({ name, share: shares[i] })).sort((a, b) => b.share - a.share);
  if (none > 0.5) return "None of these";
  if (ranked[0].share >= SURE || ranked.length === 1) return `It is “${ranked[0].name}”`;
  return `Perhaps “${ranked[0].name}”`;
}

/** The likeliest classes and none of them, with bars. */
function answerRows({ names, shares, none }, slots, size, most = 5) {
  const ranked = names.map((name, i) => ({ name, share: shares[i] })).sort((a, b) => b.share - a.share);
  const rows = ranked.slice(0, most).map(({ name, share }) => {
    const picture = thumbnail(slots.find((slot) => slot.name === name).drawing, size, "");
    return answerRow(picture, name, share, "");
  });
  return [
    ...rows,
    answerRow(made("span", { class: "thumb none", "aria-hidden": "true" }, "?"), "none of these", none, " stranger"),
  ];
}

function answerRow(picture, name, share, kind) {
  const bar = made("span", { class: "bar", "aria-hidden": "true" }, made("span", { style: `width: ${100 * share}%` }));
  return made(
    "li",
    { class: `answer${kind}` },
    picture,
    made("span", { class: "name" }, name),
    bar,
    made("span", { class: "share" }, percent(share)),
  );
}

/** All slots of the memory, those written with their drawing; lit by how much each is read. */
function slotCells(slots, numSlots, size, weights) {
  return Array.from({ length: numSlots }, (_, s) => {
    if (s >= slots.length) return made("li", { class: "slot empty" }, made("span", { class: "hidden" }, "empty"));
    const { drawing, name } = slots[s];
    const light = weights ? weights[s] : 0;
    const about = weights ? `${name}: read ${percent(light)}` : name;
    return made(
      "li",
      { class: "slot", style: `--light: ${light.toFixed(3)}`, title: about },
      thumbnail(drawing, size, about),
      made("span", { class: "label", "aria-hidden": "true" }, name),
    );
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
        change: (event) => actions.rename(name, event.target),
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
