// The view of attention: a panel for each layer shown, with image, heads, matrix and bias table.

function attentionView(tool, controls) {
  const { data, chosen, body, set } = tool;
  const first = data.attending.find((layer) => layer.name === chosen.layer);
  if (chosen.head >= first.heads) chosen.head = -1;
  const heads = [[-1, "mean"], ...Array.from({ length: first.heads }, (_, i) => [i, i + 1])];
  const flag = (label, name, yes, no) =>
    choice(label, [[true, yes], [false, no]], chosen[name], (value) => set({ [name]: value === "true" }));
  const terms = [["both", "scores and bias"], ["scores", "scores"], ["bias", "bias"]];
  const masses = [[0.5, "50%"], [0.9, "90%"], [1, "100%"]];
  const pair = pairOf(data.attending, first), { bias, table } = data.networks[chosen.network].attention[first.name];
  const beside = pair.length > 1 ? pair.map((layer) => layer.kind).join(" beside ") : "two of one block";
  if (data.attending.some((layer) => pairOf(data.attending, layer).length > 1)) {
    controls.append(flag("layers", "beside", beside, "one"));
  }
  const extra = Math.max(...data.attending.map((layer) => layer.extra));
  if (extra) {
    const queries = [["", "token of the map"], ...Array.from({ length: extra }, (_, i) => [i, `extra token ${i + 1}`])];
    const chooseQuery = (i) => set({ extra: i === "" ? null : +i, key: null });
    controls.append(choice("query", queries, chosen.extra ?? "", chooseQuery));
  }
  controls.append(choice("head", heads, chosen.head, (head) => set({ head: +head })));
  if (bias || table) controls.append(choice("terms", terms, chosen.terms, (value) => set({ terms: value })));
  controls.append(
    flag("numbers", "soft", "attention weights (softmax)", "scores (logits)"),
    choice("direction", [["to", "attends to"], ["by", "is attended to by"]], chosen.direction, (direction) => set({ direction, key: null })),
    choice("mass", masses, chosen.mass, (mass) => set({ mass: +mass })),
    flag("scale", "shared", "one for all heads", "each head its own"),
  );
  const depth = make("ol", { className: "mmv-depth" });
  for (const layer of data.layers) {
    const on = { click: () => set({ layer: layer.name, key: null }) };
    const text = `${layer.name} ${layer.size.join(" x ")}`;
    const button = make("button", { type: "button", disabled: !layer.attention, data: { choice: layer.name }, on }, text);
    button.setAttribute("aria-pressed", layer.name === first.name);
    depth.append(make("li", {}, button));
  }
  const panels = (chosen.beside ? pair : [first]).map((layer) => makePanel(tool, layer));
  body.append(depth, make("div", { className: "mmv-panels" }, ...panels.map((panel) => panel.box)));
  return () => panels.forEach((panel) => panel.draw());
}

// A layer and the nearest other one of the same block and the same map, if there is one.
function pairOf(attending, layer) {
  const at = attending.indexOf(layer);
  const partners = attending.filter((each) => each !== layer && each.block === layer.block && `${each.size}` === `${layer.size}`);
  const [partner] = partners.sort((a, b) => Math.abs(attending.indexOf(a) - at) - Math.abs(attending.indexOf(b) - at));
  return attending.filter((each) => each === layer || each === partner);
}

// All that is drawn and read of one layer, from the query. A cell is one key of the query, or if it
// is asked who attends to the token, one query that has it as a key.
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
  const matrices = new Map();
  const of = (head, group) => {
    const which = `${head} ${group}`;
    if (!matrices.has(which)) matrices.set(which, matrix(layer, attention, chosen.image, head, group, chosen));
    return matrices.get(which);
  };
  const line = (head) => cells.map((cell) => of(head, cell.group)[cell.asks * s + cell.answers]);
  const values = line(chosen.head);
  const strongest = [...values.keys()].sort((a, b) => values[b] - values[a] || a - b);
  const key = chosen.key in cells ? chosen.key : strongest[0];
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

function nameOf(place, size) {
  return isExtra(place, size) ? `extra token ${place - size[0] * size[1] + 1}` : position(place, size).join(", ");
}

