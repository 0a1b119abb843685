// The view of receptive fields: a row a layer, four maps of the pixels each, for one linked query.

const MAPS = ["exact", "paths", "effective", "rollout"];
const SKIPPED = { both: [], "block only": ["grid"], "grid only": ["block"], neither: ["block", "grid"] };

function fieldsView(tool, controls) {
  const { data, chosen, set } = tool;
  const parts = Object.keys(SKIPPED).map((name) => [name, name]);
  controls.append(choice("attention", parts, chosen.parts, (value) => set({ parts: value })));
  if (JSON.stringify(data.networks[0].steps).includes('"excite":true')) {
    const words = [[true, "counts"], [false, "left out"]];
    controls.append(choice("squeeze-excitation", words, chosen.excite, (value) => set({ excite: value === "true" })));
  }
  const head = make("tr", {}, ...["layer", ...MAPS].map((text) => make("th", {}, text)));
  const means = new Map(); // of the heads, group by group: the same wherever the query stands
  const rows = data.layers.map((_, number) => makeRow(tool, number, means));
  tool.body.append(
    make("table", { className: "mmv-fields" }, head, ...rows.map((row) => row.box)),
    make("p", {}, "Hatched: nothing leads there (effective: less than a thousandth of the most). Exact fields and paths are counted. Effective fields " +
      `are measured, the mean over ${data.pictures.length} pictures with all parts at work, drawn by the ` +
      "square root of the share. Rollout is a heuristic, for the picture chosen."),
  );
  return () => rows.forEach((row) => row.draw());
}

function makeRow(tool, number, means) {
  const { data, chosen } = tool, layer = data.layers[number], [H, W] = data.side;
  const zoom = Math.max(1, Math.round(96 / W)), told = make("div", { data: { of: "told" } });
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
      tool.say(`${layer.name}, ${told.textContent}`);
    });
    return canvas;
  });
  const name = make("th", {}, layer.name, make("br"), layer.size.join(" x "), told);
  const box = make("tr", { data: { layer: layer.name } }, name, ...maps.map((map) => make("td", {}, map)));
  return { box, draw: () => drawRow(tool, number, maps, told, means) };
}

function drawRow({ data, chosen, tokenAt }, number, maps, told, means) {
  const layer = data.layers[number], network = data.networks[chosen.network], [h, w] = layer.size;
  const [row, column] = tokenAt(layer.size), index = row * w + column, pixels = data.side[0] * data.side[1];
  const weights = (of, group) => {
    const which = [chosen.network, chosen.picture, of.name, group].join();
    if (!means.has(which)) {
      const shares = matrix(of, network.attention[of.name], chosen.picture, -1, group, { terms: "both", soft: true });
      means.set(which, shares);
    }
    return means.get(which);
  };
  const walk = (how) => [...traceBack(data.layers, network.steps, number, index, SKIPPED[chosen.parts], how)];
  const paths = walk({ exact: true, excite: chosen.excite }), rollout = walk({ exact: false, weights });
  const carried = network.fields[layer.name];
  const effective = carried && [...carried.map.subarray(index * pixels, (index + 1) * pixels)];
  const drawn = [paths.map((count) => +(count > 0)), paths, effective?.map(Math.sqrt), rollout];
  maps.forEach((canvas, i) => {
    const context = canvas.getContext("2d"), values = drawn[i]?.map((value) => value || null);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (values) drawMap(canvas, values, data.side, data.palette, 0, largest(values));
    outline(context, (column * canvas.width) / w, (row * canvas.height) / h, canvas.width / w, canvas.height / h, 1);
  });
  const count = (shares) => needed(shares, 0.5).filter(Boolean).length, most = largest(paths);
  const side = carried?.sides[index];
  told.textContent =
    `row ${row}, column ${column}${chosen.locked ? " (locked)" : ""}: ${paths.filter(Boolean).length} of ${pixels} pixels, by up to ` +
    `${most.toLocaleString("en")} path${most === 1 ? "" : "s"}; half of ` +
    (carried
      ? `the effective field on ${carried.pixels[index]} pixels, or within ${side} x ${side}; it is worth ` +
        `${carried.worth[index]}; half of `
      : "") + `the rollout on ${count(rollout)}` + (carried ? "" : "; no effective field is carried for this map, or for so large a picture");
}
