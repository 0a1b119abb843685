// What attention makes of scores: decoding, softmax, and the numbers read beside the image.

function decode(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Half precision to numbers: one bit of sign, five of exponent, ten of fraction, little end first.
function halves(text) {
  const bytes = decode(text);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023], sign = bits >> 15 ? -1 : 1;
    if (exponent === 31) return sign * Infinity;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  });
}

// Two numbers to a byte, each the square root of a fraction in fifteenths.
function nibbles(text) {
  const bytes = decode(text);
  return Float32Array.from({ length: 2 * bytes.length }, (_, i) => (((bytes[i >> 1] >> (4 * (i & 1))) & 15) / 15) ** 2);
}

// Where each place stands among numbers written in groups: place -> [[group, slot], ...].
function standing(numbers, slots) {
  const found = new Map();
  numbers.forEach((place, i) => {
    if (place < 0) return; // no token
    if (!found.has(place)) found.set(place, []);
    found.get(place).push([Math.floor(i / slots), i % slots]);
  });
  return found;
}

// Scores of one head in one group, t x s, one row per query; bias likewise. `attention` is what one
// network carries of a layer.
function scoresOf(layer, attention, image, head, group) {
  const { t, s, groups } = layer.read, start = (head * groups + group) * t * s;
  return attention.scores[image].subarray(start, start + t * s);
}

function biasOf(layer, attention, head, group) {
  const { t, s, groups } = layer.read, { bias, table } = attention;
  if (bias) {
    const start = (bias.length === layer.heads * t * s ? head : head * groups + group) * t * s;
    return bias.subarray(start, start + t * s);
  }
  if (!table) return new Float32Array(t * s);
  const start = head * layer.table[0] * layer.table[1];
  return Float32Array.from(layer.index, (place) => table[start + place]);
}

function softmax(row) {
  const most = largest(row);
  const powers = row.map((logit) => Math.exp(logit - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

// The heads meant by a choice: one, or with -1 all.
function headsOf(layer, head) {
  return head < 0 ? [...Array(layer.heads).keys()] : [head];
}

function average(list, number) {
  return list.reduce((sum, each) => sum + number(each), 0) / list.length;
}

// The t x s matrix that is shown: of one head, or with head -1 the mean of all; of scores, of bias
// or of both; before or after the softmax. Where there is no key, the logit is minus infinity.
function matrix(layer, attention, image, head, group, { terms, soft }) {
  const { t, s, keys } = layer.read, heads = headsOf(layer, head), mean = new Float64Array(t * s);
  for (const each of heads) {
    const scores = scoresOf(layer, attention, image, each, group), bias = biasOf(layer, attention, each, group);
    const logits = Float64Array.from({ length: t * s }, (_, i) =>
      keys[group * s + (i % s)] < 0 ? -Infinity : (terms === "scores" ? 0 : bias[i]) + (terms === "bias" ? 0 : scores[i]));
    for (let query = 0; query < t; query++) {
      const row = logits.slice(query * s, (query + 1) * s);
      (soft ? softmax(row) : row).forEach((value, key) => (mean[query * s + key] += value / heads.length));
    }
  }
  return mean;
}

// Which weights are needed for this fraction of their sum, largest first: a list of true and false.
function needed(weights, mass) {
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a] || a - b);
  const wanted = mass * weights.reduce((sum, weight) => sum + weight, 0);
  const kept = weights.map(() => false);
  let sum = 0;
  for (const key of order) {
    if (sum >= wanted - 1e-9) break;
    kept[key] = true;
    sum += weights[key];
  }
  return kept;
}

function entropy(weights) {
  return weights.reduce((bits, weight) => bits - (weight > 0 ? weight * Math.log2(weight) : 0), 0);
}

// Where a place is: [row, column] on a map of h by w; extra tokens stand in a row below it.
function position(place, [h, w]) {
  return place < h * w ? [Math.floor(place / w), place % w] : [h, place - h * w];
}

function isExtra(place, [h, w]) {
  return place >= h * w;
}

// Mean distance of the keys in pixels, from the middle of the query to theirs, on the map alone.
function distance(layer, query, places, weights) {
  const middle = (place, size, stride) => position(place, size).map((cell) => (cell + 0.5) * stride);
  const [row, column] = middle(query, layer.size, layer.stride);
  let sum = 0, total = 0;
  places.forEach((place, i) => {
    if (isExtra(place, layer.keySize)) return;
    const [r, c] = middle(place, layer.keySize, layer.keyStride);
    sum += weights[i] * Math.hypot(r - row, c - column);
    total += weights[i];
  });
  return sum / total;
}
