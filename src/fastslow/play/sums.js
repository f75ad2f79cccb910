// Sums of rows of weights, each times a factor: what most of an answer's time went into. WebAssembly adds sixteen
// numbers at a time, in 32 bits; a browser without its vector instructions does the same in JavaScript, in 64.
"use strict";

const MEMORY_PAGE = 65536; // bytes that WebAssembly's memory is counted in
const COLUMNS = 16; // that the kernel adds at a time

/** What is not zero of so many values: which row of the weights each meets, and what it is. */
function createList(most, { floats, integers }) {
  return { rows: integers(most + 8), factors: floats(most + 8), count: 0 };
}

/** Lists those of `size` values that are not zero; the first of them meets the given row of the weights. */
function listNonZero(list, values, from, size, row) {
  const { rows, factors } = list;
  let count = list.count;
  for (let i = 0; i < size; i++) {
    const value = values[from + i];
    if (value === 0) continue;
    rows[count] = row + i;
    factors[count++] = value;
  }
  list.count = count;
}

/** What makes arrays, `floats` and `integers`, and adds rows of them, `addRows`: quick where the browser has a way to.
 * `most` is how many numbers they hold in all, each array rounded up to sixteen; `widths` are how long sums will be. */
function createAdder(most, widths) {
  if (widths.some((width) => width % COLUMNS)) return plainAdder();
  try {
    return vectorAdder(most);
  } catch {
    return plainAdder(); // no WebAssembly, none with vectors, or no memory for it
  }
}

/** For all browsers and all widths. */
function plainAdder() {
  return {
    floats: (length) => new Float64Array(length),
    integers: (length) => new Int32Array(length),
    /** Adds the listed rows to sums: eight at a time, so that sums are rarely moved. */
    addRows(sums, to, weights, outs, { rows, factors, count }) {
      rows.fill(0, count, count + 8);
      factors.fill(0, count, count + 8);
      for (let n = 0; n < count; n += 8) addEightRows(sums, to, weights, outs, rows, factors, n);
    },
  };
}

function addEightRows(sums, to, weights, outs, rows, factors, n) {
  const [a, b, c, d] = [rows[n] * outs, rows[n + 1] * outs, rows[n + 2] * outs, rows[n + 3] * outs];
  const [e, f, g, h] = [rows[n + 4] * outs, rows[n + 5] * outs, rows[n + 6] * outs, rows[n + 7] * outs];
  const [fa, fb, fc, fd] = [factors[n], factors[n + 1], factors[n + 2], factors[n + 3]];
  const [fe, ff, fg, fh] = [factors[n + 4], factors[n + 5], factors[n + 6], factors[n + 7]];
  for (let out = 0; out < outs; out++) {
    const first = fa * weights[a + out] + fb * weights[b + out] + (fc * weights[c + out] + fd * weights[d + out]);
    const second = fe * weights[e + out] + ff * weights[f + out] + (fg * weights[g + out] + fh * weights[h + out]);
    sums[to + out] += first + second;
  }
}

/** All arrays lie in one memory; the kernel is given their places in it. */
function vectorAdder(most) {
  const memory = new WebAssembly.Memory({ initial: Math.ceil((4 * most) / MEMORY_PAGE) });
  const { kernel } = new WebAssembly.Instance(new WebAssembly.Module(kernelBytes()), { of: { memory } }).exports;
  let used = 0;
  const placed = (Kind) => (length) => {
    const array = new Kind(memory.buffer, used, length);
    used += 4 * COLUMNS * Math.ceil(length / COLUMNS);
    return array;
  };
  return {
    floats: placed(Float32Array),
    integers: placed(Int32Array),
    addRows(sums, to, weights, outs, { rows, factors, count }) {
      const start = sums.byteOffset + 4 * to;
      if (count > 0) kernel(start, weights.byteOffset, 4 * outs, rows.byteOffset, factors.byteOffset, count);
    },
  };
}
