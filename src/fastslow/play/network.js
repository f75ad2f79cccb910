// Images to features, as core/encoders.py has it: convolutions, pooling, a projection. Batch norms are folded in.
// Values lie pixel after pixel, all channels of one together. What lies between image and features is written over by
// the next image.
"use strict";

const NORM_EPSILON = 1e-5;

/** A function from an image, size x size values in [0, 1], to its features. */
function createEncoder({ config, tensors }) {
  const adder = createAdder(mostNumbers(config, tensors), [...config.channels, config.projection]);
  const blocks = [];
  let edge = config.image_size;
  config.channels.forEach((channels, b) => {
    const name = `encoder.encoder.blocks.${b}.`;
    const conv = foldedConvolution(adder, tensors, `${name}conv`, `${name}norm`, channels, edge, edge & ~1);
    edge = edge >> 1;
    const residual = config.residual[b]
      ? foldedConvolution(adder, tensors, `${name}residual_conv`, `${name}residual_norm`, channels, edge, edge)
      : null;
    blocks.push({ conv, residual, half: new Float64Array(edge * edge * channels) });
  });
  const project = foldedProjection(adder, tensors, config);
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

/** So many are enough: weights, for two convolutions a block their lists and images, of which the first block's are the
 * largest (the projection's list is within what later ones leave), and some to spare. */
function mostNumbers({ channels, image_size }, tensors) {
  const widest = Math.max(...channels);
  const weights = Object.values(tensors).reduce((sum, tensor) => sum + tensor.length, 0);
  return weights + 2 * channels.length * (image_size ** 2 + 18) * widest + 65536;
}

/** Weights in the order place of the window, channel in, channel out, the norm's scale and shift within them; and what
 * the values of an image of edge x edge pixels are put into. Of these the first wanted x wanted are computed: pooling
 * leaves out an odd last row and column. */
function foldedConvolution(adder, tensors, name, norm, outs, edge, wanted) {
  const weight = tensors[`${name}.weight`];
  const ins = weight.length / (9 * outs);
  const [gain, shift, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
    (part) => tensors[`${norm}.${part}`],
  );
  const weights = adder.floats(weight.length);
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
  const [seen, result] = [createList(9 * ins, adder), adder.floats(edge * edge * outs)];
  return { addRows: adder.addRows, weights, bias, ins, outs, edge, wanted, seen, result };
}

/** A 3 x 3 convolution with a margin of zeros. Zeros, and there are many after a ReLU, cost nothing. */
function convolve(values, { addRows, weights, bias, ins, outs, edge, wanted, seen, result }) {
  for (let y = 0; y < wanted; y++) {
    for (let x = 0; x < wanted; x++) {
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
function foldedProjection(adder, tensors, config) {
  const weight = tensors["encoder.projection.linear.weight"];
  const mean = tensors["encoder.projection.centre.running_mean"];
  const scales = Array.from(
    tensors["encoder.projection.centre.running_var"],
    (value) => 1 / Math.sqrt(value + NORM_EPSILON),
  );
  const channels = config.channels[config.channels.length - 1];
  const pixels = weight.length / mean.length / channels;
  const weights = adder.floats(weight.length);
  for (let row = 0; row < mean.length; row++) {
    for (let i = 0; i < channels * pixels; i++) {
      const at = (i % channels) * pixels + Math.floor(i / channels); // channel after channel in the library
      weights[i * mean.length + row] = weight[row * channels * pixels + at] * scales[row];
    }
  }
  return createLinear(
    adder,
    weights,
    Float64Array.from(mean, (value, row) => -value * scales[row]),
  );
}

/** A linear map of values; weights row by row for each value in, a column for each out. */
function createLinear(adder, weights, bias) {
  const seen = createList(weights.length / bias.length, adder);
  const result = adder.floats(bias.length);
  return (values) => {
    result.set(bias);
    seen.count = 0;
    listNonZero(seen, values, 0, values.length, 0);
    adder.addRows(result, 0, weights, bias.length, seen);
    return Float64Array.from(result);
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
  return createLinear(plainAdder(), weights, Float64Array.from(bias));
}
