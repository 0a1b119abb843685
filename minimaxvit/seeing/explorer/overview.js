// The overview: every head of every layer at once, for one query; choosing a head opens it.

function overview(tool) {
  const { data, chosen, set, body } = tool, scale = legend(tool);
  const rows = data.attending.map((layer) => {
    const numbers = layer.heads > 1 ? [-1, ...Array(layer.heads).keys()] : [0];
    const open = (head) => () => set({ view: "attention", layer: layer.name, head, beside: false, key: null }, `picture:${layer.name}`);
    return { layer, numbers, heads: numbers.map((head) => makeHead(layer, head, open(head))) };
  });
  const box = ({ layer, heads }) => make(
    "section", { data: { layer: layer.name } }, make("h4", {}, `${layer.name}, ${layer.size.join(" x ")} tokens${tooSmall(layer.keySize) ? " (a square per key, without the image)" : ""}`),
    make("div", { className: "mmv-heads" }, ...heads.map((head) => head.button)));
  const blocks = [...new Set(data.attending.map((layer) => layer.block))];
  const lines = blocks.map((block) => make("div", { className: "mmv-panels" }, ...rows.filter(({ layer }) => layer.block === block).map(box)));
  body.append(scale.box, ...lines, make("div", { className: "mmv-groups" }, ...settings(tool, data.attending)));
  return () => {
    const ofAll = { ...tool, chosen: { ...chosen, head: -1 } }; // what a row is asked does not depend on a head
    const seen = rows.map(({ layer, numbers }) => {
      const found = look(ofAll, layer);
      return { ...found, lines: numbers.map(found.line) };
    });
    const all = rangeOf(seen.flatMap((each) => each.lines), chosen.soft);
    const scales = chosen.shared ? "one scale for all" : "each head on a scale of its own";
    scale.tell(...all, `${chosen.soft ? "attention weight" : "logit"}, ${scales}; below each head its largest value, for the framed token alone`);
    const [top] = seen.flatMap(({ layer, lines }) => ({ layer, most: largest(lines.flat()) })).sort((a, b) => b.most - a.most);
    const { layer, place, size } = seen[0], what = chosen.soft ? "attention weight" : "logit";
    tool.say(`${layer.name}: ${wordsOf(place, size)}; the largest ${what} of all heads is ${top.most.toFixed(3)}, in ${top.layer.name}`);
    rows.forEach(({ heads }, i) =>
      heads.forEach((head, j) => {
        const line = seen[i].lines[j];
        drawHead(tool, seen[i], head, line, chosen.shared ? all : rangeOf([line], chosen.soft));
      }));
  };
}
