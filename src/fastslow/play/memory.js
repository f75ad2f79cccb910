// The memory and its fast rule, as core/keyed_memory.py and methods/default_rule.py have them.
// Each drawing is written as the empty memory sees it, so a slot depends on its own drawing and label alone.
"use strict";

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** What a page asks of a model: embed a drawing, write it under a label, answer from written slots. */
function createEngine(bytes) {
  const model = readModel(bytes);
  const { config, tensors } = model;
  const memory = createMemory(tensors, config);
  return {
    numClasses: config.n_way,
    numSlots: config.num_slots,
    imageSize: config.image_size,
    embed: createEncoder(model),
    write: (features, label) => memory.write(features, label),
    answer: (features, slots) => memory.answer(features, slots),
  };
}

function createMemory(tensors, config) {
  const initial = initialSlots(tensors["memory.initial_slots"], config);
  const sharpness = Math.exp(tensors["memory.log_sharpness"][0]);
  const layers = ["memory.input_controller", "memory.output_controller", "memory.write_controller"];
  const [inward, outward, writing] = layers.map((name) => linearLayer(tensors, name));
  const [predicting, head, decode] = ["predictor.layer", "predictor.head", "decoder"].map((name) =>
    linearLayer(tensors, name),
  );
  const stepSize = Math.exp(tensors["step_size.log"][0]);

  /** Eqs. 2-5: asks slots. */
  function look(features, slots) {
    const moved = gatesOf(inward(features)).hidden;
    const query = features.map((value, i) => value + moved[i]);
    const weights = address(query, slots, sharpness);
    const read = mean(slots, weights);
    return { query, weights, output: gatesOf(outward(joined(query, read))).hidden };
  }

  /** Eqs. 9, 10 and 7: a slot; its value is made again under weights that the predicted gradient has moved. */
  function write(features, label) {
    const { query, output } = look(features, initial);
    const inputs = joined(output, query);
    const before = writing(inputs);
    const gates = gatesOf(before);
    const wanted = new Float64Array(config.n_way);
    wanted[label] = 1;
    const gradient = head(gatesOf(predicting(joined(gates.hidden, wanted))).hidden);
    const size = stepSize * inputs.reduce((sum, value) => sum + value * value, 0);
    const deltas = gateDeltas(gates, gradient);
    return { key: query, value: gatesOf(before.map((value, i) => value - size * deltas[i])).hidden };
  }

  /** Eq. 8: logits of all classes; the slots' address weights; the distance to the nearest key, squared, a feature. */
  function answer(features, slots) {
    const { query, weights, output } = look(features, slots);
    let nearest = Infinity;
    for (const { key } of slots) nearest = Math.min(nearest, squaredDistance(query, key));
    return { logits: decode(output), weights, distance: nearest / query.length };
  }

  return { write, answer };
}

function initialSlots(numbers, { num_slots, dim }) {
  return Array.from({ length: num_slots }, (_, s) => ({
    key: Float64Array.from(numbers.subarray(2 * s * dim, (2 * s + 1) * dim)),
    value: Float64Array.from(numbers.subarray((2 * s + 1) * dim, (2 * s + 2) * dim)),
  }));
}

function joined(first, second) {
  const both = new Float64Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Eq. 3 by distance. */
function address(query, slots, sharpness) {
  return softmax(slots.map(({ key }) => sharpness * nearness(query, key)));
}

/** Minus half the squared distance, but for a term that is the same for all slots. */
function nearness(query, key) {
  let sum = 0;
  for (let i = 0; i < key.length; i++) sum += key[i] * (query[i] - 0.5 * key[i]);
  return sum;
}

function softmax(scores) {
  const most = scores.reduce((largest, score) => Math.max(largest, score), -Infinity);
  const parts = scores.map((score) => Math.exp(score - most));
  const total = parts.reduce((sum, part) => sum + part, 0);
  return parts.map((part) => part / total);
}

/** Eq. 4: the mean of the slots' values. */
function mean(slots, weights) {
  const sums = new Float64Array(slots[0].value.length);
  for (let s = 0; s < slots.length; s++) {
    const { value } = slots[s];
    for (let i = 0; i < sums.length; i++) sums[i] += weights[s] * value[i];
  }
  return sums;
}

function squaredDistance(first, second) {
  let sum = 0;
  for (let i = 0; i < first.length; i++) sum += (first[i] - second[i]) ** 2;
  return sum;
}

/** An LSTM step from zeros, where there is nothing to forget, from its pre-activations in the order i, g, o. */
function gatesOf(preactivation) {
  const dim = preactivation.length / 3;
  const [i, g, o, squashed, hidden] = Array.from({ length: 5 }, () => new Float64Array(dim));
  for (let d = 0; d < dim; d++) {
    i[d] = sigmoid(preactivation[d]);
    g[d] = Math.tanh(preactivation[dim + d]);
    o[d] = sigmoid(preactivation[2 * dim + d]);
    squashed[d] = Math.tanh(i[d] * g[d]);
    hidden[d] = o[d] * squashed[d];
  }
  return { i, g, o, squashed, hidden };
}

/** A gradient at the step's output, taken back to its pre-activations. */
function gateDeltas({ i, g, o, squashed }, gradient) {
  const dim = i.length;
  const deltas = new Float64Array(3 * dim);
  for (let d = 0; d < dim; d++) {
    const cell = gradient[d] * o[d] * (1 - squashed[d] ** 2);
    deltas[d] = cell * g[d] * i[d] * (1 - i[d]);
    deltas[dim + d] = cell * i[d] * (1 - g[d] ** 2);
    deltas[2 * dim + d] = gradient[d] * squashed[d] * o[d] * (1 - o[d]);
  }
  return deltas;
}

/** How likely a drawing is of none of the classes, from the root of its distance to the nearest of so many keys.
 * Fitted to characters of Omniglot's validation part, of classes shown and not shown, 2 to 20 of them, in features of
 * an earlier model; those of later ones fit it as well to a hundredth of a nat (`benchmarks/strangers.py`). */
function strangeness(distance, numSlots) {
  return sigmoid(16 * (Math.sqrt(distance) - 0.926 + 0.053 * Math.log(numSlots)));
}
