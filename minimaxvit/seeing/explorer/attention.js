// What attention makes of scores: decoding, softmax, and the numbers read beside the picture.

function decode(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Half precision to numbers: one bit of sign, five of exponent, ten of fraction, little end first.
function halves(text) {
  const bytes = decode(text);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = bytes[2 * i] | (bytes[2 * i + 1] << 8);
    const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
    const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction;
    return bits >> 15 ? -size : size;
  });
}

// Two numbers to a byte, each the square root of a share in fifteenths.
function nibbles(text) {
  const bytes = decode(text);
  return Float32Array.from({ length: 2 * bytes.length }, (_, i) => (((bytes[i >> 1] >> (4 * (i & 1))) & 15) / 15) ** 2);
}

// Where each token stands: its group and its slot in it, [[group, slot], ...] by token.
function places(layer) {
  const found = [];
  layer.tokens.forEach((group, n) => group.forEach((token, t) => (found[token] = [n, t])));
  return found;
}

// Scores of one head between all tokens of a group, a row a query: content, bias and their sum.
function scores(layer, attention, picture, head, group) {
  const p = layer.window, t = p * p, side = 2 * p - 1;
  const start = (head * layer.tokens.length + group) * t * t;
  const content = attention.content[picture].subarray(start, start + t * t);
  const table = attention.bias.subarray(head * side * side, (head + 1) * side * side);
  const bias = Float64Array.from({ length: t * t }, (_, i) => {
    const query = Math.floor(i / t), key = i % t;
    const down = Math.floor(key / p) - Math.floor(query / p), right = (key % p) - (query % p);
    return table[(down + p - 1) * side + right + p - 1];
  });
  return { content, bias };
}

function softmax(row) {
  const largest = Math.max(...row);
  const powers = row.map((score) => Math.exp(score - largest));
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

// The t x t matrix that is shown: of one head, or with head -1 the mean of all; of content, of
// position or of both; before or after the softmax.
function matrix(layer, attention, picture, head, group, { terms, soft }) {
  const t = layer.window ** 2;
  const heads = headsOf(layer, head), mean = new Float64Array(t * t);
  for (const each of heads) {
    const { content, bias } = scores(layer, attention, picture, each, group);
    const sum = bias.map((b, i) => (terms === "content" ? 0 : b) + (terms === "position" ? 0 : content[i]));
    for (let query = 0; query < t; query++) {
      const row = sum.slice(query * t, (query + 1) * t);
      (soft ? softmax(row) : row).forEach((value, key) => (mean[query * t + key] += value / heads.length));
    }
  }
  return mean;
}

// Of a matrix, what its query attends to (a row), or by whom it is attended (a column).
function line(values, slot, direction) {
  const t = Math.sqrt(values.length);
  return Array.from({ length: t }, (_, i) => values[direction === "to" ? slot * t + i : i * t + slot]);
}

// Which of the shares are needed for so much of their sum, largest first: a list of true and false.
function needed(shares, mass) {
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a] || a - b);
  const wanted = mass * shares.reduce((sum, share) => sum + share, 0);
  const kept = shares.map(() => false);
  let sum = 0;
  for (const key of order) {
    if (sum >= wanted - 1e-9) break;
    kept[key] = true;
    sum += shares[key];
  }
  return kept;
}

function entropy(shares) {
  return shares.reduce((bits, share) => bits - (share > 0 ? share * Math.log2(share) : 0), 0);
}

// Mean distance of the keys in pixels, from the query's middle to theirs.
function distance(layer, group, slot, shares) {
  const width = layer.size[1];
  const place = (token) => [Math.floor(token / width) * layer.stride, (token % width) * layer.stride];
  const [row, column] = place(layer.tokens[group][slot]);
  return shares.reduce((sum, share, key) => {
    const [r, c] = place(layer.tokens[group][key]);
    return sum + share * Math.hypot(r - row, c - column);
  }, 0);
}
