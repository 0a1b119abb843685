// One layer in the view of attention: its picture and heads, and what is read of them.

const KINDS = {
  BlockAttention: "A token attends to the window of neighbors that it stands in",
  GridAttention: "A token attends to tokens spread evenly over the whole image",
};

function makePanel(tool, layer) {
  const { chosen } = tool, { t, s } = layer.read;
  const picture = makePicture(tool, layer), scale = legend(tool), heads = makeHeads(tool, layer);
  const caption = make("p", { data: { of: "caption" } }), reading = make("dl", { className: "mmv-reading" });
  const square = make("canvas", { width: s * cellOf(layer), height: t * cellOf(layer), data: { of: "matrix" } });
  const table = layer.table && make("canvas", { width: layer.table[1] * 18, height: layer.table[0] * 18, data: { of: "table" } });
  square.addEventListener("pointermove", (event) => pointInMatrix(tool, layer, cellAt(event, square, [t, s])));

  const [ofSquare, ofTable] = [make("figcaption"), make("figcaption")];
  const section = (...children) => make("section", { className: "mmv-panel", data: { layer: layer.name } }, ...children);
  const name = `${layer.name}, ${layer.size.join(" x ")} tokens`, kind = kindInWords(layer);
  const top = section(make("h4", {}, name), make("p", { className: "mmv-kind" }, kind), picture, scale.box, caption, ...heads.boxes);
  const more = section(
    make("h4", {}, `${layer.name} in numbers`), reading,
    make("div", { className: "mmv-tables" },
      make("figure", {}, square, ofSquare), ...(table ? [make("figure", {}, table, ofTable)] : [])),
  );
  const draw = (seen, range, headsRange, shared) => {
    drawPicture(tool, seen, picture, range);
    const free = chosen.soft && chosen.direction === "by" ? " (of several queries: they need not sum to 1)" : "";
    scale.tell(...range, (chosen.soft ? "attention weight" : "logit") + free + shared);
    caption.textContent = captionOf(tool, seen);
    heads.draw(seen, headsRange);
    ofSquare.textContent = `the whole group: one row per query, one column per key${drawMatrix(tool, seen, square)}`;
    if (table) ofTable.textContent = `bias by offset, key minus query${drawTable(tool, seen, table)}`;
    return read(tool, seen, reading);
  };
  return { layer, top, more, picture, draw };
}

function kindInWords({ kind, read }) {
  if (!(kind in KINDS)) return "";
  return KINDS[kind] + (read.groups > 1 ? "." : ": here, all tokens of the map.");
}

function cellOf(layer) {
  return Math.max(2, Math.floor(192 / Math.max(layer.read.t, layer.read.s)));
}

function makePicture(tool, layer) {
  const { chosen } = tool, [H, W] = tool.data.side, [h, w] = layer.size, zoom = Math.max(1, Math.round(384 / W));
  const [asked, other] = rolesOf(tool);
  const picture = make("canvas", {
    width: W * zoom, height: H * zoom, tabIndex: 0, role: "application", data: { of: "picture", choice: `picture:${layer.name}` },
    "aria-label": `${layer.name}, ${h} x ${w} tokens. Arrow keys move the ${asked}, Enter locks it, ` +
      `Escape unlocks it; when it is locked, or with shift, arrow keys choose a ${other}.`,
  });
  const pointedAt = (event, { grid, cells }) => {
    const [row, column] = cellAt(event, picture, grid);
    return cells.findIndex((each) => each.place === row * grid[1] + column);
  };
  picture.addEventListener("pointermove", (event) => {
    const seen = look(tool, layer), found = pointedAt(event, seen);
    if (chosen.locked || isExtra(seen.place, seen.size)) tool.pointAt(layer, found);
    else tool.move(...cellAt(event, picture, seen.size), seen.size);
    tool.draw();
  });
  // A finger does not hover: where it taps a ring beside the locked token, it points.
  picture.addEventListener("click", (event) => {
    const seen = look(tool, layer), place = cellAt(event, picture, seen.size), found = pointedAt(event, seen);
    const elsewhere = `${place}` !== `${tool.tokenAt(seen.size)}`;
    if (event.pointerType === "touch" && chosen.locked && elsewhere && found >= 0) {
      tool.pointAt(layer, found);
      tool.draw();
    } else tool.clicked(place, seen.size);
  });
  picture.addEventListener("keydown", (event) => tool.pressed(event, layer));
  return picture;
}

// The image, pale outside the group, with a ring on each key: wider and brighter for more weight.
function drawPicture(tool, { size, grid, place, cells, values, key }, canvas, range) {
  const { data, chosen } = tool, context = canvas.getContext("2d"), strength = chosen.strength / 100;
  const kept = chosen.soft ? needed(values, chosen.mass) : values.map(() => true);
  drawImage(tool, canvas);
  fade(canvas, cells.map((cell) => cell.place), grid, strength);
  context.globalAlpha = strength;
  cells.forEach((cell, i) => {
    if (!kept[i] || isExtra(cell.place, grid)) return;
    const fraction = within(values[i], range);
    ring(context, patchOf(canvas, cell.place, grid), color(data.palette, fraction), fraction);
  });
  context.globalAlpha = 1;
  frameToken(canvas, cells[key].place, grid, [4, 3]);
  frameToken(canvas, place, size);
}

// Pointing at an entry of the matrix asks about its query and its key.
function pointInMatrix(tool, layer, [asks, answers]) {
  const { chosen } = tool, { t, s, queries, keys } = layer.read, { group, size } = look(tool, layer);
  const place = chosen.direction === "to" ? queries[group * t + asks] : keys[group * s + answers];
  if (chosen.locked || place < 0 || isExtra(place, size)) return;
  tool.move(...position(place, size), size);
  const found = look(tool, layer).cells.findIndex((each) => each.group === group && each.asks === asks && each.answers === answers);
  tool.pointAt(layer, found);
  tool.draw();
}

// Both return in words from where to where their colors go.
function drawMatrix({ data, chosen }, { layer, of, group, slot, cells, key }, canvas) {
  const { t, s } = layer.read, cell = canvas.width / s, context = canvas.getContext("2d");
  const values = of(chosen.head, group), range = rangeOf([[...values]], chosen.soft), pointed = cells[key];
  drawMap(canvas, values, [t, s], data.palette, ...range, -Infinity);
  frame(context, chosen.direction === "to" ? [0, slot * cell, s * cell, cell] : [slot * cell, 0, cell, t * cell]);
  if (pointed.group === group) frame(context, [pointed.answers * cell, pointed.asks * cell, cell, cell]);
  return inWords(range);
}

function drawTable({ data, chosen }, { layer, attention, cells, key }, canvas) {
  const [rows, columns] = layer.table, size = canvas.width / columns, { asks, answers } = cells[key];
  const mean = Array.from({ length: rows * columns }, (_, i) =>
    average(headsOf(layer, chosen.head), (head) => attention.table[head * rows * columns + i]));
  const range = rangeOf([mean], false), place = layer.index[asks * layer.read.s + answers];
  drawMap(canvas, mean, layer.table, data.palette, ...range);
  frame(canvas.getContext("2d"), [(place % columns) * size, Math.floor(place / columns) * size, size, size]);
  return inWords(range);
}

function inWords([low, high]) {
  return ` (colors from ${low.toFixed(3)} to ${high.toFixed(3)})`;
}
