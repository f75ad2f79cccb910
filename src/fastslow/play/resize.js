// Pillow's Lanczos filter, to the bit: in whole numbers for bytes, as data/preparation.py has images resized.
"use strict";

const LANCZOS = 3;
const FIXED = 2 ** 22;

/** Rounds as Python and numpy do: halves to the even number. */
function rounded(value) {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

function lanczos(x) {
  return x >= -LANCZOS && x < LANCZOS ? sinc(x) * sinc(x / LANCZOS) : 0;
}

/** For each pixel of the result, the first pixel of the source that it takes from, and how much of each from there: in
 * whole numbers for bytes. */
function kernels(from, to, inBytes) {
  const scale = from / to;
  const wide = Math.max(scale, 1);
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - LANCZOS * wide + 0.5));
    const last = Math.min(from, Math.trunc(centre + LANCZOS * wide + 0.5));
    const shares = new Float64Array(last - first);
    let total = 0;
    for (let i = 0; i < shares.length; i++) {
      shares[i] = lanczos((i + first - centre + 0.5) / wide);
      total += shares[i];
    }
    for (let i = 0; i < shares.length; i++) shares[i] = inBytes ? fixedPoint(shares[i] / total) : shares[i] / total;
    return { first, shares };
  });
}

/** In whole numbers of parts of FIXED. */
function fixedPoint(share) {
  return Math.trunc(share * FIXED + Math.sign(share) * 0.5);
}

/** Lines of pixels to shorter or longer ones. Pixels of a line lie `step` apart, lines `apart`; so do those of the
 * result, `toStep` and `toApart`. */
function resizeLines(source, step, apart, result, toStep, toApart, lines, kernels, inBytes) {
  for (let at = 0; at < kernels.length; at++) {
    const { first, shares } = kernels[at];
    for (let line = 0; line < lines; line++) {
      const start = line * apart + first * step;
      let sum = inBytes ? FIXED / 2 : 0;
      for (let i = 0; i < shares.length; i++) sum += shares[i] * source[start + i * step];
      result[line * toApart + at * toStep] = inBytes ? Math.min(255, Math.max(0, Math.floor(sum / FIXED))) : sum;
    }
  }
}

/** An image {pixels, width, height} at another size: first its rows, then its columns. */
function resized({ pixels, width, height }, toWidth, toHeight, inBytes) {
  let current = pixels;
  if (toWidth !== width) {
    const result = new Float32Array(toWidth * height);
    resizeLines(current, 1, width, result, 1, toWidth, height, kernels(width, toWidth, inBytes), inBytes);
    current = result;
  }
  if (toHeight !== height) {
    const result = new Float32Array(toWidth * toHeight);
    resizeLines(current, toWidth, 1, result, toWidth, 1, toWidth, kernels(height, toHeight, inBytes), inBytes);
    current = result;
  }
  return { pixels: current, width: toWidth, height: toHeight };
}