function makePanel(tool, layer) {
  const { chosen, set } = tool, [H, W] = tool.data.side, [h, w] = layer.size;
  const zoom = Math.max(1, Math.round(384 / W)), { t, s, queries, keys } = layer.read;
  const picture = make("canvas", {
    width: W * zoom, height: H * zoom, tabIndex: 0, role: "application", data: { of: "picture" },
    "aria-label": `${layer.name}, ${h} x ${w} tokens. Arrow keys move the query, Enter locks it, ` +
      "Escape unlocks it; when it is locked, or with shift, arrow keys choose a key.",
  });
  const heads = Array.from({ length: layer.heads }, (_, head) => {
    const on = { click: () => set({ head: chosen.head === head ? -1 : head }) };
    return make("canvas", { width: 96, height: Math.round((96 * h) / w), title: `head ${head + 1}`, data: { of: "head" }, on });
  });
  const cell = Math.max(2, Math.floor(192 / Math.max(t, s)));
  const square = make("canvas", { width: s * cell, height: t * cell, data: { of: "matrix" } });
  const table = layer.table && make("canvas", { width: layer.table[1] * 18, height: layer.table[0] * 18, data: { of: "table" } });
  const reading = make("dl", { className: "mmv-reading" });

  picture.addEventListener("pointermove", (event) => {
    const { size, grid, cells, place } = look(tool, layer);
    if (chosen.locked || isExtra(place, size)) {
      const [row, column] = cellAt(event, picture, grid);
      const found = cells.findIndex((each) => each.place === row * grid[1] + column);
      chosen.key = found < 0 ? null : found;
    } else tool.move(...cellAt(event, picture, size), size);
    tool.draw();
  });
  picture.addEventListener("click", (event) => tool.clicked(cellAt(event, picture, look(tool, layer).size), look(tool, layer).size));
  picture.addEventListener("keydown", (event) => tool.pressed(event, layer));
  square.addEventListener("pointermove", (event) => {
    const { group, size } = look(tool, layer), [asks, answers] = cellAt(event, square, [t, s]);
    const place = chosen.direction === "to" ? queries[group * t + asks] : keys[group * s + answers];
    if (chosen.locked || place < 0) return;
    if (isExtra(place, size)) return;
    tool.move(...position(place, size), size);
    const found = look(tool, layer).cells.findIndex((each) => each.group === group && each.asks === asks && each.answers === answers);
    chosen.key = found < 0 ? null : found;
    tool.draw();
  });
  const figure = (canvas, caption) => make("figure", {}, canvas, make("figcaption", {}, caption));
  const box = make(
    "section", { className: "mmv-panel", data: { layer: layer.name } },
    make("h4", {}, layer.name), picture, make("div", { className: "mmv-heads" }, ...heads),
    make("div", { className: "mmv-tables" },
      figure(square, "the group: one row per query, one column per key"),
      ...(table ? [figure(table, "bias by offset, key minus query")] : [])),
    reading,
  );
  const draw = () => {
    const seen = look(tool, layer);
    drawPicture(tool, seen, picture);
    drawHeads(tool, seen, heads);
    drawMatrix(tool, seen, square);
    if (table) drawTable(tool, seen, table);
    read(tool, seen, reading);
  };
  return { box, draw };
}

function range(values, soft) {
  const finite = values.filter(Number.isFinite);
  return [soft ? 0 : smallest(finite), largest(finite)];
}

// The image, pale outside the group; on each key a square, the larger the more it is attended to.
function drawPicture({ data, chosen }, { size, grid, place, cells, values, key }, canvas) {
  const [h, w] = grid, [H, W] = data.side, context = canvas.getContext("2d");
  const [wide, tall] = [canvas.width / w, canvas.height / h], zoom = canvas.width / W;
  const tokens = new Set(cells.map((cell) => cell.place)), pixels = data.images[chosen.image].pixels;
  for (let i = 0; i < H * W; i++) {
    const [r, c] = [Math.floor(i / W), i % W], rgb = pixels.subarray(3 * i, 3 * i + 3);
    const gray = 255 - 0.3 * (255 - (rgb[0] + rgb[1] + rgb[2]) / 3);
    const inside = tokens.has(Math.floor((r * h) / H) * w + Math.floor((c * w) / W));
    context.fillStyle = inside ? `rgb(${rgb.join()})` : `rgb(${gray}, ${gray}, ${gray})`;
    context.fillRect(c * zoom, r * zoom, zoom, zoom);
  }
  const [low, high] = range(values, chosen.soft), kept = chosen.soft ? needed(values, chosen.mass) : values.map(() => true);
  cells.forEach((cell, i) => {
    if (isExtra(cell.place, grid)) return;
    const [row, column] = position(cell.place, grid), x = column * wide, y = row * tall;
    if (kept[i]) {
      const part = high > low ? Math.max(0, (values[i] - low) / (high - low)) : 1;
      const side = 0.8 * Math.max(0.2, Math.sqrt(part));
      context.fillStyle = color(data.palette, part);
      context.fillRect(x + (wide * (1 - side)) / 2, y + (tall * (1 - side)) / 2, wide * side, tall * side);
    }
    outline(context, x + 1, y + 1, wide - 2, tall - 2, i === key ? 3 : 0.5);
  });
  frameToken(context, place, size, 4);
}

