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

function lanczos(x) {
  const sinc = (t) => (t === 0 ? 1 : Math.sin(t * Math.PI) / (t * Math.PI));
  return x >= -LANCZOS && x < LANCZOS ? sinc(x) * sinc(x / LANCZOS) : 0;
}

/** For each pixel of the result, the first pixel of the source that it takes from, and how much of each from there. */
function kernels(from, to) {
  const scale = from / to;
  const wide = Math.max(scale, 1);
  return Array.from({ length: to }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - LANCZOS * wide + 0.5));
    const last = Math.min(from, Math.trunc(centre + LANCZOS * wide + 0.5));
    const shares = Array.from({ length: last - first }, (_, i) => lanczos((i + first - centre + 0.5) / wide));
    const total = shares.reduce((sum, share) => sum + share, 0);
    return { first, shares: shares.map((share) => share / total) };
  });
}

/** One line of pixels, `step` apart, to another; bytes in whole numbers. */
function resizeLine(source, start, step, kernels, inBytes, write) {
  kernels.forEach(({ first, shares }, at) => {
    let sum = inBytes ? FIXED / 2 : 0;
    shares.forEach((share, i) => {
      const factor = inBytes ? Math.trunc(share * FIXED + Math.sign(share) * 0.5) : share;
      sum += factor * source[start + (first + i) * step];
    });
    write(at, inBytes ? Math.min(255, Math.max(0, Math.floor(sum / FIXED))) : sum);
  });
}

/** An image {pixels, width, height} at another size: first its rows, then its columns. */
function resized({ pixels, width, height }, toWidth, toHeight, inBytes) {
  let current = pixels;
  if (toWidth !== width) {
    const across = kernels(width, toWidth);
    const result = new Float32Array(toWidth * height);
    for (let y = 0; y < height; y++) {
      resizeLine(current, y * width, 1, across, inBytes, (x, value) => (result[y * toWidth + x] = value));
    }
    current = result;
  }
  if (toHeight !== height) {
    const down = kernels(height, toHeight);
    const result = new Float32Array(toWidth * toHeight);
    for (let x = 0; x < toWidth; x++) {
      resizeLine(current, x, toWidth, down, inBytes, (y, value) => (result[y * toWidth + x] = value));
    }
    current = result;
  }
  return { pixels: current, width: toWidth, height: toHeight };
}
