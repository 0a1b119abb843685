// The view of the rule P * G >= H: on how many places of one axis a token depends through a block
// attention with windows of P and then a grid attention of G cells. Guess first.

const SIDES = [4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64];

function reachedOnAxis(side, window, grid, query) {
  const stride = side / grid, reached = Array(side).fill(false);
  for (let token = query % stride; token < side; token += stride) {
    const start = token - (token % window);
    reached.fill(true, start, start + window);
  }
  return reached;
}

function dividers(side) {
  return [...Array(side).keys()].map((i) => i + 1).filter((i) => side % i === 0);
}

function ruleView({ data, chosen, body, set, say }) {
  const axis = make("canvas", { width: 640, height: 60, data: { of: "axis" } });
  const result = make("p", { data: { of: "rule" } });
  const slider = (name, text, values) => {
    chosen[name] = values.findLast((value) => value <= chosen[name]) ?? values[0];
    const on = { change: () => set({ [name]: values[input.value], revealed: false }) }; // at the drag's end
    const last = values.length - 1;
    const input = make("input", { type: "range", min: 0, max: last, value: values.indexOf(chosen[name]), "aria-valuetext": chosen[name], data: { choice: name }, on });
    return make("label", {}, `${text} `, input, ` ${chosen[name]}`);
  };
  const reveal = { click: () => set({ revealed: true }) };
  body.append(
    make("p", {}, "One axis of a map, H tokens long; a block attention with windows of P tokens, then a " +
      "grid attention of G cells. On how many places does the framed token depend? Guess first."),
    make("div", { className: "mmv-controls" }, slider("side", "H", SIDES), slider("window", "P", dividers(chosen.side)), slider("grid", "G", dividers(chosen.side))),
    make("button", { type: "button", on: reveal, data: { choice: "reveal" } }, "I have guessed: show it"), axis, result,
  );
  return () => {
    const { side, window: p, grid, revealed } = chosen, size = axis.width / side, query = Math.floor(side / 2);
    const reached = reachedOnAxis(side, p, grid, query), product = `P * G = ${p} * ${grid} = ${p * grid}`;
    axis.height = Math.ceil(size);
    drawMap(axis, reached.map((each) => (revealed && !each ? null : 0.9)), [1, side], data.palette, 0, 1);
    outline(axis.getContext("2d"), query * size, 0, size, size);
    result.textContent = revealed
      ? `${product} is ${p * grid >= side ? "at least" : "less than"} H = ${side}: the framed token depends on ` +
        `${reached.filter(Boolean).length} of ${side}.`
      : `${product}, H = ${side}.`;
    say(result.textContent);
  };
}
