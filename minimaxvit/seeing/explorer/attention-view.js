// The view of attention: a block beside its grid, or one layer, with what can be chosen about them.

function attentionView(tool) {
  const { data, chosen, body } = tool;
  const first = data.attending.find((layer) => layer.name === chosen.layer), pair = pairOf(data.attending, first);
  if (chosen.head >= first.heads) chosen.head = -1;
  const panels = (chosen.beside ? pair : [first]).map((layer) => makePanel(tool, layer)), several = panels.length > 1;
  const [tops, more] = ["top", "more"].map((part) => panels.map((panel) => panel[part]));
  const row = (...children) => make("div", { className: "mmv-panels" }, ...children);
  const controls = make("div", { className: "mmv-groups" }, ...settings(tool, panels.map((panel) => panel.layer)));
  body.append(layerGroup(tool, pair, first), ...(several ? [row(...tops), signs(tool), controls, row(...more)] : [row(...tops, ...more), signs(tool), controls]));
  return () => {
    const seen = panels.map((panel) => look(tool, panel.layer));
    const values = seen.map((each) => each.values);
    const heads = seen.map((each) => [...Array(each.layer.heads).keys()].flatMap(each.line));
    const ranges = (lists) => lists.map((list) => rangeOf(chosen.shared ? lists : [list], chosen.soft));
    const [ofPictures, ofHeads] = [ranges(values), ranges(heads)];
    const shared = several ? (chosen.shared ? ", one scale for both pictures" : ", a scale of its own") : "";
    const said = panels.map((panel, i) => panel.draw(seen[i], ofPictures[i], ofHeads[i], shared));
    const focused = panels.findIndex((panel) => panel.picture === document.activeElement);
    tool.say(focused < 0 ? said.join(". ") : said[focused]);
  };
}

// The way through the network, where layers that attend can be chosen, and whether block and grid
// stand side by side.
function layerGroup({ data, chosen, set }, pair, first) {
  const words = data.layers.map(({ name, size }) => [name, `${name}, ${size.join(" x ")}`]);
  const layers = choice("layer", words, first.name, (layer) => set({ layer, key: null }));
  const attends = new Set(data.attending.map((layer) => layer.name));
  for (const option of layers.querySelectorAll("option")) option.disabled = !attends.has(option.value);
  const shown = [[true, pair.map((layer) => layer.kind).join(" beside ")], [false, "this layer alone"]];
  const beside = choice("layers", shown, chosen.beside, (value) => set({ beside: value === "true" }), "show");
  const without = data.layers.filter(({ why }) => why).map(({ name, why }) => make("p", { className: "mmv-note" }, `${name} cannot be chosen. ${why}`));
  return make("div", {}, make("div", { className: "mmv-controls" }, layers, ...(pair.length > 1 ? [beside] : [])), ...without);
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
  const most = asked === "query" ? "the key that it attends to most" : "the query that attends to it most";
  const strongest = tool.chosen.soft ? most : `the ${other} with the largest logit`;
  return make("p", { className: "mmv-note" }, sign(""), ` the ${asked}: the token (a patch) that you point at or have locked. `,
    sign("mmv-dashed"), ` ${strongest}, or the one that you choose: by pointing while the ${asked} is locked, or with Shift + arrow keys. Rows, columns and pixels are counted from 0.`);
}
