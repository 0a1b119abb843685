// The view of attention: a panel for each layer shown, with picture, heads, matrix and bias table.

function attentionView(tool, controls) {
  const { data, chosen, body, set } = tool;
  const first = data.layers.find((layer) => layer.name === chosen.layer);
  if (chosen.head >= first.heads) chosen.head = -1;
  const heads = [[-1, "mean"], ...Array.from({ length: first.heads }, (_, i) => [i, i + 1])];
  const flag = (label, name, yes, no) =>
    choice(label, [[true, yes], [false, no]], chosen[name], (value) => set({ [name]: value === "true" }));
  const terms = [["both", "content and position"], ["content", "content"], ["position", "position"]];
  const masses = [[0.5, "50 %"], [0.9, "90 %"], [1, "100 %"]];
  controls.append(
    flag("layers", "beside", "block beside grid", "one"),
    choice("head", heads, chosen.head, (head) => set({ head: +head })),
    choice("terms", terms, chosen.terms, (value) => set({ terms: value })),
    flag("numbers", "soft", "shares (softmax)", "scores (logits)"),
    choice("direction", [["to", "attends to"], ["by", "is attended by"]], chosen.direction, (direction) => set({ direction })),
    choice("mass", masses, chosen.mass, (mass) => set({ mass: +mass })),
    flag("scale", "shared", "one for all heads", "each head its own"),
  );
  const depth = make("ol", { className: "mmv-depth" });
  for (const layer of data.layers) {
    const on = { click: () => set({ layer: layer.name, key: null }) };
    const text = `${layer.name} ${layer.size.join(" x ")}`;
    const button = make("button", { type: "button", disabled: !layer.kind, data: { choice: layer.name }, on }, text);
    button.setAttribute("aria-pressed", layer === first);
    depth.append(make("li", {}, button));
  }
  const panels = (chosen.beside ? pairOf(data.attending, first) : [first]).map((layer) => makePanel(tool, layer));
  body.append(depth, make("div", { className: "mmv-panels" }, ...panels.map((panel) => panel.box)));
  return () => panels.forEach((panel) => panel.draw());
}

// A layer and its neighbour of the other kind, that of the same MaxViT block if there is one.
function pairOf(attending, layer) {
  const i = attending.indexOf(layer);
  const pairs = [attending[i - 1], attending[i + 1]].filter(
    (other) => other && other.kind !== layer.kind && `${other.size}` === `${layer.size}`,
  );
  const partner = pairs.find((other) => other.name.split(" ")[0] === layer.name.split(" ")[0]) ?? pairs[0];
  return attending.filter((each) => each === layer || each === partner);
}

// All that is drawn and read of one layer, from the query.
function look({ data, chosen, tokenAt }, layer) {
  const attention = data.networks[chosen.network].attention[layer.name];
  const [row, column] = tokenAt(layer.size), [group, slot] = layer.places[row * layer.size[1] + column];
  const of = (head) => matrix(layer, attention, chosen.picture, head, group, chosen);
  const values = of(chosen.head), shares = line(values, slot, chosen.direction);
  const strongest = [...shares.keys()].sort((a, b) => shares[b] - shares[a] || a - b);
  const key = chosen.key ?? strongest[0];
  // Who asks and who answers: the query's row, or its column if it is the one attended to.
  const [asks, answers] = chosen.direction === "to" ? [slot, key] : [key, slot];
  return { layer, attention, row, column, group, slot, of, values, shares, strongest, key, asks, answers };
}

function nextKey(tool, layer, [down, right]) {
  const p = layer.window, { key } = look(tool, layer), around = (place, by) => (place + by + p) % p;
  return around(Math.floor(key / p), down) * p + around(key % p, right);
}

