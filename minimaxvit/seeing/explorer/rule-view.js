// The view of the rule P * G >= H: on how many places of one axis a token depends through a block
// attention with windows of P and then a grid attention of G cells. Guess first.

const SIDES = [4, 6, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64];

// The tokens to which a token attends in the grid, one in each cell, and those that stand with one
// of them in a window.
function reachedOnAxis(side, window, grid, query) {
  const stride = side / grid, attended = Array(side).fill(false), reached = Array(side).fill(false);
  for (let token = query % stride; token < side; token += stride) {
    const start = token - (token % window);
    attended[token] = true;
    reached.fill(true, start, start + window);
  }
  return { attended, reached };
}

function dividers(side) {
  return [...Array(side).keys()].map((i) => i + 1).filter((i) => side % i === 0);
}

function ruleView({ data, chosen, body, say }) {
  const wide = body.clientWidth > 600;
  const last = makeAxis("attended", "Grid attention, the last step: the framed token attends to one token in each cell, at the same place (red lines separate the G cells).", wide);
  const first = makeAxis("axis", "Block attention, the step before: each of those tokens has already gathered its window (red lines separate the windows of P tokens).", wide);
  const result = make("p", { data: { of: "rule" } });
  const reveal = make("button", { type: "button", data: { choice: "reveal" }, on: { click: () => change({ revealed: true }) } }, "Show the answer");
  const possible = { side: () => SIDES, window: () => dividers(chosen.side), grid: () => dividers(chosen.side) };
  const sliders = Object.entries({ side: "H, tokens", window: "P, tokens in a window", grid: "G, cells of the grid" }).map(([name, text]) => {
    const value = (i) => `${possible[name]()[i]}`;
    const moved = (i) => change({ [name]: possible[name]()[i], revealed: false });
    return { name, box: slider(name, text, [0, 64], 0, moved, value) };
  });
  for (const { canvas } of [last, first]) {
    const frameAt = (token) => change({ at: [chosen.at[0], (Math.min(chosen.side - 1, Math.max(0, token)) + 0.5) / chosen.side] });
    canvas.addEventListener("pointermove", (event) => frameAt(cellAt(event, canvas, [1, chosen.side])[1]));
    canvas.addEventListener("keydown", (event) => {
      const step = STEPS[event.key]?.[1];
      if (!step) return;
      event.preventDefault();
      frameAt(Math.floor(chosen.side * chosen.at[1]) + step);
    });
  }

  // Values that do not divide the side give way to the next smaller ones that do, while it stays.
  function change(changes) {
    Object.assign(chosen, changes);
    for (const name of ["window", "grid"]) if (name in changes) chosen.wanted[name] = changes[name];
    for (const { name, box } of sliders) {
      const values = possible[name](), input = box.querySelector("input");
      chosen[name] = values.findLast((value) => value <= (chosen.wanted[name] ?? chosen[name])) ?? values[0];
      input.max = values.length - 1;
      input.value = values.indexOf(chosen[name]);
      box.querySelector("output").textContent = chosen[name];
      input.setAttribute("aria-valuetext", chosen[name]);
    }
    draw();
  }

  function draw() {
    const { side, window: p, grid, revealed } = chosen, query = Math.min(side - 1, Math.floor(side * chosen.at[1]));
    const { attended, reached } = reachedOnAxis(side, p, grid, query), product = `P * G = ${p} * ${grid} = ${p * grid}`;
    const show = (axis, found, every) => drawAxis(axis, found.map((each) => revealed && each), every, query, data.palette);
    show(last, attended, side / grid);
    show(first, reached, p);
    const number = reached.filter(Boolean).length, found = number < side ? `only ${number} of ${side} tokens` : `all ${side} tokens`;
    result.textContent = revealed
      ? `${product} is ${p * grid >= side ? "at least" : "less than"} H = ${side}, and the framed token depends on ${found}.`
      : `${product}, H = ${side}.`;
    say(result.textContent);
  }

  body.append(
    make("p", { className: "mmv-hint" }, "Move the sliders and guess: on how many tokens does the framed one depend?"),
    make("p", {}, "One axis of a map is H tokens long. A block attention with windows of P tokens is followed by a grid attention of G cells. " +
      "Point at a token to frame it (or Tab to the row, and use the arrow keys)."),
    make("div", { className: "mmv-controls" }, ...sliders.map(({ box }) => box), reveal),
    last.figure, first.figure, result,
  );
  change({});
  return draw;
}
