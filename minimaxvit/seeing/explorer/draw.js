// Small helpers to make elements and to draw maps of numbers.

function make(tag, options = {}, ...children) {
  const { on = {}, data = {}, ...rest } = options;
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  Object.assign(element.dataset, data);
  for (const [event, listener] of Object.entries(on)) element.addEventListener(event, listener);
  element.append(...children);
  return element;
}

function step(fraction) {
  return Math.round(255 * Math.min(1, Math.max(0, fraction)));
}

function color(palette, fraction) {
  const from = 3 * step(fraction);
  return `rgb(${palette[from]}, ${palette[from + 1]}, ${palette[from + 2]})`;
}

// The background of the page, in red, green and blue.
function ground() {
  return matchMedia("(prefers-color-scheme: dark)").matches ? [27, 27, 27] : [255, 255, 255];
}

// Fill cells of a canvas from numbers between low and high; what is `blank` is hatched.
function drawMap(canvas, values, [h, w], palette, low, high, blank) {
  const small = new OffscreenCanvas(w, h), image = new ImageData(w, h), bytes = image.data; // one pixel per cell: fast
  for (let i = 0; i < h * w; i++) {
    if (values[i] === blank) continue; // stays transparent
    const from = 3 * step(high > low ? (values[i] - low) / (high - low) : 0);
    for (let part = 0; part < 3; part++) bytes[4 * i + part] = palette[from + part];
    bytes[4 * i + 3] = 255;
  }
  small.getContext("2d").putImageData(image, 0, 0);
  hatch(canvas, Math.max(canvas.width / w, 6));
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}


// Diagonal lines all over a canvas, so far apart.
function hatch(canvas, apart) {
  const context = canvas.getContext("2d"), { width, height } = canvas;
  context.fillStyle = `rgb(${ground().join(" ")})`;
  context.fillRect(0, 0, width, height);
  context.beginPath();
  for (let x = apart; x < width + height; x += apart) {
    context.moveTo(x, 0);
    context.lineTo(x - height, height);
  }
  context.strokeStyle = "#999";
  context.lineWidth = 1;
  context.stroke();
}

function largest(values) {
  let most = -Infinity; // lists are longer than a call may have arguments
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

function smallest(values) {
  return -largest(values.map((value) => -value));
}

// The [row, column] of the cell under the pointer, of h by w.
function cellAt(event, canvas, [h, w]) {
  const box = canvas.getBoundingClientRect();
  const within = (fraction, side) => Math.min(side - 1, Math.max(0, Math.floor(fraction * side)));
  return [within((event.clientY - box.top) / box.height, h), within((event.clientX - box.left) / box.width, w)];
}
