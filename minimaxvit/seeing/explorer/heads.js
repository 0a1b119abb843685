// Small pictures of heads, each a button with a caption, in the view of attention and in the overview.

function makeHead(layer, head, press) {
  const [h, w] = layer.size, caption = make("span", {}, head < 0 ? "mean" : `head ${head + 1}`), most = make("span");
  const canvas = make("canvas", { width: 112, height: Math.round((112 * h) / w), data: { of: "head" } });
  const name = { choice: `head:${layer.name}:${head}` };
  const button = make("button", { type: "button", className: "mmv-head", data: name, on: { click: press } }, canvas, caption, most);
  return { button, canvas, most };
}

// The heads below a picture; a layer with a single head has nothing more to show.
function makeHeads(tool, layer) {
  const { chosen, set } = tool, numbers = layer.heads > 1 ? [-1, ...Array(layer.heads).keys()] : [];
  const heads = numbers.map((head) => makeHead(layer, head, () => set({ head })));
  const title = make("p", { className: "mmv-note" });
  const draw = (seen, range) => {
    if (!numbers.length) return;
    const more = chosen.soft ? "more weight" : "a larger logit";
    const squares = tooSmall(seen.grid) ? `a square per key, without the image; a brighter one means ${more}` : `a larger, brighter square means ${more}`;
    title.textContent = `Each head by itself (${squares}; colors from ${range.map((each) => each.toFixed(3)).join(" to ")}), with its largest value for this token; choose one to see it large:`;
    heads.forEach((head, i) => {
      drawHead(tool, seen, head, seen.line(numbers[i]), range);
      head.button.setAttribute("aria-pressed", numbers[i] === chosen.head);
    });
  };
  return { boxes: numbers.length ? [title, make("div", { className: "mmv-heads" }, ...heads.map((head) => head.button))] : [], draw };
}

// The image, pale outside the group; on each key a square, larger and brighter for more weight. Where
// patches are too small for that, the keys alone.
function drawHead(tool, seen, { canvas, most }, values, range) {
  const { grid, size, place, cells } = seen, context = canvas.getContext("2d");
  most.textContent = largest(values).toFixed(3);
  if (tooSmall(grid)) return drawKeys(tool, seen, canvas, values, range);
  drawImage(tool, canvas);
  fade(canvas, cells.map((cell) => cell.place), grid, 1);
  cells.forEach((cell, i) => {
    if (isExtra(cell.place, grid) || !Number.isFinite(values[i])) return;
    const fraction = within(values[i], range), side = 0.3 + 0.6 * Math.sqrt(fraction), rest = (1 - side) / 2;
    const [x, y, wide, tall] = patchOf(canvas, cell.place, grid);
    context.fillStyle = color(tool.data.palette, fraction);
    context.fillRect(x + wide * rest, y + tall * rest, wide * side, tall * side);
    context.strokeStyle = "rgb(255 255 255 / 70%)"; // parts dark squares from a dark image
    context.lineWidth = 1;
    context.strokeRect(x + wide * rest - 0.5, y + tall * rest - 0.5, wide * side + 1, tall * side + 1);
  });
  frameToken(canvas, place, size);
}

function tooSmall(grid) {
  return grid[1] > 20;
}

// The rows and columns of the map in which there are keys, as if there were no others.
function drawKeys({ data }, { grid, size, place, cells }, canvas, values, range) {
  const marked = cells.map((cell) => position(cell.place, grid)), [row, column] = position(place, size);
  const [rows, columns] = [0, 1].map((axis) => [...new Set(marked.map((at) => at[axis]))].sort((a, b) => a - b));
  const map = new Float64Array(rows.length * columns.length).fill(-Infinity), at = (r, c) => rows.indexOf(r) * columns.length + columns.indexOf(c);
  marked.forEach((each, i) => (map[at(...each)] = values[i]));
  drawMap(canvas, map, [rows.length, columns.length], data.palette, ...range, -Infinity);
  if (rows.includes(row) && columns.includes(column)) frameToken(canvas, at(row, column), [rows.length, columns.length]);
}
