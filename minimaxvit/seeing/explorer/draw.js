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

// Fill cells of a canvas from numbers between low and high; what is null is hatched.
function drawMap(canvas, values, [h, w], palette, low, high) {
  const context = canvas.getContext("2d"), size = canvas.width / w, hatching = new Path2D(), empty = ground();
  const small = new OffscreenCanvas(w, h), image = new ImageData(w, h); // one pixel per cell: fast
  for (let i = 0; i < h * w; i++) {
    const x = (i % w) * size, y = Math.floor(i / w) * size;
    if (values[i] === null) {
      image.data.set([...empty, 255], 4 * i);
      hatching.moveTo(x, y + size);
      hatching.lineTo(x + size, y);
    } else {
      const from = 3 * step(high > low ? (values[i] - low) / (high - low) : 0);
      image.data.set([palette[from], palette[from + 1], palette[from + 2], 255], 4 * i);
    }
  }
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "#999";
  context.lineWidth = 1;
  context.stroke(hatching); // all at once: many small strokes are slow
}

// Of lists longer than a call may have arguments.
function largest(values) {
  return values.reduce((most, value) => Math.max(most, value), -Infinity);
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
