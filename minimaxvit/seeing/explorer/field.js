// Receptive fields, from a token back to the pixels: the reads of each layer are walked in reverse,
// as minimaxvit/seeing/measure/walking.py does. `how` is {exact: true, gates} to count paths, else
// {kernel(layer, number), weights(layer, group)} to take means (rollout); `how.skipped` are kinds of
// attention to leave out of the sums that they stand in.

// Numbers of places arrive as two or four bytes each, as differences from the group before.
function unpackReads(reads) {
  for (const read of reads) {
    if (read.sum) read.sum.forEach(unpackReads);
    if (!("keys" in read)) continue;
    const kind = Math.max(read.before, read.after) < 2 ** 15 ? Int16Array : Int32Array;
    const numbers = (text, slots) => {
      const found = numbersOf(text, kind);
      for (let i = slots; i < found.length; i++) found[i] += found[i - slots];
      return found;
    };
    read.queries = read.queries === null ? kind.from({ length: read.after }, (_, i) => i) : numbers(read.queries, read.t);
    read.keys = read.keys === null ? read.queries : numbers(read.keys, read.s);
    read.groups = read.queries.length / read.t;
  }
}

// The first read of attention, also inside sums.
function attentionRead(reads) {
  const found = reads.map((read) => (read.sum ? attentionRead(read.sum.flat()) : read.amounts === "attention" ? read : null));
  return found.find((read) => read) ?? null;
}

function back(reads, field, layer, how) {
  return reads.reduceRight((now, read) => {
    if (read.sum) return reverseSum(read, now, layer, how);
    if ("gate" in read) return how.exact && how.gates ? reverseGate(read.gate, now) : now;
    return reverseRead(read, now, layer, how);
  }, field);
}

function reverseRead(read, field, layer, how) {
  const { queries, keys, t, s } = read, found = new Float64Array(read.before);
  const weighed = read.amounts === "attention" && layer.attention; // what has no scores takes all alike
  const fractions = how.exact || weighed ? null : fractionsOf(read, layer, how);
  for (let group = 0; group < read.groups; group++) {
    let total = 0;
    for (let i = group * t; i < (group + 1) * t; i++) total += field[queries[i]];
    if (total === 0) continue; // none of its queries counts
    const weights = how.exact || fractions ? null : how.weights(layer, group);
    for (let i = 0; weights && i < t; i++) {
      const asked = field[queries[group * t + i]];
      for (let j = 0; asked && j < s; j++) if (keys[group * s + j] >= 0) found[keys[group * s + j]] += asked * weights[i * s + j];
    }
    for (let j = 0; !weights && j < s; j++) {
      const key = keys[group * s + j];
      if (key >= 0) found[key] += fractions ? total * fractions[group * s + j] : total; // else no token
    }
  }
  return found;
}

// How much of each key is taken, (groups, s): by the sizes of taps, else evenly; those that exist
// share the whole. Worked out once for each kernel.
function fractionsOf(read, layer, how) {
  const { keys, s, amounts } = read, even = Array(s).fill(1);
  const kernel = typeof amounts === "number" ? how.kernel(layer, amounts) : null;
  read.fractions ??= new Map();
  if (read.fractions.has(kernel)) return read.fractions.get(kernel);
  const found = new Float64Array(read.groups * s);
  for (let start = 0; start < found.length; start += s) {
    const sum = (sizes) => sizes.reduce((total, size, j) => total + (keys[start + j] >= 0 ? size : 0), 0);
    const sizes = kernel && sum(kernel) ? kernel : even, whole = sum(sizes);
    for (let j = 0; j < s; j++) if (keys[start + j] >= 0) found[start + j] = sizes[j] / whole;
  }
  read.fractions.set(kernel, found);
  return found;
}

function reverseGate(tokens, field) {
  const all = field.subarray(0, tokens).reduce((sum, value) => sum + value, 0);
  return field.map((value, i) => (i < tokens ? value + all : value));
}

// A mean of the branches that read anything for a place, or the sum of them all if paths are counted.
function reverseSum({ sum }, field, layer, how) {
  const kept = sum.filter((branch) => !(how.skipped?.includes(layer.attention?.kind) && attentionRead(branch)));
  const branches = kept.length ? kept : sum;
  const given = how.exact ? field : shared(field, branches);
  const several = branches.map((branch) => back(branch, given, layer, how));
  const total = new Float64Array(several[0].length);
  for (const each of several) for (let i = 0; i < total.length; i++) total[i] += each[i];
  return total;
}

// Divide the values of a sum among its branches, evenly among those that read anything.
function shared(field, branches) {
  const reading = branches.map((branch) => covered(branch, field.length));
  return field.map((value, i) => value && value / Math.max(1, reading.reduce((count, each) => count + each[i], 0)));
}

// Which places after these reads have read anything: 1 or 0 for each.
function covered(reads, places) {
  if (reads.covered) return reads.covered;
  const last = reads.findLast((read) => !("gate" in read));
  const found = new Uint8Array(places);
  if (!last) found.fill(1);
  else if (last.sum) last.sum.forEach((branch) => covered(branch, places).forEach((reads, i) => (found[i] |= reads)));
  else {
    for (let group = 0; group < last.groups; group++) {
      const keys = last.keys.subarray(group * last.s, (group + 1) * last.s);
      if (keys.some((key) => key >= 0)) last.queries.subarray(group * last.t, (group + 1) * last.t).forEach((query) => (found[query] = 1));
    }
  }
  return (reads.covered = found);
}

// From one place of layers[number] to the pixels. What began in no pixel, such as a class token, is
// left out of means; the rest shares the whole.
function traceBack(layers, number, place, how) {
  const { size, extra } = layers[number];
  let field = new Float64Array(size[0] * size[1] + extra);
  field[place] = 1;
  for (let i = number; i >= 0; i--) {
    const inside = field.length - layers[i].passing; // other extra tokens pass the layer by
    const walked = back(layers[i].reads, field.subarray(0, inside), layers[i], how);
    field = layers[i].passing ? Float64Array.from([...walked, ...field.subarray(inside)]) : walked;
  }
  const total = field.reduce((sum, value) => sum + value, 0);
  return how.exact || !total ? field : field.map((value) => value / total);
}
