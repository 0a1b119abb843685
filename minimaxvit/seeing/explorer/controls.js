// Labeled controls: a choice among words, a slider, a group of them, and the legend of colors.

// `chosen` is called with the word; by its name, `data-choice`, a control gets the focus back.
function choice(name, words, now, chosen, label = name) {
  const select = make("select", { data: { choice: name }, on: { change: () => chosen(select.value) } });
  for (const [value, text] of words) select.append(make("option", { value, selected: value === now }, text));
  select.title = select.selectedOptions[0]?.textContent ?? ""; // long names are cut off
  return make("label", {}, `${label} `, select);
}

// `moved` is called with the number while it is dragged; `write` says it in words.
function slider(name, label, [min, max], now, moved, write = String) {
  const written = make("output", {}, write(now));
  const tell = () => {
    moved(+input.value);
    written.textContent = write(+input.value);
    input.setAttribute("aria-valuetext", written.textContent);
  };
  const input = make("input", { type: "range", min, max, value: now, "aria-valuetext": write(now), data: { choice: name }, on: { input: tell } });
  return make("label", {}, `${label} `, input, written);
}

function group(title, ...controls) {
  return make("fieldset", {}, make("legend", {}, title), make("div", { className: "mmv-controls" }, ...controls));
}

// What the colors mean: the palette between two numbers, and of what.
function legend({ data }) {
  const [low, high, of] = ["low", "high", "scale"].map((name) => make("span", { data: { of: name } }));
  const stops = Array.from({ length: 9 }, (_, i) => color(data.palette, i / 8));
  const bar = make("span", { className: "mmv-bar", style: `background: linear-gradient(to right, ${stops})` });
  const tell = (from, to, text) => {
    [low.textContent, high.textContent, of.textContent] = [from, to, text].map((each) => each.toFixed?.(3) ?? each);
  };
  return { box: make("p", { className: "mmv-legend" }, low, bar, high, of), tell };
}
