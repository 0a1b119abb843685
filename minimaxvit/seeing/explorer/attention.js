// What attention makes of scores: decoding, softmax, and the numbers read beside the image.

function decode(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

// Numbers of a kind of several bytes: the lowest bytes of all come first, then the next ones.
function numbersOf(text, kind) {
  const bytes = decode(text), width = kind.BYTES_PER_ELEMENT, count = bytes.length / width, found = new kind(count);
  for (let i = 0; i < count; i++) {
    let bits = 0;
    for (let byte = 0; byte < width; byte++) bits |= bytes[byte * count + i] << (8 * byte);
    found[i] = bits;
  }
  return found;
}

// Half precision, all 65,536 of it: one bit of sign, five of exponent, ten of fraction.
const HALVES = Float32Array.from({ length: 2 ** 16 }, (_, bits) => {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023], sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) return sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
});

function halves(text) {
  return Float32Array.from(numbersOf(text, Uint16Array), (bits) => HALVES[bits]);
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
  attention.biases ??= []; // worked out once for each head
  if (!attention.biases[head]) {
    const start = table && head * layer.table[0] * layer.table[1];
    attention.biases[head] = table ? Float32Array.from(layer.index, (place) => table[start + place]) : new Float32Array(t * s);
  }
  return attention.biases[head];
}

// In place.
function softmax(row) {
  const most = largest(row);
  let total = 0;
  for (let i = 0; i < row.length; i++) total += row[i] = Math.exp(row[i] - most);
  for (let i = 0; i < row.length; i++) row[i] /= total;
  return row;
}

// The heads meant by a choice: one, or with -1 all.
function headsOf(layer, head) {
  return head < 0 ? [...Array(layer.heads).keys()] : [head];
}

function average(list, number) {
  return list.reduce((sum, each) => sum + number(each), 0) / list.length;
}

// What one head makes of one query, over its keys: of scores, of bias or of both; before or after the
// softmax. Where there is no key (-1), the logit is minus infinity; padding (-2) takes its part of the
// softmax, though nobody shows it.
function rowOf(layer, attention, image, head, group, query, { terms, soft }) {
  const { s, keys } = layer.read, row = new Float64Array(s);
  const scores = scoresOf(layer, attention, image, head, group), bias = biasOf(layer, attention, head, group);
  for (let key = 0, i = query * s; key < s; key++, i++) {
    row[key] = keys[group * s + key] === -1 ? -Infinity : (terms === "scores" ? 0 : bias[i]) + (terms === "bias" ? 0 : scores[i]);
  }
  return soft ? softmax(row) : row;
}

// All rows of a group, t x s: of one head, or with head -1 the mean of all.
function matrix(layer, attention, image, head, group, chosen) {
  const { t, s } = layer.read, mean = new Float64Array(t * s), heads = headsOf(layer, head);
  for (const each of heads) {
    for (let query = 0; query < t; query++) {
      const row = rowOf(layer, attention, image, each, group, query, chosen);
      for (let key = 0; key < s; key++) mean[query * s + key] += row[key] / heads.length;
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

// How few of them are needed for it, of however many.
function fewest(weights, mass) {
  const sorted = new Float64Array(weights).sort(), wanted = mass * sorted.reduce((sum, weight) => sum + weight, 0);
  let [count, sum] = [0, 0];
  while (sum < wanted - 1e-9) sum += sorted[sorted.length - ++count];
  return count;
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
