// The image on a canvas, and marks on it that leave its patches visible.

// The pixels of an image on a small canvas of their own, made once.
function pixelsOf(image, [H, W]) {
  if (!image.canvas) {
    const pixels = new ImageData(W, H);
    for (let i = 0; i < H * W; i++) pixels.data.set([...image.pixels.subarray(3 * i, 3 * i + 3), 255], 4 * i);
    image.canvas = new OffscreenCanvas(W, H);
    image.canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
  return image.canvas;
}

function drawImage({ data, chosen }, canvas) {
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(pixelsOf(data.images[chosen.image], data.side), 0, 0, canvas.width, canvas.height);
}

// Where the patch of a token is on a canvas: x, y, width, height.
function patchOf(canvas, place, size) {
  const [row, column] = position(place, size), [wide, tall] = [canvas.width / size[1], canvas.height / size[0]];
  return [column * wide, row * tall, wide, tall];
}

// Let all but these patches fade into the background of the page.
function fade(canvas, places, size, strength) {
  const context = canvas.getContext("2d"), path = new Path2D();
  path.rect(0, 0, canvas.width, canvas.height);
  for (const place of new Set(places)) if (!isExtra(place, size)) path.rect(...patchOf(canvas, place, size));
  context.fillStyle = `rgb(${ground().join(" ")} / ${65 * strength}%)`;
  context.fill(path, "evenodd");
}

// A ring just inside a patch, the thicker the larger the fraction, with a light rim that parts dark
// rings from dark images; the middle stays as it is.
function ring(context, [x, y, wide, tall], style, fraction) {
  const thick = Math.min(wide, tall) * (0.06 + 0.16 * Math.sqrt(fraction));
  context.strokeStyle = style;
  context.lineWidth = thick;
  context.strokeRect(x + thick / 2, y + thick / 2, wide - thick, tall - thick);
  context.strokeStyle = "rgb(255 255 255 / 70%)";
  context.lineWidth = 1;
  context.strokeRect(x + thick + 0.5, y + thick + 0.5, wide - 2 * thick - 1, tall - 2 * thick - 1);
}

// A frame around a patch, black on white, so that it shows on any image and leaves the patch free.
function frame(context, [x, y, wide, tall], dashes = []) {
  const thick = Math.min(4, Math.max(1, Math.round(Math.min(wide, tall) / 7))), rim = thick / 2 + 1;
  const { width, height } = context.canvas;
  const [left, top] = [Math.max(rim, x - thick / 2), Math.max(rim, y - thick / 2)];
  const right = Math.min(width - rim, x + wide + thick / 2), bottom = Math.min(height - rim, y + tall + thick / 2);
  for (const [style, line, dash] of [["#fff", thick + 2, []], ["#000", thick, dashes]]) {
    context.strokeStyle = style;
    context.lineWidth = line;
    context.setLineDash(dash);
    context.strokeRect(left, top, right - left, bottom - top);
  }
  context.setLineDash([]);
}

// Frame a token of a map over the whole canvas; an extra token has no place there.
function frameToken(canvas, place, size, dashes) {
  if (!isExtra(place, size)) frame(canvas.getContext("2d"), patchOf(canvas, place, size), dashes);
}
