// What is seen of one layer from the query: its keys, their weights, and which key is pointed at.

// A cell is one key of the query, or if it is asked who attends to the token, one query that has it
// as a key.
function look({ data, chosen, tokenAt }, layer) {
  const attention = data.networks[chosen.network].attention[layer.name], { t, s, queries, keys } = layer.read;
  const to = chosen.direction === "to", [size, grid] = to ? [layer.size, layer.keySize] : [layer.keySize, layer.size];
  const place = placeOf(to ? layer.asking : layer.answering, chosen.extra, tokenAt(size), size);
  const stands = (to ? layer.asking : layer.answering).get(place);
  const cells = stands.flatMap(([group, slot]) =>
    Array.from({ length: to ? s : t }, (_, i) =>
      to
        ? { group, asks: slot, answers: i, place: keys[group * s + i] }
        : { group, asks: i, answers: slot, place: queries[group * t + i] },
    ).filter((cell) => cell.place >= 0));
  const rows = new Map(); // only those that are seen: there may be many heads
  const row = (head, group, asks) => {
    const which = (head * layer.read.groups + group) * t + asks;
    if (!rows.has(which)) rows.set(which, rowOf(layer, attention, chosen.image, head, group, asks, chosen));
    return rows.get(which);
  };
  const of = (head, group) => matrix(layer, attention, chosen.image, head, group, chosen);
  const line = (head) => {
    const heads = headsOf(layer, head);
    return cells.map(({ group, asks, answers }) => average(heads, (each) => row(each, group, asks)[answers]));
  };
  const values = line(chosen.head);
  const strongest = [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);
  const key = chosen.keyOf === layer.name && chosen.key in cells ? chosen.key : strongest[0];
  return { layer, attention, place, size, grid, cells, values, strongest, key, of, line, group: stands[0][0], slot: stands[0][1] };
}

// The place that is asked about: the extra token chosen, the token pointed at, or whichever asks first.
function placeOf(standing, extra, [row, column], [h, w]) {
  if (extra !== null && standing.has(h * w + extra)) return h * w + extra;
  return standing.has(row * w + column) ? row * w + column : standing.keys().next().value;
}

function nextKey(tool, layer, [down, right]) {
  const { cells, key, grid } = look(tool, layer), axis = down ? 0 : 1;
  const at = cells.map((cell) => position(cell.place, grid));
  const line = [...at.keys()].filter((i) => at[i][1 - axis] === at[key][1 - axis]).sort((a, b) => at[a][axis] - at[b][axis]);
  return line[(line.indexOf(key) + down + right + line.length) % line.length];
}

// The lowest and the highest of several lists of values, from which and to which colors go.
function rangeOf(lists, soft) {
  const finite = lists.flat().filter(Number.isFinite);
  return [soft ? 0 : smallest(finite), largest(finite)];
}

function within(value, [low, high]) {
  return high > low ? Math.max(0, (value - low) / (high - low)) : 1;
}

function nameOf(place, size) {
  return isExtra(place, size) ? `extra token ${place - size[0] * size[1] + 1}` : position(place, size).join(", ");
}

// The same in a sentence.
function wordsOf(place, size) {
  const [row, column] = position(place, size);
  return isExtra(place, size) ? nameOf(place, size) : `row ${row}, column ${column}`;
}

// What to call the token that is asked about, and those that it is shown with: a query and its keys,
// or a key and its queries.
function rolesOf({ chosen }) {
  return chosen.direction === "to" ? ["query", "key", "keys"] : ["key", "query", "queries"];
}

// One sentence on what a picture shows.
function captionOf({ chosen }, { layer, place, size, grid, cells, values, strongest }) {
  const to = chosen.direction === "to", number = grid[0] * grid[1] + layer.extra, [first] = strongest;
  const several = layer.heads > 1 && chosen.head < 0, alone = chosen.terms === "both" ? "" : `, by its ${chosen.terms} alone`;
  const most = chosen.soft ? `most ${to ? "to" : "by"} the one at` : `and the largest ${several ? "mean " : ""}logit is that of the one at`;
  return `The token at ${wordsOf(place, size)} ${to ? "attends to" : "is attended to by"} ${cells.length} of ${number} tokens, ` +
    `${most} ${wordsOf(cells[first].place, grid)}${alone}: ${values[first].toFixed(3)}` +
    (chosen.locked ? ". It is locked; a click or tap on it unlocks it." : ".");
}
