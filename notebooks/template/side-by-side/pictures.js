// The pictures of one network: after each layer, the map with what the chosen token sees.

const CELL = 12; // pixels of a canvas

function makeElement(tag, options = {}, ...children) {
  const element = Object.assign(document.createElement(tag), options);
  element.append(...children);
  return element;
}

// Names of classes may break where a new word begins.
function breakable(name) {
  return name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((word) => [word, document.createElement("wbr")]);
}

// `choose` is called with the number of a token that was clicked, or moved to by arrow keys.
function makePictures(network, choose) {
  const pictures = network.layers.map((layer, i) => {
    const canvas = makeElement("canvas", { width: SIDE * CELL, height: SIDE * CELL });
    const count = makeElement("span");
    const caption = makeElement("figcaption", {}, `${i + 1}. `, ...breakable(layer), makeElement("br"), count);
    canvas.addEventListener("click", (event) => choose(tokenAt(event, canvas)));
    return { canvas, count, figure: makeElement("figure", {}, canvas, caption) };
  });
  const box = makeElement("div", { className: "pictures", tabIndex: 0 }, ...pictures.map((each) => each.figure));
  box.setAttribute("role", "application");
  box.setAttribute("aria-label", `What one token of ${network.title} sees, layer after layer. Arrow keys move the token.`);
  const draw = (token) => pictures.forEach(({ canvas, count }, i) => {
    drawSeen(canvas, network, i + 1, token);
    count.textContent = `${countSeen(network, i + 1, token)} of ${TOKENS}`;
  });
  return { box, draw };
}

function tokenAt(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const place = (at, length) => Math.min(SIDE - 1, Math.max(0, Math.floor((SIDE * at) / length)));
  return SIDE * place(event.clientY - box.top, box.height) + place(event.clientX - box.left, box.width);
}

function drawSeen(canvas, network, layers, token) {
  const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
  for (let other = 0; other < TOKENS; other++) {
    const kind = sees(network, layers - 1, token, other) ? "before" : sees(network, layers, token, other) ? "new" : "unseen";
    context.fillStyle = style.getPropertyValue(`--${kind}`);
    context.fillRect((other % SIDE) * CELL, Math.floor(other / SIDE) * CELL, CELL - 1, CELL - 1); // a gap between cells
  }
  const corner = [(token % SIDE) * CELL, Math.floor(token / SIDE) * CELL];
  for (const [color, inset] of [["#fff", 0], ["#000", 2]]) { // stands out on any color
    context.strokeStyle = color;
    context.lineWidth = 2;
    context.strokeRect(corner[0] + inset, corner[1] + inset, CELL - 1 - 2 * inset, CELL - 1 - 2 * inset);
  }
}
