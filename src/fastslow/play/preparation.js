// Pictures as a model takes them, as data/preparation.py has it: grey in [0, 1], ink bright, of full contrast.
// An image is {pixels, width, height}; pixels are 32-bit floats, row after row.
"use strict";

const DARK_PAPER = 0.04;
const BRIGHT_INK = 0.6;
const LEAST_CONTRAST = 8 / 255;
const OTHER_SIDE = 0.25;
const MOST_NOISE = 0.08;
const INK_SHARE = 20 / 28;
const LUMINANCE = [0.299, 0.587, 0.114].map(Math.fround);

/** Something that cannot be read as a drawing; the message is for whoever drew it. */
class UnclearDrawing extends Error {}

/** The pixels of a canvas, red, green, blue and alpha in bytes, as grey in [0, 1]; clear ones as paper. */
function greyOf({ data, width, height }) {
  const size = width * height;
  const grey = new Float32Array(size);
  const [red, green, blue] = LUMINANCE;
  let isOpaque = true;
  for (let i = 0; i < size; i++) {
    isOpaque &&= data[4 * i + 3] === 255;
    grey[i] = Math.fround(data[4 * i] / 255) * red;
    grey[i] += Math.fround(data[4 * i + 1] / 255) * green;
    grey[i] += Math.fround(data[4 * i + 2] / 255) * blue;
  }
  const image = { pixels: grey, width, height };
  if (isOpaque) return image;
  const alpha = Float32Array.from({ length: size }, (_, i) => data[4 * i + 3] / 255);
  const paper = clearPaper(image, alpha);
  return { pixels: grey.map((value, i) => value * alpha[i] + paper * (1 - alpha[i])), width, height };
}

/** What clear pixels stand for: the paper seen at the border, or else whatever the ink is not. */
function clearPaper({ pixels, width, height }, alpha) {
  const covered = borderOf({ pixels: alpha, width, height }).map((value) => value > 0.5);
  const border = borderOf({ pixels, width, height }).filter((_, i) => covered[i]);
  if (2 * border.length > covered.length) return median(border);
  const lit = pixels.reduce((sum, value, i) => sum + value * alpha[i], 0);
  return lit > 0.5 * alpha.reduce((sum, value) => sum + value, 0) ? 0 : 1;
}

/** An image as size x size values in [0, 1], ink bright. Ink is found out, or said to be "bright" or "dark". */
function prepare(image, size, { ink = "auto", crop = true } = {}) {
  const dark = isDark(image, ink);
  let bright = dark ? scaled(image, { factor: -1, plus: 1 }) : image;
  if (dark || !isClean(bright)) bright = lifted(bright);
  if (crop) bright = cropped(bright);
  const square = fitted(bright, size, dark);
  const asItWas = bright.width === size && bright.height === size && isBinary(square);
  const clear = isClean(square) ? square : stretched(square);
  return asItWas ? smoothed(clear).pixels : clear.pixels;
}

// Plain loops over pixels, which take a third of the time of `map`, `reduce` and `every`, and call no function made
// anew for each image: when a browser cleans up it forgets how to run such functions quickly, and every fiftieth answer
// took 6 ms longer.
function scaled({ pixels, width, height }, { factor = 1, plus = 0, parts = 1 }) {
  const result = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) result[i] = (factor * pixels[i] + plus) / parts;
  return { pixels: result, width, height };
}

/** In whole bytes. */
function bytesOfPixels({ pixels, width, height }) {
  const result = new Float32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) result[i] = rounded(Math.fround(pixels[i] * 255));
  return { pixels: result, width, height };
}

/** The pixels along the edges, each once. */
function borderOf({ pixels, width, height }) {
  const border = [];
  for (let y = 0; y < height; y++) {
    const step = y === 0 || y === height - 1 ? 1 : Math.max(width - 1, 1);
    for (let x = 0; x < width; x += step) border.push(pixels[y * width + x]);
  }
  return Float32Array.from(border);
}

function median(values) {
  const sorted = Float32Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : Math.fround((sorted[middle - 1] + sorted[middle]) / 2);
}

const paperOf = (image) => median(borderOf(image));

function mostOf(pixels) {
  let most = -Infinity;
  for (let i = 0; i < pixels.length; i++) if (pixels[i] > most) most = pixels[i];
  return most;
}

function leastOf(pixels) {
  let least = Infinity;
  for (let i = 0; i < pixels.length; i++) if (pixels[i] < least) least = pixels[i];
  return least;
}

function countAbove(pixels, bound) {
  let count = 0;
  for (let i = 0; i < pixels.length; i++) if (pixels[i] > bound) count++;
  return count;
}

/** Whether an image is a bright drawing of full contrast on dark paper, and needs no change. */
function isClean(image) {
  const border = borderOf(image);
  const most = mostOf(image.pixels);
  const plain = 2 * countAbove(border, DARK_PAPER) < border.length;
  const thin = 2 * countAbove(image.pixels, most / 2) < image.pixels.length;
  return plain && thin && leastOf(image.pixels) >= 0 && most <= 1 && most >= BRIGHT_INK;
}

function isBinary({ pixels }) {
  const most = mostOf(pixels);
  return pixels.every((value) => value === 0 || value === most);
}

