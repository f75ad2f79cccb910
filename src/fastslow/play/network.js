// Images to features, as core/encoders.py has it: convolutions, pooling, a projection. Batch norms are folded in.
// Values lie pixel after pixel, all channels of one together; all of them in 64 bits, as JavaScript reckons: in 32 each
// of the millions of products would be turned into 64 first. What lies between image and features is written over by
// the next image.
"use strict";

const NORM_EPSILON = 1e-5;

/** A function from an image, size x size values in [0, 1], to its features. */
function createEncoder({ config, tensors }) {
  const blocks = [];
  let edge = config.image_size;
  config.channels.forEach((channels, b) => {
    const name = `encoder.encoder.blocks.${b}.`;
    const conv = foldedConvolution(tensors, `${name}conv`, `${name}norm`, channels, edge);
    edge = edge >> 1;
    const residual = config.residual[b]
      ? foldedConvolution(tensors, `${name}residual_conv`, `${name}residual_norm`, channels, edge)
      : null;
    blocks.push({ conv, residual, half: new Float64Array(edge * edge * channels) });
  });
  const project = foldedProjection(tensors, config);
  return (image) => {
    let values = image;
    for (const { conv, residual, half } of blocks) {
      convolve(values, conv);
      values = pool(conv, half);
      if (residual) addAboveZero(values, convolve(values, residual));
    }
    return project(values);
  };
}

/** Weights in the order place of the window, channel in, channel out, the norm's scale and shift within them; and what
 * the values of an image of edge x edge pixels are put into. */
function foldedConvolution(tensors, name, norm, outs, edge) {
  const weight = tensors[`${name}.weight`];
  const ins = weight.length / (9 * outs);
  const [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
    (part) => tensors[`${norm}.${part}`],
  );
  const weights = new Float64Array(weight.length);
  const bias = new Float64Array(outs);
  for (let out = 0; out < outs; out++) {
    const scale = gain[out] / Math.sqrt(variance[out] + NORM_EPSILON);
    bias[out] = shift[out] - mean[out] * scale;
    for (let i = 0; i < ins; i++) {
      for (let place = 0; place < 9; place++) {
        weights[(place * ins + i) * outs + out] = weight[(out * ins + i) * 9 + place] * scale;
      }
    }
  }
  return { weights, bias, ins, outs, edge, seen: createList(9 * ins), result: new Float64Array(edge * edge * outs) };
}

/** What is not zero of so many values: which row of the weights each meets, and what it is. */
function createList(most) {
  return { rows: new Int32Array(most + 8), factors: new Float64Array(most + 8), count: 0 };
}

/** A 3 x 3 convolution with a margin of zeros. Zeros, and there are many after a ReLU, cost nothing. */
function convolve(values, { weights, bias, ins, outs, edge, seen, result }) {
  for (let y = 0; y < edge; y++) {
    for (let x = 0; x < edge; x++) {
      seen.count = 0;
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, edge - 1); row++) {
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, edge - 1); column++) {
          const place = (row - y + 1) * 3 + column - x + 1;
          listNonZero(seen, values, (row * edge + column) * ins, ins, place * ins);
        }
      }
      const to = (y * edge + x) * outs;
      for (let out = 0; out < outs; out++) result[to + out] = bias[out];
      addRows(result, to, weights, outs, seen);
    }
  }
  return result;
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

/** Adds the listed rows of weights, each times its factor, to sums: eight at a time, so that sums are rarely moved. */
function addRows(sums, to, weights, outs, { rows, factors, count }) {
  rows.fill(0, count, count + 8);
  factors.fill(0, count, count + 8);
  for (let n = 0; n < count; n += 8) addEightRows(sums, to, weights, outs, rows, factors, n);
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

/** The largest of each 2 x 2 pixels, or 0 if none is above it; an odd last row and column are left out. */
function pool({ result, edge, outs }, half) {
  const width = edge >> 1;
  for (let y = 0; y < width; y++) {
    for (let x = 0; x < width; x++) {
      const from = (2 * y * edge + 2 * x) * outs;
      const below = from + edge * outs;
      const to = (y * width + x) * outs;
      for (let c = 0; c < outs; c++) {
        const above = Math.max(result[from + c], result[from + outs + c]);
        half[to + c] = Math.max(0, above, Math.max(result[below + c], result[below + outs + c]));
      }
    }
  }
  return half;
}

function addAboveZero(values, more) {
  for (let i = 0; i < values.length; i++) values[i] += Math.max(0, more[i]);
}

/** The linear map to as many features as the memory takes, each centred and scaled. */
function foldedProjection(tensors, config) {
  const weight = tensors["encoder.projection.linear.weight"];
  const mean = tensors["encoder.projection.centre.running_mean"];
  const scales = Array.from(
    tensors["encoder.projection.centre.running_var"],
    (value) => 1 / Math.sqrt(value + NORM_EPSILON),
  );
  const channels = config.channels[config.channels.length - 1];
  const pixels = weight.length / mean.length / channels;
  const weights = new Float64Array(weight.length);
  for (let row = 0; row < mean.length; row++) {
    for (let i = 0; i < channels * pixels; i++) {
      const at = (i % channels) * pixels + Math.floor(i / channels); // channel after channel in the library
      weights[i * mean.length + row] = weight[row * channels * pixels + at] * scales[row];
    }
  }
  return createLinear(weights, Float64Array.from(mean, (value, row) => -value * scales[row]));
}

/** A linear map of values; weights row by row for each value in, a column for each out. */
function createLinear(weights, bias) {
  const outs = bias.length;
  const seen = createList(weights.length / outs);
  return (values) => {
    const sums = bias.slice();
    seen.count = 0;
    listNonZero(seen, values, 0, values.length, 0);
    addRows(sums, 0, weights, outs, seen);
    return sums;
  };
}

/** A linear map as the library keeps it: a row of weights for each value out. */
function linearLayer(tensors, name) {
  const [weight, bias] = [tensors[`${name}.weight`], tensors[`${name}.bias`]];
  const ins = weight.length / bias.length;
  const weights = new Float64Array(weight.length);
  for (let i = 0; i < ins; i++) {
    for (let out = 0; out < bias.length; out++) weights[i * bias.length + out] = weight[out * ins + i];
  }
  return createLinear(weights, Float64Array.from(bias));
}
