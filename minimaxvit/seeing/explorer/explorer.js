// The explorer: what is chosen, and how pointer and keys move it. Each view builds its part of the
// page below the controls, from `tool`, and returns the function that draws it anew.

const VIEWS = {
  attention: ["Attention", attentionView],
  overview: ["All heads", overview],
  fields: ["Receptive fields", fieldsView],
  rule: ["P * G >= H", ruleView],
};
// One sentence for each view, which depends on the direction, the values and how many rings are drawn.
const HINTS = {
  attention: ({ direction, mass, soft }) => {
    const few = `the fewest tokens that hold ${100 * mass}% of the weight that it`;
    const marked = mass < 1 && soft
      ? `rings mark ${few} ${direction === "to" ? "gives" : "gets"}`
      : `a ring marks each token that ${direction === "to" ? "it attends to" : "attends to it"}`;
    return `Point at a patch of a picture (or tap it): ${marked}, and a wider, brighter ring means ${soft ? "more weight" : "a larger logit"}.`;
  },
  overview: ({ direction, soft }) =>
    `Point at a patch of the image, and see ${direction === "to" ? "what it attends to" : "which tokens attend to it"} in each head: ` +
    `a larger, brighter square means ${soft ? "more weight" : "a larger logit"}, and choosing a head shows it large.`,
  fields: () => "Point at a patch of any map, and see on which pixels of the image it depends after each layer.",
};
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

async function unzip(text) {
  const stream = new Blob([decode(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

function unpack(data) {
  for (const network of data.networks) {
    for (const attention of Object.values(network.attention)) {
      attention.table &&= halves(attention.table);
      attention.bias &&= halves(attention.bias);
      attention.scores = attention.scores.map(halves);
    }
    for (const field of Object.values(network.fields)) field.map = nibbles(field.map);
  }
  for (const image of data.images) image.pixels = decode(image.pixels);
  for (const layer of data.layers) {
    unpackReads(layer.reads);
    if (!layer.attention) continue;
    const read = attentionRead(layer.reads), { t, s, queries, keys } = read, { index } = layer.attention;
    Object.assign(layer.attention, {
      name: layer.name, read, extra: layer.extra - layer.passing,
      asking: standing(queries, t), answering: standing(keys, s),
      index: index && numbersOf(index, Int16Array),
    });
  }
  data.attending = data.layers.flatMap((layer) => layer.attention ?? []);
  return data;
}

async function start(root) {
  const data = unpack(await unzip(root.querySelector("script[type='application/gzip']").textContent));
  // `at` is the query as a place of the image, each way from 0 to 1, so that it outlives a change
  // of layer, and `extra` an extra token instead, null for none; `key` is one of its keys, null for
  // the strongest, of the layer `keyOf`.
  const several = data.attending.filter((layer) => pairOf(data.attending, layer).length > 1);
  const paired = several.find((layer) => !tooSmall(layer.size)) ?? several[0]; // rings are seen best on large patches
  const chosen = {
    view: data.attending.length ? "attention" : "fields", network: 0, image: 0, at: [0.5, 0.5],
    extra: null, key: null, keyOf: null, locked: false, layer: (paired ?? data.attending[0])?.name, beside: Boolean(paired),
    head: -1, terms: "both", soft: true, direction: "to", mass: 1, shared: true, strength: 100, parts: "all",
    gates: true, side: 16, window: 4, grid: 4, wanted: { window: 4, grid: 4 }, revealed: false,
  };
  const body = make("div", { className: "mmv-body" });
  let draw = () => {};
  const spoken = make("p", { className: "mmv-spoken", "aria-live": "polite" }); // for screen readers
  const say = (text) => (spoken.textContent = text);
  const tool = { data, chosen, body, set, move, pointAt, tokenAt, clicked, pressed, say, draw: () => draw() };

  // The focus returns to the control that had it, or goes to the one named.
  function set(changes, next = document.activeElement?.dataset?.choice) {
    Object.assign(chosen, changes);
    build();
    body.querySelector(`[data-choice="${next}"]`)?.focus();
  }

  function tokenAt([h, w]) {
    const [row, column] = [Math.floor(chosen.at[0] * h), Math.floor(chosen.at[1] * w)];
    return [Math.min(h - 1, row), Math.min(w - 1, column)];
  }

  function move(row, column, [h, w]) {
    const within = (place, side) => (Math.min(side - 1, Math.max(0, place)) + 0.5) / side;
    chosen.at = [within(row, h), within(column, w)];
    chosen.key = null;
  }

  // Point at a key of one layer, by its number; where there is none, the strongest is meant.
  function pointAt(layer, found) {
    [chosen.key, chosen.keyOf] = [found < 0 ? null : found, layer.name];
  }

  // A click locks the query where it is; one on the locked token unlocks it.
  function clicked(place, size) {
    chosen.locked = !(chosen.locked && `${place}` === `${tokenAt(size)}`);
    move(...place, size);
    draw();
  }

  function pressed(event, layer, keys = true) {
    const step = STEPS[event.key], [row, column] = tokenAt(layer.size);
    const extra = chosen.extra !== null && layer.asking?.has(layer.size[0] * layer.size[1] + chosen.extra);
    const ofKeys = keys && chosen.view === "attention" && (event.shiftKey || chosen.locked || extra);
    if (step && ofKeys) pointAt(layer, nextKey(tool, layer, step));
    else if (step && chosen.locked) say("The token is locked: Escape unlocks it.");
    else if (step) move(row + step[0], column + step[1], layer.size);
    else if (event.key === "Enter") Object.assign(chosen, { locked: !chosen.locked, ...(chosen.locked && { key: null }) });
    else if (event.key === "Escape") Object.assign(chosen, { locked: false, key: null });
    else return;
    event.preventDefault();
    draw();
  }

  function build() {
    const attends = ([name]) => data.attending.length || !["attention", "overview"].includes(name);
    const tabs = Object.entries(VIEWS).filter(attends).map(([view, [text]]) => {
      const tab = make("button", { type: "button", data: { choice: `view:${view}` }, on: { click: () => set({ view }) } }, text);
      tab.setAttribute("aria-pressed", view === chosen.view);
      return tab;
    });
    body.replaceChildren(make("nav", { className: "mmv-tabs" }, ...tabs));
    const head = chosen.view === "rule" ? null : about(tool);
    if (head) {
      body.append(make("p", { className: "mmv-hint" }, HINTS[chosen.view](chosen)), head.box);
    }
    head?.box.classList.toggle("mmv-sticky", ["overview", "fields"].includes(chosen.view)); // these are long
    const view = VIEWS[chosen.view][1](tool);
    draw = () => {
      head?.draw();
      view();
    };
    draw();
  }

  root.append(body, spoken);
  root.classList.add("mmv-alive");
  build();
}

for (const root of document.querySelectorAll(".mmv-explorer:not([data-begun])")) {
  root.dataset.begun = true; // one that fails is not tried again by the script of another
  start(root);
}
