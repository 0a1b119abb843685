// Above every view but the rule's: the plain image with the query framed, and what is made of it.

function about(tool) {
  const { data, chosen, set } = tool, [H, W] = data.side, zoom = Math.max(1, Math.round(192 / W));
  const image = make("canvas", {
    width: W * zoom, height: H * zoom, tabIndex: 0, role: "application", data: { of: "image" },
    "aria-label": "The plain image. Arrow keys move the framed token, Enter locks it, Escape unlocks it.",
  });
  const layer = data.attending.find((each) => each.name === chosen.layer) ?? data.layers[0], { size } = layer;
  image.addEventListener("pointermove", (event) => {
    if (chosen.locked) return;
    tool.move(...cellAt(event, image, size), size);
    tool.draw();
  });
  image.addEventListener("click", (event) => tool.clicked(cellAt(event, image, size), size));
  image.addEventListener("keydown", (event) => tool.pressed(event, layer, false));

  const numbered = (list) => list.map((text, i) => [i, text]);
  const images = numbered(data.images.map((each) => each.name)), networks = numbered(data.networks.map((network) => network.label));
  const several = (name, words) =>
    words.length > 1 ? choice(name, words, chosen[name], (i) => set({ [name]: +i })) : make("span", {}, `${name}: ${words[0][1]}`);
  const top = data.networks[chosen.network].predictions[chosen.image].slice(0, 3);
  const said = top.map(([name, probability]) => `${name} ${(100 * probability).toFixed(1)}%`).join(", ");
  const classes = `Whatever the image shows, the network answers with ${data.answers}.`;
  const choosing = chosen.view === "attention" ? `, Shift + arrow chooses a ${rolesOf(tool)[1]}` : "";
  const free = make("span", {}, `A click or tap on a patch locks it. Without a mouse: Tab to a picture, arrow keys move, Enter locks${choosing}.`);
  const state = make("span"), locked = make("span", {}, state, " ");
  const unlock = make("button", { type: "button", data: { choice: "unlock" }, on: { click: () => set({ locked: false, key: null }) } }, "unlock");
  const box = make(
    "div", { className: "mmv-about" }, image,
    make("div", {}, several("image", images), several("network", networks), make("span", { data: { of: "prediction" } }, `prediction: ${said}`),
      data.classes
        ? make("details", { className: "mmv-note" }, make("summary", {}, classes), data.classes.join(", "))
        : make("span", { className: "mmv-note" }, classes),
      // Both lie in one place, so that nothing moves under the pointer when one takes the other's.
      make("div", { className: "mmv-note mmv-stack", data: { of: "lock" } }, free, locked)),
  );
  locked.append(unlock);
  const draw = () => {
    const [row, column] = tool.tokenAt(size);
    drawImage(tool, image);
    frameToken(image, row * size[1] + column, size);
    const where = chosen.extra === null ? `row ${row}, column ${column} of ${size.join(" x ")}` : `extra token ${chosen.extra + 1}`;
    state.textContent = `Locked at ${where}. Escape unlocks it, as does a click or tap on it.`;
    [free.style.visibility, locked.style.visibility] = chosen.locked ? ["hidden", "visible"] : ["visible", "hidden"];
  };
  return { box, draw };
}
