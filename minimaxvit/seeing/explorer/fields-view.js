// The view of receptive fields: of each layer four maps of the pixels, for one linked query.

const MAPS = {
  exact: "any path at all",
  paths: "number of paths",
  effective: "effective (gradients, all parts)",
  rollout: "rollout",
};

function fieldsView(tool) {
  const { data, chosen, set, body } = tool, skipped = skippable(data), controls = [];
  if (!(chosen.parts in skipped)) chosen.parts = "all";
  if (data.attending.length) {
    const parts = Object.keys(skipped).map((name) => [name, name]);
    controls.push(choice("attention", parts, chosen.parts, (value) => set({ parts: value })));
  }
  if (data.layers.some((layer) => hasGate(layer.reads))) {
    const words = [[true, "counts"], [false, "is held constant"]];
    controls.push(choice("squeeze-excitation", words, chosen.gates, (value) => set({ gates: value === "true" })));
  }
  const means = new Map(); // over heads, group by group: the same wherever the query stands
  const rows = data.layers.map((_, number) => makeRow(tool, number, means, skipped));
  const scale = legend(tool);
  body.append(
    ...(controls.length ? [group("What counts as a path", ...controls)] : []), scale.box,
    make("ul", { className: "mmv-note mmv-list" }, ...notes(tool).map((text) => make("li", {}, text))),
    ...rows.map((row) => row.box),
  );
  scale.tell("0%", "100%", `of the largest value in each map${anyMeasured(tool) ? " (effective: its square root)" : ""}`);
  return drawer(body, rows);
}

// Draw the row that is pointed at, then the others in view, then the rest. Where that takes long, what
// is left waits, so that the pointer does not, and is given up when the query moves again.
function drawer(body, rows) {
  let pointed = null, later = 0;
  for (const row of rows) {
    for (const event of ["pointermove", "click", "keydown"]) row.box.addEventListener(event, () => (pointed = row), { capture: true });
  }
  const rank = (row) => {
    const { top, bottom } = row.box.getBoundingClientRect();
    return row === pointed ? 0 : bottom > 0 && top < innerHeight ? 1 : 2;
  };
  return () => {
    clearTimeout(later);
    const waiting = rows.map((row) => [rank(row), row]).sort(([a], [b]) => a - b).map(([, row]) => row);
    const work = (until) => {
      do waiting.shift().draw();
      while (waiting.length && performance.now() < until);
      body.setAttribute("aria-busy", waiting.length > 0);
      if (waiting.length && body.contains(rows[0].box)) later = setTimeout(work, 0, 0); // row by row
    };
    work(performance.now() + 20);
  };
}

function anyMeasured({ data, chosen }) {
  return Object.keys(data.networks[chosen.network].fields).length > 0;
}

// How the four maps come about, and what their numbers mean.
function notes(tool) {
  const { images, layers } = tool.data, gates = layers.some((layer) => hasGate(layer.reads)), any = anyMeasured(tool);
  const measured = images.length === 1 ? "for this image" : `as the mean over all ${images.length} images`;
  return [
    `Hatched: nothing comes from there${any ? " (effective: less than about a thousandth of the largest value)" : ""}.`,
    "Paths are counted exactly, up to 2^53.",
    any
      ? `Effective fields are measured by gradients, ${measured}, with all parts at work, whatever is chosen above.`
      : `Effective fields are ${tooLarge(tool.data, layers.at(-1))}.`,
    `Rollout multiplies attention weights, for the image chosen: a heuristic${gates ? ", which leaves out squeeze-excitation" : ""}.`,
    "“Half on 40 pixels”: so few of them hold half of the field.",
    ...(any ? ["“Worth 120 equal pixels”: it is spread as widely as if 120 had an equal share."] : []),
    ...(gates ? ["Squeeze-excitation takes the mean of the whole map, so even a convolution that follows it depends on all pixels; choose “is held constant” to see what the rest does."] : []),
  ];
}

// Why a layer has no effective field.
function tooLarge({ side, limits }, { size }) {
  const [tokens, pixels] = [size, side].map(([h, w]) => h * w);
  const text = (number, what, most) => `not measured: ${number.toLocaleString("en")} ${what}, and the limit is ${most.toLocaleString("en")}`;
  return pixels > limits.pixels ? text(pixels, "pixels in the image", limits.pixels) : text(tokens, "tokens on this map", limits.queries);
}

// Which kinds of attention each choice leaves out.
function skippable(data) {
  const kinds = [...new Set(data.attending.map((layer) => layer.kind))];
  const alone = kinds.length > 1 ? kinds.map((kind) => [`only ${kind}`, kinds.filter((other) => other !== kind)]) : [];
  return Object.fromEntries([["all", []], ...alone, ["none", kinds]]);
}

function hasGate(reads) {
  return reads.some((read) => "gate" in read || (read.sum && read.sum.some(hasGate)));
}

