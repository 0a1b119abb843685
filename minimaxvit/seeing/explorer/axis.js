// One axis of a map as a row of tokens, with lines between those that belong together.

function makeAxis(of, text, wide) {
  const canvas = make("canvas", { width: wide ? 960 : 480, height: 72, tabIndex: 0, role: "application", "aria-label": `${text} Left and right arrow keys frame another token.`, data: { of } });
  return { canvas, figure: make("figure", {}, make("figcaption", {}, text), canvas) };
}

// Tokens are filled or not, numbered where there is room, and parted by thick lines after every so
// many; the token asked about is framed.
function drawAxis({ canvas }, filled, every, query, palette) {
  const context = canvas.getContext("2d"), side = filled.length, size = canvas.width / side, { height } = canvas;
  context.font = `${Math.min(22, size / 2)}px system-ui, sans-serif`;
  [context.textAlign, context.textBaseline] = ["center", "middle"];
  filled.forEach((each, i) => {
    context.fillStyle = each ? color(palette, 0.9) : "#ccc";
    context.fillRect(i * size, 0, size, height);
    context.fillStyle = "#000";
    if (size >= 24) context.fillText(i, (i + 0.5) * size, height / 2);
  });
  const line = (at, style, width) => {
    context.fillStyle = style;
    context.fillRect(at * size - width / 2, 0, width, height);
  };
  for (let at = 1; at < side; at++) line(at, "#777", 1);
  for (let at = 0; at <= side; at += every) {
    line(at, "#fff", Math.min(12, size / 3));
    line(at, "#c00", Math.min(6, size / 6));
  }
  frame(context, [query * size, 8, size, height - 16]);
}