function makePanel(tool, layer) {
  const { chosen, set } = tool, [H, W] = tool.data.side, [h, w] = layer.size;
  const zoom = Math.max(1, Math.round(384 / W)), t = layer.window ** 2, side = 2 * layer.window - 1;
  const picture = make("canvas", {
    width: W * zoom, height: H * zoom, tabIndex: 0, role: "application", data: { of: "picture" },
    "aria-label": `${layer.name}, ${h} x ${w} tokens. Arrow keys move the query, Enter locks it, ` +
      "Escape unlocks it; when locked, or with shift, arrow keys choose a key.",
  });
  const heads = Array.from({ length: layer.heads }, (_, head) => {
    const on = { click: () => set({ head: chosen.head === head ? -1 : head }) };
    return make("canvas", { width: 96, height: Math.round((96 * h) / w), title: `head ${head + 1}`, data: { of: "head" }, on });
  });
  const cell = Math.max(2, Math.floor(192 / t));
  const square = make("canvas", { width: t * cell, height: t * cell, data: { of: "matrix" } });
  const table = make("canvas", { width: side * 18, height: side * 18, data: { of: "table" } });
  const reading = make("dl", { className: "mmv-reading" });

  picture.addEventListener("pointermove", (event) => {
    const [row, column] = cellAt(event, picture, [h, w]);
    if (chosen.locked) {
      const [group, slot] = layer.places[row * w + column];
      chosen.key = group === look(tool, layer).group ? slot : null;
    } else tool.move(row, column, layer.size);
    tool.draw();
  });
  picture.addEventListener("click", (event) => tool.clicked(cellAt(event, picture, [h, w]), layer.size));
  picture.addEventListener("keydown", (event) => tool.pressed(event, layer));
  square.addEventListener("pointermove", (event) => {
    if (chosen.locked) return;
    const [asks, answers] = cellAt(event, square, [t, t]);
    const [slot, key] = chosen.direction === "to" ? [asks, answers] : [answers, asks];
    const token = layer.tokens[look(tool, layer).group][slot];
    tool.move(Math.floor(token / w), token % w, layer.size);
    chosen.key = key;
    tool.draw();
  });
  const figure = (canvas, caption) => make("figure", {}, canvas, make("figcaption", {}, caption));
  const box = make(
    "section", { className: "mmv-panel", data: { layer: layer.name } },
    make("h4", {}, layer.name), picture, make("div", { className: "mmv-heads" }, ...heads),
    make("div", { className: "mmv-tables" },
      figure(square, "the group: a row a query, a column a key"),
      figure(table, "bias by offset, key minus query")),
    reading,
  );
  const draw = () => {
    const seen = look(tool, layer);
    drawPicture(tool, seen, picture);
    drawHeads(tool, seen, heads);
    drawMatrix(tool, seen, square);
    drawTable(tool, seen, table);
    read(tool, seen, reading);
  };
  return { box, draw };
}

function range(values, soft) {
  return [soft ? 0 : smallest(values), largest(values)];
}

// The picture, pale outside the group; on each key a square, the larger the more it is attended to.
function drawPicture({ data, chosen }, { layer, row, column, group, shares, key }, canvas) {
  const [h, w] = layer.size, [H, W] = data.side, context = canvas.getContext("2d");
  const [wide, tall] = [canvas.width / w, canvas.height / h], zoom = canvas.width / W;
  const tokens = new Set(layer.tokens[group]), pixels = data.pictures[chosen.picture].pixels;
  for (let i = 0; i < H * W; i++) {
    const [r, c] = [Math.floor(i / W), i % W], rgb = pixels.subarray(3 * i, 3 * i + 3);
    const grey = 255 - 0.3 * (255 - (rgb[0] + rgb[1] + rgb[2]) / 3);
    const inside = tokens.has(Math.floor((r * h) / H) * w + Math.floor((c * w) / W));
    context.fillStyle = inside ? `rgb(${rgb.join()})` : `rgb(${grey}, ${grey}, ${grey})`;
    context.fillRect(c * zoom, r * zoom, zoom, zoom);
  }
  const [low, high] = range(shares, chosen.soft), kept = chosen.soft ? needed(shares, chosen.mass) : shares.map(() => true);
  layer.tokens[group].forEach((token, i) => {
    const x = (token % w) * wide, y = Math.floor(token / w) * tall;
    if (kept[i]) {
      const part = high > low ? (shares[i] - low) / (high - low) : 1;
      const side = 0.8 * Math.max(0.2, Math.sqrt(part));
      context.fillStyle = colour(data.palette, part);
      context.fillRect(x + (wide * (1 - side)) / 2, y + (tall * (1 - side)) / 2, wide * side, tall * side);
    }
    outline(context, x + 1, y + 1, wide - 2, tall - 2, i === key ? 3 : 0.5);
  });
  outline(context, column * wide, row * tall, wide, tall, 4);
}

