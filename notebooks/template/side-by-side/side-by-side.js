// Which two networks are shown, and which token: by the lists, by the address, by pointer and keys.

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const SIDES = ["left", "right"];

async function start() {
  const networks = await readNetworks(), find = (name) => networks.find((network) => network.name === name);
  const lists = SIDES.map((side) => document.getElementById(side));
  const [facts, reaches, explorers] = [".facts", ".reaches .columns", ".explorers .columns"].map((of) => document.querySelector(of));
  const spoken = document.querySelector(".spoken");
  const shown = {}; // by side: the network, and its pictures
  let token = 0; // a corner, from where it takes longest

  function choose(next) {
    token = next;
    draw();
    const counts = SIDES.map((side) => shown[side].network).map((network) =>
      `${network.title} sees ${network.layers.map((_, i) => countSeen(network, i + 1, token)).join(", ")}`);
    spoken.textContent = `Row ${Math.floor(token / SIDE)}, column ${token % SIDE}: ${counts.join("; ")} of ${TOKENS}`;
  }

  function draw() {
    for (const side of SIDES) shown[side].pictures.draw(token);
  }

  function pressed(event) {
    const step = STEPS[event.key], within = (place) => Math.min(SIDE - 1, Math.max(0, place));
    if (!step) return;
    event.preventDefault();
    choose(SIDE * within(Math.floor(token / SIDE) + step[0]) + within((token % SIDE) + step[1]));
  }

  // Only the column of the network that changed is built anew.
  function show(pair) {
    pair.forEach((network, i) => {
      const side = SIDES[i];
      lists[i].value = network.name;
      if (shown[side]?.network === network) return;
      const pictures = makePictures(network, choose);
      pictures.box.addEventListener("keydown", pressed);
      shown[side] = { network, pictures };
      for (const [box, made] of [[facts, makeFacts(network)], [reaches, makeReach(network, pictures)], [explorers, makeExplorer(network)]]) {
        made.className = side;
        const before = box.querySelector(`.${side}`);
        if (before) before.replaceWith(made);
        else box.append(made);
      }
    });
    draw();
  }

  // "#compact+swin" names a pair; what it does not name is MaxViT beside Swin.
  function inAddress() {
    const named = location.hash.slice(1).split("+").map(find);
    return [named[0] ?? find("compact") ?? networks[0], named[1] ?? find("swin") ?? networks.at(-1)];
  }

  for (const list of lists) {
    list.append(...networks.map(({ name, title }) => makeElement("option", { value: name }, title)));
    list.addEventListener("change", () => (location.hash = lists.map((each) => each.value).join("+")));
  }
  addEventListener("hashchange", () => show(inAddress()));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  for (const part of document.querySelectorAll(".choices, .beside")) part.hidden = false;
  show(inAddress());
}

start();