/** Whether the ink is darker than its paper; refuses what has no ink. */
function isDark(image, ink) {
  const paper = paperOf(image);
  const least = ink === "bright" ? 0 : -Infinity;
  const most = ink === "dark" ? 0 : Infinity;
  const { pixels } = scaled(image, { plus: -paper });
  for (let i = 0; i < pixels.length; i++) pixels[i] = Math.min(Math.max(pixels[i], least), most);
  const contrast = Math.max(mostOf(pixels), -leastOf(pixels));
  if (contrast < LEAST_CONTRAST) throw new UnclearDrawing("There is nothing drawn on it.");
  let [brighter, darker] = [0, 0];
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] > contrast / 2) brighter++;
    else if (-pixels[i] > contrast / 2) darker++;
  }
  const shares = [brighter / pixels.length, darker / pixels.length];
  if (Math.min(...shares) > OTHER_SIDE * Math.max(...shares) || Math.max(...shares) > 0.5) {
    throw new UnclearDrawing("Ink cannot be told from paper; a drawing on plain paper, with a margin, is needed.");
  }
  return darker > brighter;
}

/** Paper to 0 and the brightest ink to 1. */
function lifted(image) {
  const paper = paperOf(image);
  const depth = scaled(image, { plus: -paper });
  return scaled(depth, { parts: mostOf(depth.pixels) });
}

/** The square around the ink, filled up with paper; the ink's longer side takes 20 of 28 parts. */
function cropped(image) {
  const { pixels, width, height } = image;
  const half = mostOf(pixels) / 2;
  const { top, bottom, left, right } = inkBox(image, half);
  const edge = Math.max(rounded(Math.max(bottom - top, right - left) / INK_SHARE), 1);
  const up = Math.floor((top + bottom - edge) / 2);
  const back = Math.floor((left + right - edge) / 2);
  const square = new Float32Array(edge * edge).fill(paperOf(image));
  for (let y = Math.max(up, 0); y < Math.min(up + edge, height); y++) {
    for (let x = Math.max(back, 0); x < Math.min(back + edge, width); x++) {
      square[(y - up) * edge + x - back] = pixels[y * width + x];
    }
  }
  return { pixels: square, width: edge, height: edge };
}

function inkBox({ pixels, width, height }, least) {
  const box = { top: height, bottom: 0, left: width, right: 0 };
  for (let i = 0; i < pixels.length; i++) {
    if (!(pixels[i] > least)) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y + 1);
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x + 1);
  }
  return box;
}

/** Scaled to fit a square, centred on its own paper: in bytes of its own polarity; in floats where some are below 0. */
function fitted(image, size, dark) {
  if (image.width === size && image.height === size) return image;
  const inBytes = leastOf(image.pixels) >= 0;
  const turned = inBytes && dark;
  const scale = size / Math.max(image.width, image.height);
  const [width, height] = [image.width, image.height].map((edge) => Math.max(1, rounded(edge * scale)));
  const source = turned ? scaled(image, { factor: -1, plus: 1 }) : image;
  const small = resized(inBytes ? bytesOfPixels(source) : source, width, height, inBytes);
  const paper = paperOf(image);
  const square = new Float32Array(size * size).fill(inBytes ? rounded((turned ? 1 - paper : paper) * 255) : paper);
  const [top, left] = [(size - height) >> 1, (size - width) >> 1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) square[(top + y) * size + left + x] = small.pixels[y * width + x];
  }
  const result = { pixels: square, width: size, height: size };
  if (!inBytes) return result;
  const grey = scaled(result, { parts: 255 });
  return turned ? scaled(grey, { factor: -1, plus: 1 }) : grey;
}

/** Paper to 0 and the brightest ink to 1; twice the paper's noise, as seen at the border, becomes paper. */
function stretched(image) {
  const paper = paperOf(image);
  const depth = scaled(image, { plus: -paper });
  const contrast = mostOf(depth.pixels);
  if (contrast < LEAST_CONTRAST) throw new UnclearDrawing("The ink is too thin to be seen; draw larger.");
  const border = borderOf(depth).map(Math.abs);
  const blank = border.filter((value) => value < contrast / 4);
  if (blank.length === 0)
    throw new UnclearDrawing("There is ink all along the border; leave a margin around the drawing.");
  const squares = blank.reduce((sum, value) => sum + value * value, 0);
  const noise = median(border) === 0 ? 0 : Math.sqrt(squares / blank.length);
  if (noise > MOST_NOISE * contrast) throw new UnclearDrawing("The ink hardly stands out from uneven paper.");
  const result = scaled(depth, { plus: -2 * noise, parts: contrast - 2 * noise });
  for (let i = 0; i < result.pixels.length; i++) result.pixels[i] = Math.min(1, Math.max(0, result.pixels[i]));
  return result;
}

/** Edges as a pen leaves them, for ink and paper with nothing between: each pixel and a fifth of its neighbours. */
function smoothed({ pixels, width, height }) {
  const ink = (x, y) => (x >= 0 && y >= 0 && x < width && y < height && pixels[y * width + x] > 0 ? 1 : 0);
  const weight = (offset) => (offset === 0 ? 5 : 1);
  const sums = pixels.map((_, i) => {
    let sum = 0;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -1; dx <= 1; dx++)
        sum += weight(dy) * weight(dx) * ink((i % width) + dx, Math.floor(i / width) + dy);
    }
    return sum;
  });
  const most = mostOf(sums);
  return { pixels: sums.map((sum) => sum / most), width, height };
}
