// The view of receptive fields: one row per layer with four maps of the pixels, for one linked query.

const MAPS = ["exact", "paths", "effective", "rollout"];

function fieldsView(tool, controls) {
  const { data, chosen, set } = tool, skipped = skippable(data);
  if (!(chosen.parts in skipped)) chosen.parts = "all";
  if (data.attending.length) {
    const parts = Object.keys(skipped).map((name) => [name, name]);
    controls.append(choice("attention", parts, chosen.parts, (value) => set({ parts: value })));
  }
  if (data.layers.some((layer) => hasGate(layer.reads))) {
    const words = [[true, "counts"], [false, "is held constant"]];
    controls.append(choice("squeeze-excitation", words, chosen.gates, (value) => set({ gates: value === "true" })));
  }
  const head = make("tr", {}, ...["layer", ...MAPS].map((text) => make("th", {}, text)));
  const means = new Map(); // over heads, group by group: the same wherever the query stands
  const rows = data.layers.map((_, number) => makeRow(tool, number, means, skipped));
  tool.body.append(
    make("table", { className: "mmv-fields" }, head, ...rows.map((row) => row.box)),
    make("p", {}, "Hatched: no path leads there (effective: less than a thousandth of the maximum). Exact fields and paths are counted. Effective fields " +
      `are measured: the mean over ${data.images.length} images with all parts at work, drawn by the ` +
      "square root of the fraction. Rollout is a heuristic, for the image chosen."),
  );
  return () => rows.forEach((row) => row.draw());
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
  const { data, chosen } = tool, layer = data.layers[number], [H, W] = data.side;
  const zoom = Math.max(1, Math.round(96 / W)), summary = make("div", { data: { of: "summary" } });
  const maps = MAPS.map((of) => {
    const canvas = make("canvas", {
      width: W * zoom, height: H * zoom, tabIndex: of === "exact" ? 0 : -1, role: "application", data: { of },
      "aria-label": `${layer.name}, ${of}. Arrow keys move the query, Enter locks it.`,
    });
    canvas.addEventListener("pointermove", (event) => {
      if (chosen.locked) return;
      tool.move(...cellAt(event, canvas, layer.size), layer.size);
      tool.draw();
    });
    canvas.addEventListener("click", (event) => tool.clicked(cellAt(event, canvas, layer.size), layer.size));
    canvas.addEventListener("keydown", (event) => {
      tool.pressed(event, layer);
      tool.say(`${layer.name}, ${summary.textContent}`);
    });
    return canvas;
  });
  const name = make("th", {}, layer.name, make("br"), layer.size.join(" x "), summary);
  const box = make("tr", { data: { layer: layer.name } }, name, ...maps.map((map) => make("td", {}, map)));
  return { box, draw: () => drawRow(tool, number, maps, summary, means, skipped[chosen.parts]) };
}

function drawRow({ data, chosen, tokenAt }, number, maps, summary, means, skipped) {
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
  const walk = (how) => [...traceBack(data.layers, number, index, { ...how, skipped })];
  const paths = walk({ exact: true, gates: chosen.gates }), rollout = walk({ exact: false, weights, kernel });
  const carried = network.fields[layer.name];
  const effective = carried && [...carried.map.subarray(index * pixels, (index + 1) * pixels)];
  const drawn = [paths.map((count) => +(count > 0)), paths, effective?.map(Math.sqrt), rollout];
  maps.forEach((canvas, i) => {
    const context = canvas.getContext("2d"), values = drawn[i]?.map((value) => value || null);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (values) drawMap(canvas, values, data.side, data.palette, 0, largest(values));
    frameToken(context, index, layer.size, 1);
  });
  const count = (fractions) => needed(fractions, 0.5).filter(Boolean).length, most = largest(paths);
  const side = carried?.sides[index];
  summary.textContent =
    `row ${row}, column ${column}${chosen.locked ? " (locked)" : ""}: ${paths.filter(Boolean).length} of ${pixels} pixels, by up to ` +
    `${most.toLocaleString("en")} path${most === 1 ? "" : "s"}; half of ` +
    (carried
      ? `the effective field on ${carried.pixels[index]} pixels, or within ${side} x ${side}; it is worth ` +
        `${carried.worth[index]}; half of `
      : "") + `the rollout on ${count(rollout)}` + (carried ? "" : "; no effective field is carried for a map, or an image, as large as this");
}
