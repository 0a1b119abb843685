// What can be chosen about the attention of these layers, and about how it is drawn.

function settings(tool, layers) {
  const { data, chosen, set } = tool, pictures = chosen.view === "attention", { attention } = data.networks[chosen.network];
  const flag = (name, label, key, yes, no) =>
    choice(name, [[true, yes], [false, no]], chosen[key], (value) => set({ [key]: value === "true" }), label);
  const computed = [], drawn = [], [asked, , others] = rolesOf({ chosen });
  const extra = Math.max(...data.attending.map((layer) => layer.extra));
  if (extra) {
    const queries = [["", "token of the map"], ...Array.from({ length: extra }, (_, i) => [i, `extra token ${i + 1}`])];
    computed.push(choice("query", queries, chosen.extra ?? "", (i) => set({ extra: i === "" ? null : +i, key: null }), asked));
  }
  const most = Math.max(...layers.map((layer) => layer.heads));
  if (pictures && most > 1) {
    const heads = [[-1, `mean of ${most}`], ...Array.from({ length: most }, (_, i) => [i, `${i + 1} of ${most}`])];
    computed.push(choice("head", heads, chosen.head, (head) => set({ head: +head })));
  }
  computed.push(flag("numbers", "values", "soft", "attention weights (softmax)", "logits (before the softmax)"));
  if (layers.some(({ name }) => attention[name].bias || attention[name].table)) {
    const terms = [["both", "scores and bias"], ["scores", "scores alone"], ["bias", "bias alone"]];
    computed.push(choice("terms", terms, chosen.terms, (value) => set({ terms: value }), "computed from"));
  }
  const directions = [["to", "attends to"], ["by", "is attended to by"]];
  computed.push(choice("direction", directions, chosen.direction, (direction) => set({ direction, key: null }), "the token"));
  drawn.push(flag("scale", "colors", "shared", "one scale for all", "each its own scale"));
  if (pictures) {
    const masses = [[1, "all"], [0.9, "those that hold 90% of the weight"], [0.5, "those that hold 50% of the weight"]];
    const mark = (strength) => {
      chosen.strength = strength;
      tool.draw();
    };
    if (chosen.soft) drawn.push(choice("mass", masses, chosen.mass, (mass) => set({ mass: +mass }), `rings on ${others}`));
    drawn.push(slider("strength", "marks over the image", [0, 100], chosen.strength, mark, (strength) => `${strength}%`));
  }
  return [group("What is computed", ...computed), group("How it is drawn", ...drawn)];
}