function drawHeads({ data, chosen }, { layer, row, column, group, slot, of }, canvases) {
  const lines = canvases.map((_, head) => line(of(head), slot, chosen.direction));
  canvases.forEach((canvas, head) => {
    const [low, high] = range(chosen.shared ? lines.flat() : lines[head], chosen.soft);
    const values = Array(layer.size[0] * layer.size[1]).fill(null);
    layer.tokens[group].forEach((token, i) => (values[token] = lines[head][i]));
    drawMap(canvas, values, layer.size, data.palette, low, high);
    const size = canvas.width / layer.size[1];
    outline(canvas.getContext("2d"), column * size, row * size, size, size, 1);
    canvas.classList.toggle("mmv-chosen", head === chosen.head);
  });
}

function drawMatrix({ data, chosen }, { values, shares, slot, asks, answers }, canvas) {
  const t = shares.length, cell = canvas.width / t, context = canvas.getContext("2d");
  drawMap(canvas, values, [t, t], data.palette, ...range([...values], chosen.soft));
  if (chosen.direction === "to") outline(context, 0, slot * cell, t * cell, cell, 1);
  else outline(context, slot * cell, 0, cell, t * cell, 1);
  outline(context, answers * cell, asks * cell, cell, cell, 1);
}

function drawTable({ data, chosen }, { layer, attention, asks, answers }, canvas) {
  const p = layer.window, side = 2 * p - 1, size = canvas.width / side;
  const mean = Array.from({ length: side * side }, (_, i) =>
    average(headsOf(layer, chosen.head), (head) => attention.bias[head * side * side + i]));
  drawMap(canvas, mean, [side, side], data.palette, ...range(mean, false));
  const down = Math.floor(answers / p) - Math.floor(asks / p), right = (answers % p) - (asks % p);
  outline(canvas.getContext("2d"), (right + p - 1) * size, (down + p - 1) * size, size, size);
}

function read({ data, chosen, say }, seen, list) {
  const { layer, attention, row, column, group, slot, shares, strongest, key, asks, answers } = seen;
  const [h, w] = layer.size, stride = layer.stride, t = shares.length;
  const where = (i) => `${Math.floor(layer.tokens[group][i] / w)}, ${layer.tokens[group][i] % w}`;
  const write = (number) => number.toFixed(3);
  const part = (kind) => average(headsOf(layer, chosen.head), (head) =>
    scores(layer, attention, chosen.picture, head, group)[kind][asks * t + answers]);
  const [content, bias] = [part("content"), part("bias")];
  const told = {
    query: `row ${row}, column ${column}; pixels ${row * stride} to ${(row + 1) * stride - 1} down, ` +
      `${column * stride} to ${(column + 1) * stride - 1} across${chosen.locked ? " (locked)" : ""}`,
    group: `${group} of ${layer.tokens.length}, cut by ${layer.pattern}`,
    keys: `${t} of ${h * w}`,
    strongest: strongest.slice(0, 5).map((i) => `${where(i)}: ${write(shares[i])}`).join("; "),
    key: `${where(key)}: ${write(shares[key])}`,
    score: `${write(content + bias)} = content ${write(content)} + bias ${write(bias)}` +
      (chosen.head < 0 ? " (mean of the heads)" : ""),
  };
  if (chosen.soft && chosen.direction === "to") {
    const bits = entropy(shares);
    told.sum = write(shares.reduce((sum, share) => sum + share, 0));
    told.entropy = `${write(bits)} bits of ${Math.log2(t).toFixed(2)}; ${(2 ** bits).toFixed(1)} effective keys`;
    told.distance = `${write(distance(layer, group, slot, shares))} pixels in the mean; ` +
      `${write(layer.even)} if all looked at all of their group alike`;
  }
  const likely = data.networks[chosen.network].likely[chosen.picture].slice(0, 3);
  told.prediction = likely.map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`).join(", ");
  say(`${layer.name}: query ${told.query}; key ${told.key}`);
  list.replaceChildren(...Object.entries(told).flatMap(([name, text]) =>
    [make("dt", {}, name), make("dd", { data: { of: name } }, text)]));
}
