// A sheet to draw on with mouse, finger, pen or keys, and what it holds as a model takes it.
"use strict";

const PEN_SHARE = 1 / 22; // width of the line on the sheet
const RASTER = 112; // edge of the picture that strokes are drawn into, four times what a model takes
const MIDDLES = 18 / 28; // longer side of the pen's way in it, as in the characters that a model was trained on
const RASTER_PEN = 1.65 / 28;
const SMALLEST = 0.12; // a drawing smaller than this share of the sheet is not blown up further
const KEY_STEP = 1 / 28;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Makes a canvas a sheet to draw on; `changed` is called whenever something was drawn or taken away. */
function createPad(canvas, changed) {
  let strokes = [];
  let drawing = null;
  let outside = false;
  const keys = { at: [0.5, 0.5], down: false };

  function show() {
    drawSheet(canvas, strokes, canvas.matches(keys.used ? ":focus" : ":focus-visible") ? keys : null);
  }

  function change(next) {
    strokes = next;
    show();
    changed();
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** Goes on with a stroke. What is off the sheet is not there; where the pen comes back, a new one begins. */
  function follow(points) {
    let next = strokes;
    for (const point of points) {
      const wasOutside = outside;
      outside = point.some((value) => value < 0 || value > 1);
      if (outside) continue;
      const kept = wasOutside ? next : next.slice(0, -1);
      next = [...kept, wasOutside ? [point] : [...next[next.length - 1], point]];
    }
    if (next !== strokes) change(next);
  }

  /** Has what follows be another stroke. */
  function lift() {
    keys.down = false;
    outside = true;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || drawing !== null) return;
    drawing = event.pointerId;
    canvas.setPointerCapture(event.pointerId);
    keys.used = keys.down = outside = false;
    change([...strokes, [placeOf(event)]]);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drawing) return;
    const parts = event.getCoalescedEvents?.() ?? [];
    follow((parts.length ? parts : [event]).map(placeOf));
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === drawing) drawing = null;
    });
  }
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") {
      keys.used = true;
      keys.down = !keys.down;
      outside = false;
      if (keys.down) change([...strokes, [keys.at]]);
    } else if (event.key in ARROWS) {
      keys.used = true;
      keys.at = keys.at.map((value, i) => Math.min(0.95, Math.max(0.05, value + ARROWS[event.key][i] * KEY_STEP)));
      if (keys.down) follow([keys.at]);
    } else return;
    event.preventDefault();
    show();
  });
  for (const moved of ["focus", "blur"]) canvas.addEventListener(moved, show);
  new ResizeObserver(show).observe(canvas);

  return {
    isBlank: () => strokes.length === 0,
    strokes: () => strokes,
    clear() {
      lift();
      change([]);
    },
    takeBack() {
      lift();
      change(strokes.slice(0, -1));
    },
    usesKeys: () => keys.used === true,
    show,
  };
}

/** Draws the sheet as people see it, sharp on any screen. */
function drawSheet(canvas, strokes, keys) {
  const edge = Math.round(canvas.clientWidth * window.devicePixelRatio);
  if (canvas.width !== edge) canvas.width = canvas.height = edge;
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, edge, edge);
  pen.strokeStyle = getComputedStyle(canvas).color;
  drawStrokes(pen, strokes, (point) => point.map((value) => value * edge), PEN_SHARE * edge);
  if (!keys) return;
  pen.beginPath();
  pen.arc(keys.at[0] * edge, keys.at[1] * edge, edge / 40, 0, 2 * Math.PI);
  pen.lineWidth = keys.down ? edge / 80 : edge / 200;
  pen.stroke();
}

function drawStrokes(pen, strokes, place, width) {
  Object.assign(pen, { lineWidth: width, lineCap: "round", lineJoin: "round" });
  for (const stroke of strokes) {
    const points = stroke.map(place);
    pen.beginPath();
    pen.moveTo(...points[0]);
    for (const point of points.length > 1 ? points.slice(1) : points) pen.lineTo(...point);
    pen.stroke();
  }
}

let raster = null;

/** The one canvas that strokes are drawn into to be read back, made when it is first needed. */
function rasterPen() {
  raster ??= Object.assign(document.createElement("canvas"), { width: RASTER, height: RASTER });
  return raster.getContext("2d", { willReadFrequently: true });
}

/** Strokes as a drawing: their box brought to the middle, at the size of the characters that a model knows. */
function drawingOfStrokes(strokes, size) {
  const points = strokes.flat();
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const spans = [xs, ys].map((values) => ({ low: Math.min(...values), high: Math.max(...values) }));
  const longer = Math.max(...spans.map(({ low, high }) => high - low), SMALLEST);
  const place = (point) =>
    point.map((value, i) => (0.5 + ((value - (spans[i].low + spans[i].high) / 2) / longer) * MIDDLES) * RASTER);
  const pen = rasterPen();
  pen.fillStyle = "black";
  pen.fillRect(0, 0, RASTER, RASTER);
  pen.strokeStyle = "white";
  drawStrokes(pen, strokes, place, RASTER_PEN * RASTER);
  return drawingOfImage(pen.getImageData(0, 0, RASTER, RASTER), size, { ink: "bright", crop: false });
}

/** The pixels of a canvas as a drawing. */
function drawingOfImage(pixels, size, options) {
  const prepared = prepare(greyOf(pixels), size, options);
  const drawing = new Uint8Array(prepared.length);
  for (let i = 0; i < drawing.length; i++) drawing[i] = Math.round(255 * prepared[i]);
  return drawing;
}

/** The picture in a file as a drawing, cut to its ink. */
async function drawingOfFile(file, size) {
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new UnclearDrawing("It is no picture that this browser can read.");
  }
  const scale = Math.min(1, 400 / Math.max(picture.width, picture.height));
  const [width, height] = [picture.width, picture.height].map((edge) => Math.max(1, Math.round(edge * scale)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, 0, 0, width, height);
  return drawingOfImage(pen.getImageData(0, 0, width, height), size, { ink: "auto", crop: true });
}
