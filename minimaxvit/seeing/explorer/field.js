// Receptive fields, from a token back to the pixels: each layer's steps are walked in reverse.
// With `exact`, every step adds up (paths); else it takes means (rollout). Sizes are [h, w].

function back(steps, field, layer, before, how) {
  const sizes = [before];
  for (const step of steps) sizes.push(after(step, sizes.at(-1)));
  return steps.reduceRight((now, step, i) => reverse(step, now, sizes[i], sizes[i + 1], layer, how), field);
}

function after(step, [h, w]) {
  if (step.op === "sum") return step.branches[1].reduce((size, each) => after(each, size), [h, w]);
  const stride = step.op === "pool" ? 2 : step.op === "taps" ? step.stride : 1;
  return [Math.ceil(h / stride), Math.ceil(w / stride)];
}

function reverse(step, field, before, size, layer, how) {
  if (step.op === "group") return reverseGroup(field, layer, how);
  if (step.op === "sum") return reverseSum(step, field, before, layer, how);
  const [h, w] = before, found = new Float64Array(h * w);
  const pooled = step.op === "pool", side = pooled ? 2 : 3, stride = pooled ? 2 : step.stride;
  // Padding as TensorFlow's: at stride 2 a zero goes before only if the side is odd.
  const [top, left] = pooled ? [0, 0] : stride === 1 ? [1, 1] : [h % 2, w % 2];
  const tap = (i, j) => (pooled || how.exact ? 1 : step.kernel[i * side + j]);
  for (let token = 0; token < field.length; token++) {
    if (!field[token]) continue;
    const row = Math.floor(token / size[1]) * stride - top, column = (token % size[1]) * stride - left;
    const [above, below] = [Math.max(0, -row), Math.min(side, h - row)];
    const [first, last] = [Math.max(0, -column), Math.min(side, w - column)];
    let whole = how.exact ? 1 : 0; // at a border fewer taps share it
    if (!how.exact) for (let i = above; i < below; i++) for (let j = first; j < last; j++) whole += tap(i, j);
    for (let i = above; i < below; i++) {
      for (let j = first; j < last; j++) found[(row + i) * w + column + j] += (field[token] * tap(i, j)) / whole;
    }
  }
  return found;
}

function reverseSum({ branches, excite }, field, before, layer, how) {
  const all = field.reduce((sum, value) => sum + value, 0);
  const excited = how.exact && how.excite && excite ? field.map((value) => value + all) : field;
  const [first, second] = [field, excited].map((each, i) => back(branches[i], each, layer, before, how));
  return first.map((value, i) => (how.exact ? value + second[i] : (value + second[i]) / 2));
}

// `how.weights(group)` gives the mean of all heads, t x t, a row a query.
function reverseGroup(field, layer, how) {
  const found = field.map((value) => (how.exact ? value : value / 2)); // the shortcut
  layer.tokens.forEach((tokens, group) => {
    if (!tokens.some((token) => field[token])) return;
    const shares = how.exact ? null : how.weights(layer, group), t = tokens.length;
    tokens.forEach((query, i) => {
      if (!field[query]) return;
      tokens.forEach((key, j) => {
        found[key] += how.exact ? field[query] : (field[query] * shares[i * t + j]) / 2;
      });
    });
  });
  return found;
}

// From the token at `index` of layers[number] to the pixels; `skipped` kinds act on no place.
function traceBack(layers, steps, number, index, skipped, how) {
  const [h, w] = layers[number].size;
  let field = new Float64Array(h * w);
  field[index] = 1;
  for (let i = number; i >= 0; i--) {
    if (skipped.includes(layers[i].kind)) continue;
    field = back(steps[layers[i].name], field, layers[i], layers[i].before, how);
  }
  return field;
}
