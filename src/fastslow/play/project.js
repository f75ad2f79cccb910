// What has been taught: classes by name, each with its drawings. A change gives a new project.
// A drawing is size x size bytes, ink bright.
"use strict";

const FILE_FORMAT = "fastslow-play 1";
const LONGEST_NAME = 40;
const EMPTY_PROJECT = { classes: [] };

/** A request that cannot be met; the message says why and what to do. */
class Refusal extends Error {}

const drawingsOf = (project) => project.classes.flatMap(({ drawings }) => drawings);

/** A name as it is kept; refuses none and those that are too long. */
function checkedName(name) {
  const kept = String(name).trim().replace(/\s+/g, " ");
  if (!kept) throw new Refusal("Give it a name first.");
  if (kept.length > LONGEST_NAME) throw new Refusal(`That name is too long; ${LONGEST_NAME} letters are the most.`);
  return kept;
}

/** One drawing more, of a class that is new or known. */
function withDrawing(project, name, drawing, { numClasses, numSlots }) {
  const kept = checkedName(name);
  if (drawingsOf(project).length >= numSlots) {
    throw new Refusal(`All ${numSlots} slots of the memory are taken. Forget a class first.`);
  }
  if (project.classes.some((known) => known.name === kept)) {
    return {
      classes: project.classes.map((known) =>
        known.name === kept ? { ...known, drawings: [...known.drawings, drawing] } : known,
      ),
    };
  }
  if (project.classes.length >= numClasses) {
    throw new Refusal(`It tells ${numClasses} classes apart and knows as many. Forget one first.`);
  }
  return { classes: [...project.classes, { name: kept, drawings: [drawing] }] };
}

function withoutClass(project, name) {
  return { classes: project.classes.filter((known) => known.name !== name) };
}

function renamed(project, from, to) {
  const kept = checkedName(to);
  if (kept !== from && project.classes.some(({ name }) => name === kept)) {
    throw new Refusal(`There is a class “${kept}” already; names have to differ.`);
  }
  return { classes: project.classes.map((known) => (known.name === from ? { ...known, name: kept } : known)) };
}

/** The text of a file that holds a project. */
function toFile(project) {
  const classes = project.classes.map(({ name, drawings }) => ({ name, drawings: drawings.map(base64Of) }));
  return JSON.stringify({ format: FILE_FORMAT, classes }, null, 1);
}

/** The project in the text of a file; refuses whatever is none, or more than the memory holds. */
function fromFile(text, limits) {
  let content;
  try {
    content = JSON.parse(text);
  } catch {
    throw new Refusal("That file is no saved project.");
  }
  if (content?.format !== FILE_FORMAT || !Array.isArray(content.classes))
    throw new Refusal("That file is no saved project.");
  let project = EMPTY_PROJECT;
  for (const known of content.classes) {
    if (typeof known?.name !== "string" || !Array.isArray(known.drawings))
      throw new Refusal("A class in that file is damaged.");
    for (const drawing of known.drawings)
      project = withDrawing(project, nameInFile(known.name), drawingOf(drawing, limits.imageSize), limits);
  }
  return project;
}

function nameInFile(name) {
  if (!name.trim()) throw new Refusal("A class in that file has no name.");
  return name;
}

function drawingOf(base64, size) {
  let bytes = null;
  try {
    bytes = bytesOf(base64);
  } catch {
    // said below
  }
  if (bytes?.length !== size * size) throw new Refusal("A drawing in that file is damaged.");
  return bytes;
}

/** Projects one after another, and the way back. */
function createHistory(start) {
  const past = [];
  let current = start;
  return {
    get current() {
      return current;
    },
    get last() {
      return past.length ? past[past.length - 1].what : null;
    },
    apply(project, what) {
      past.push({ project: current, what });
      current = project;
    },
    undo() {
      if (past.length) current = past.pop().project;
    },
  };
}

/** What a project makes of a memory: answers. What each drawing gives is kept, so that a change costs little. */
function createMind(engine) {
  const features = new WeakMap();
  const written = new WeakMap();

  function featuresOf(drawing) {
    if (!features.has(drawing)) features.set(drawing, engine.embed(Float64Array.from(drawing, (byte) => byte / 255)));
    return features.get(drawing);
  }

  /** The slot that a drawing is written to, whatever else is taught. */
  function slotOf(drawing, label) {
    const known = written.get(drawing);
    if (known?.label === label) return known;
    const slot = { label, drawing, ...engine.write(featuresOf(drawing), label) };
    written.set(drawing, slot);
    return slot;
  }

  /** The slots of a project: its drawings one by one, each with its class. */
  function slotsOf(project) {
    return project.classes.flatMap(({ name, drawings }, label) =>
      drawings.map((drawing) => ({ name, ...slotOf(drawing, label) })),
    );
  }

  /** Probabilities of the classes and of none of them; they sum to 1. */
  function answer(drawing, slots) {
    const { logits, weights, distance } = engine.answer(featuresOf(drawing), slots);
    const names = [...new Set(slots.map(({ name }) => name))];
    const none = strangeness(distance, slots.length);
    const shares = Array.from(softmax(logits.slice(0, names.length)), (share) => share * (1 - none));
    return { names, shares, none, weights };
  }

  return { see: featuresOf, slotsOf, answer };
}
