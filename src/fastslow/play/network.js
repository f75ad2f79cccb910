// Images to features, as core/encoders.py has it: convolutions, pooling, a projection. Batch norms are folded in.
// Values lie pixel after pixel, all channels of one together.
"use strict";

const NORM_EPSILON = 1e-5;

/** A function from an image, size x size values in [0, 1], to its features. */
function createEncoder({ config, tensors }) {
  const blocks = config.channels.map((channels, b) => {
    const name = `encoder.encoder.blocks.${b}.`;
    return {
      conv: foldedConvolution(tensors, `${name}conv`, `${name}norm`, channels),
      residual: config.residual[b]
        ? foldedConvolution(tensors, `${name}residual_conv`, `${name}residual_norm`, channels)
        : null,
    };
  });
  const project = foldedProjection(tensors, config);
  return (image) => {
    let values = image;
    let edge = config.image_size;
    for (const block of blocks) {
      values = pooled(convolved(values, edge, block.conv), edge, block.conv.outs);
      edge = edge >> 1;
      if (block.residual) values = withResidual(values, edge, block.residual);
    }
    return project(values);
  };
}

/** Weights in the order place of the window, channel in, channel out; the norm's scale and shift within them. */
function foldedConvolution(tensors, name, norm, outs) {
  const weight = tensors[`${name}.weight`];
  const ins = weight.length / (9 * outs);
  const [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
    (part) => tensors[`${norm}.${part}`],
  );
  const weights = new Float32Array(weight.length);
  const bias = new Float32Array(outs);
  for (let out = 0; out < outs; out++) {
    const scale = gain[out] / Math.sqrt(variance[out] + NORM_EPSILON);
    bias[out] = shift[out] - mean[out] * scale;
    for (let i = 0; i < ins; i++) {
      for (let place = 0; place < 9; place++) {
        weights[(place * ins + i) * outs + out] = weight[(out * ins + i) * 9 + place] * scale;
      }
    }
  }
  return { weights, bias, ins, outs };
}

/** A 3 x 3 convolution with a margin of zeros. Zeros, and there are many after a ReLU, cost nothing. */
function convolved(values, edge, { weights, bias, ins, outs }) {
  const result = new Float32Array(edge * edge * outs);
  const rows = new Int32Array(9 * ins + 4);
  const factors = new Float64Array(9 * ins + 4);
  for (let y = 0; y < edge; y++) {
    for (let x = 0; x < edge; x++) {
      const count = seenFrom(x, y, values, edge, ins, rows, factors);
      const sums = result.subarray((y * edge + x) * outs, (y * edge + x + 1) * outs);
      sums.set(bias);
      for (let n = 0; n < count; n += 4) addFourRows(sums, weights, outs, rows, factors, n);
    }
  }
  return result;
}

/** Lists what is not zero around a pixel: which row of the weights it meets, and its value. Filled up to fours. */
function seenFrom(x, y, values, edge, ins, rows, factors) {
  let count = 0;
  for (let place = 0; place < 9; place++) {
    const row = y + Math.floor(place / 3) - 1;
    const column = x + (place % 3) - 1;
    if (row < 0 || row >= edge || column < 0 || column >= edge) continue;
    const from = (row * edge + column) * ins;
    for (let i = 0; i < ins; i++) {
      if (values[from + i] === 0) continue;
      rows[count] = place * ins + i;
      factors[count++] = values[from + i];
    }
  }
  rows.fill(0, count, count + 4);
  factors.fill(0, count, count + 4);
  return count;
}

/** Adds four rows of weights, each times its factor: in one go, which is three times quicker than one by one. */
function addFourRows(sums, weights, outs, rows, factors, n) {
  const [a, b, c, d] = [rows[n] * outs, rows[n + 1] * outs, rows[n + 2] * outs, rows[n + 3] * outs];
  const [fa, fb, fc, fd] = [factors[n], factors[n + 1], factors[n + 2], factors[n + 3]];
  for (let out = 0; out < outs; out++) {
    sums[out] += fa * weights[a + out] + fb * weights[b + out] + fc * weights[c + out] + fd * weights[d + out];
  }
}

/** The largest of each 2 x 2 pixels, or 0 if none is above it; an odd last row and column are left out. */
function pooled(values, edge, channels) {
  const half = edge >> 1;
  const result = new Float32Array(half * half * channels);
  for (let y = 0; y < 2 * half; y++) {
    for (let x = 0; x < 2 * half; x++) {
      const from = (y * edge + x) * channels;
      const to = ((y >> 1) * half + (x >> 1)) * channels;
      for (let c = 0; c < channels; c++) result[to + c] = Math.max(result[to + c], values[from + c]);
    }
  }
  return result;
}

function withResidual(values, edge, convolution) {
  const more = convolved(values, edge, convolution);
  return values.map((value, i) => value + Math.max(0, more[i]));
}

/** The linear map to as many features as the memory takes, each centred and scaled. */
function foldedProjection(tensors, config) {
  const weight = tensors["encoder.projection.linear.weight"];
  const mean = tensors["encoder.projection.centre.running_mean"];
  const variance = tensors["encoder.projection.centre.running_var"];
  const channels = config.channels[config.channels.length - 1];
  const size = weight.length / mean.length;
  const pixels = size / channels;
  const scales = Array.from(variance, (value) => 1 / Math.sqrt(value + NORM_EPSILON));
  const ordered = weight.map((_, at) => {
    const row = Math.floor(at / size);
    const pixel = Math.floor((at % size) / channels);
    return weight[row * size + (at % channels) * pixels + pixel] * scales[row];
  });
  const bias = mean.map((value, row) => -value * scales[row]);
  return (values) => linear(values, ordered, bias);
}

/** Weights, row by row, times the values, plus a bias. */
function linear(values, weights, bias) {
  const size = values.length;
  return bias.map((start, row) => {
    let sum = start;
    for (let i = 0; i < size; i++) sum += weights[row * size + i] * values[i];
    return sum;
  });
}