// Frame a token of a map over the whole canvas; an extra token has no place there.
function frameToken(context, place, size, thick) {
  if (isExtra(place, size)) return;
  const [row, column] = position(place, size), { width, height } = context.canvas;
  outline(context, (column * width) / size[1], (row * height) / size[0], width / size[1], height / size[0], thick);
}

function drawHeads({ data, chosen }, { grid, size, place, cells, line }, canvases) {
  const lines = canvases.map((_, head) => line(head));
  canvases.forEach((canvas, head) => {
    const [low, high] = range(chosen.shared ? lines.flat() : lines[head], chosen.soft);
    const values = Array(grid[0] * grid[1]).fill(null);
    cells.forEach((cell, i) => {
      if (!isExtra(cell.place, grid)) values[cell.place] = lines[head][i];
    });
    drawMap(canvas, values, grid, data.palette, low, high);
    frameToken(canvas.getContext("2d"), place, size, 1);
    canvas.classList.toggle("mmv-chosen", head === chosen.head);
  });
}

function drawMatrix({ data, chosen }, { layer, of, group, slot, cells, key }, canvas) {
  const { t, s } = layer.read, cell = canvas.width / s, context = canvas.getContext("2d");
  const values = [...of(chosen.head, group)].map((value) => (Number.isFinite(value) ? value : null));
  drawMap(canvas, values, [t, s], data.palette, ...range(values, chosen.soft));
  if (chosen.direction === "to") outline(context, 0, slot * cell, s * cell, cell, 1);
  else outline(context, slot * cell, 0, cell, t * cell, 1);
  const pointed = cells[key];
  if (pointed.group === group) outline(context, pointed.answers * cell, pointed.asks * cell, cell, cell, 1);
}

function drawTable({ data, chosen }, { layer, attention, cells, key }, canvas) {
  const [rows, columns] = layer.table, size = canvas.width / columns, { asks, answers } = cells[key];
  const mean = Array.from({ length: rows * columns }, (_, i) =>
    average(headsOf(layer, chosen.head), (head) => attention.table[head * rows * columns + i]));
  drawMap(canvas, mean, layer.table, data.palette, ...range(mean, false));
  const place = layer.index[asks * layer.read.s + answers];
  outline(canvas.getContext("2d"), (place % columns) * size, Math.floor(place / columns) * size, size, size);
}

function read({ data, chosen, say }, seen, list) {
  const { layer, attention, place, size, grid, cells, values, strongest, key } = seen, { s, groups } = layer.read;
  const stride = chosen.direction === "to" ? layer.stride : layer.keyStride;
  const write = (number) => number.toFixed(3), where = (i) => nameOf(cells[i].place, grid);
  const { group, asks, answers } = cells[key];
  const mean = (numbers) => average(headsOf(layer, chosen.head), (head) => numbers(head)[asks * s + answers]);
  const score = mean((head) => scoresOf(layer, attention, chosen.image, head, group));
  const bias = mean((head) => biasOf(layer, attention, head, group));
  const [row, column] = position(place, size), locked = chosen.locked ? " (locked)" : "";
  const readings = {
    query: isExtra(place, size)
      ? nameOf(place, size) + locked
      : `row ${row}, column ${column}; pixels ${row * stride} to ${(row + 1) * stride - 1} down, ` +
        `${column * stride} to ${(column + 1) * stride - 1} across${locked}`,
    group: `${seen.group} of ${groups}${layer.pattern ? `, cut by ${layer.pattern}` : ""}`,
    keys: `${cells.length} of ${grid[0] * grid[1] + layer.extra}`,
    strongest: strongest.slice(0, 5).map((i) => `${where(i)}: ${write(values[i])}`).join("; "),
    key: `${where(key)}: ${write(values[key])}`,
    logit: `${write(score + bias)} = score ${write(score)} + bias ${write(bias)}` +
      (chosen.head < 0 ? " (mean of the heads)" : ""),
  };
  if (chosen.soft && chosen.direction === "to") {
    const bits = entropy(values);
    readings.sum = write(values.reduce((sum, weight) => sum + weight, 0));
    readings.entropy = `${write(bits)} bits of ${Math.log2(cells.length).toFixed(2)}; ${(2 ** bits).toFixed(1)} effective keys`;
    if (!isExtra(place, size)) {
      readings.distance = `${write(distance(layer, place, cells.map((cell) => cell.place), values))} pixels on average; ` +
        `${write(layer.even)} with uniform attention weights`;
    }
  }
  const top = data.networks[chosen.network].predictions[chosen.image].slice(0, 3);
  readings.prediction = top.map(([name, probability]) => `${name} ${(100 * probability).toFixed(1)}%`).join(", ");
  say(`${layer.name}: query ${readings.query}; key ${readings.key}`);
  list.replaceChildren(...Object.entries(readings).flatMap(([name, text]) =>
    [make("dt", {}, name), make("dd", { data: { of: name } }, text)]));
}