function makeRow(tool, number, means, skipped) {
  const { data, chosen } = tool, layer = data.layers[number], [H, W] = data.side, zoom = Math.max(1, Math.round(192 / W));
  const where = make("p", { data: { of: "where" } }), measured = layer.name in data.networks[chosen.network].fields;
  const shown = Object.entries(MAPS).filter(([of]) => of !== "effective" || anyMeasured(tool));
  const maps = shown.map(([of, title]) => {
    const says = make("span", { data: { of: `${of}-says` } });
    if (of === "effective" && !measured) {
      says.textContent = tooLarge(data, layer);
      return { of, says, figure: make("figure", { className: "mmv-none" }, make("figcaption", {}, make("b", {}, title), says)) };
    }
    const canvas = make("canvas", {
      width: W * zoom, height: H * zoom, tabIndex: of === "exact" ? 0 : -1, role: "application", data: { of },
      "aria-label": `${layer.name}, ${title}. Arrow keys move the query, Enter locks it.`,
    });
    canvas.addEventListener("pointermove", (event) => {
      if (chosen.locked) return;
      tool.move(...cellAt(event, canvas, layer.size), layer.size);
      tool.draw();
    });
    canvas.addEventListener("click", (event) => tool.clicked(cellAt(event, canvas, layer.size), layer.size));
    canvas.addEventListener("keydown", (event) => {
      tool.pressed(event, layer);
      tool.say([layer.name, where.textContent, ...maps.map((map) => map.says.textContent)].join(", "));
    });
    return { of, says, canvas, figure: make("figure", {}, canvas, make("figcaption", {}, make("b", {}, title), says)) };
  });
  const why = layer.why ? [make("p", { className: "mmv-note", data: { of: "why" } }, layer.why)] : [];
  const head = make("div", {}, make("h4", {}, layer.name), make("p", {}, `${layer.size.join(" x ")} tokens`), where, ...why);
  const box = make("section", { className: "mmv-fields", data: { layer: layer.name } }, head, make("div", {}, ...maps.map((map) => map.figure)));
  return { box, draw: () => drawRow(tool, number, maps, where, means, skipped[chosen.parts]) };
}

function drawRow({ data, chosen, tokenAt }, number, maps, where, means, skipped) {
  const layer = data.layers[number], network = data.networks[chosen.network], [h, w] = layer.size;
  const [row, column] = tokenAt(layer.size), index = row * w + column, pixels = data.side[0] * data.side[1];
  const weights = (of, group) => {
    const which = [chosen.network, chosen.image, of.name, group].join();
    if (!means.has(which)) {
      const mean = matrix(of.attention, network.attention[of.name], chosen.image, -1, group, { terms: "both", soft: true });
      means.set(which, mean);
    }
    return means.get(which);
  };
  const kernel = (of, i) => network.kernels[of.name][i];
  const walk = (how) => traceBack(data.layers, number, index, { ...how, skipped });
  const paths = walk({ exact: true, gates: chosen.gates }), rollout = walk({ exact: false, weights, kernel });
  const carried = network.fields[layer.name];
  const drawn = {
    exact: paths.map(Math.sign), paths, rollout,
    effective: carried?.map.subarray(index * pixels, (index + 1) * pixels).map(Math.sqrt),
  };
  const most = largest(paths), count = most < 2 ** 53 ? most.toLocaleString("en") : `about ${most.toPrecision(2).replace("e+", " * 10^")}`;
  const says = {
    exact: `${drawn.exact.reduce((sum, any) => sum + any)} of ${pixels} pixels`,
    paths: `up to ${count} path${most === 1 ? "" : "s"}`,
    effective: carried && `half on ${carried.pixels[index]} pixels, or within ${squareInWords(data, layer, [row, column], carried.sides[index])}; ` +
      `worth ${carried.worth[index]} equal pixels`,
    rollout: `half on ${fewest(rollout, 0.5)} pixels`,
  };
  where.textContent = `row ${row}, column ${column}${chosen.locked ? " (locked)" : ""}`;
  for (const { of, canvas, says: said } of maps) {
    if (!canvas) continue;
    const values = drawn[of];
    drawMap(canvas, values, data.side, data.palette, 0, largest(values), 0);
    frameToken(canvas, index, layer.size);
    said.textContent = says[of];
  }
}

// A square around a token, which may reach over the border of the image.
function squareInWords({ side }, { size, stride }, token, length) {
  const sides = token.map((place, axis) => {
    const center = (place + 0.5) * stride - 0.5, half = (length - 1) / 2;
    return Math.min(side[axis] - 1, Math.floor(center + half + 0.25)) - Math.max(0, Math.ceil(center - half - 0.25)) + 1;
  });
  const text = sides.join(" x ");
  return sides.every((each) => each === length) ? text : `${text} (a square, cut off at the border of the image)`;
}
