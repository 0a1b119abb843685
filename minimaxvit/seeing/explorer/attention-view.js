// The view of attention: a block beside its grid, or one layer, with what can be chosen about them.

function attentionView(tool) {
  const { data, chosen, body } = tool;
  const first = data.attending.find((layer) => layer.name === chosen.layer), pair = pairOf(data.attending, first);
  if (chosen.head >= first.heads) chosen.head = -1;
  const panels = (chosen.beside ? pair : [first]).map((layer) => makePanel(tool, layer)), several = panels.length > 1;
  const [tops, more] = ["top", "more"].map((part) => panels.map((panel) => panel[part]));
  const row = (...children) => make("div", { className: "mmv-panels" }, ...children);
  const layers = layerGroup(tool, first, pair), controls = make("div", { className: "mmv-groups" }, ...settings(tool, panels.map((panel) => panel.layer)));
  body.append(layers, signs(tool), ...(several ? [row(...tops), controls, row(...more)] : [row(...tops, ...more), controls]));
  return () => {
    const seen = panels.map((panel) => look(tool, panel.layer));
    const values = seen.map((each) => each.values);
    const heads = seen.map((each) => [...Array(each.layer.heads).keys()].flatMap(each.line));
    const ranges = (lists) => lists.map((list) => rangeOf(chosen.shared ? lists : [list], chosen.soft));
    const [ofPictures, ofHeads] = [ranges(values), ranges(heads)];
    const shared = several ? (chosen.shared ? ", one scale for both pictures" : ", a scale of its own") : "";
    panels.forEach((panel, i) => panel.draw(seen[i], ofPictures[i], ofHeads[i], shared));
  };
}

// The way through the network, where layers that attend can be chosen.
function layerGroup({ data, chosen, set }, first, pair) {
  const depth = make("ol", { className: "mmv-depth" });
  for (const layer of data.layers) {
    const on = { click: () => set({ layer: layer.name, key: null }) }, text = `${layer.name} ${layer.size.join(" x ")}`;
    const button = make("button", { type: "button", disabled: !layer.attention, data: { choice: layer.name }, on }, text);
    button.setAttribute("aria-pressed", (chosen.beside ? pair : [first]).some((each) => each.name === layer.name));
    depth.append(make("li", {}, button));
  }
  const kinds = pair.map((layer) => layer.kind), beside = pair.length > 1 ? kinds.join(" beside ") : "two of one block";
  const words = [[true, beside], [false, "one layer"]];
  const controls = hasPairs(data) ? [choice("layers", words, chosen.beside, (value) => set({ beside: value === "true" }), "show")] : [];
  return group("Layer", depth, ...controls);
}

function hasPairs(data) {
  return data.attending.some((layer) => pairOf(data.attending, layer).length > 1);
}

// A layer and the nearest other one of the same block and the same map, if there is one.
function pairOf(attending, layer) {
  const at = attending.indexOf(layer);
  const partners = attending.filter((each) => each !== layer && each.block === layer.block && `${each.size}` === `${layer.size}`);
  const [partner] = partners.sort((a, b) => Math.abs(attending.indexOf(a) - at) - Math.abs(attending.indexOf(b) - at));
  return attending.filter((each) => each === layer || each === partner);
}

// What the two kinds of frames mean.
function signs(tool) {
  const sign = (kind) => make("span", { className: `mmv-sign ${kind}` }), [asked, other] = rolesOf(tool);
  const strongest = asked === "query" ? "the key that it attends to most" : "the query that attends to it most";
  return make("p", { className: "mmv-note" }, sign(""), ` the ${asked}: the token (a patch) that you point at. `,
    sign("mmv-dashed"), ` ${strongest} or, while the ${asked} is locked, the ${other} that you point at. Rows, columns and pixels are counted from 0.`);
}
