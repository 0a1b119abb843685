// What stands in a column beside the pictures: facts in words, and the page that explores the network.

function factsOf({ parameters, macs, depth, layers, attends, why }) {
  const millions = (macs / 1e6).toFixed(1), most = layers.length;
  const seen = depth ? `after ${inWords(depth, "layer")}` : `not yet after ${inWords(most, "layer")}`;
  const told = Object.entries(why).map(([kind, text]) => `${kind}: ${text}`);
  const fixed = told.length ? [] : ["Each reads a fixed neighborhood, as convolutions do."];
  return [
    `${parameters.toLocaleString("en")} parameters; ${millions} million multiply-adds for one image; ` +
      `every token sees the whole map of ${SIDE} x ${SIDE} ${seen}.`,
    ...(attends ? [] : ["No layer attends.", ...fixed]),
    ...told,
  ].join(" ");
}

function inWords(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function trainedOn({ run, source, accuracy }) {
  const where = run ? `your run in ${run}` : "what comes with the package";
  const right = `${(100 * accuracy).toFixed(1)}% of the test images`;
  return makeElement("p", {}, `Trained on ${source}: ${where}, which classifies ${right} correctly.`);
}

function untrained({ name, attends }) {
  const command = makeElement("code", {}, `minimaxvit train --network ${name}`);
  const what = attends ? "attention maps" : "effective fields";
  return makeElement(
    "p", { className: "untrained" }, makeElement("strong", {}, "Untrained."),
    ` Its ${what} show initialization, not what it would learn. To see that, run `,
    command, ", and make this page again.");
}

function makeFacts(network) {
  const weights = network.weights ? trainedOn(network.weights) : untrained(network);
  return makeElement("div", {}, makeElement("h2", {}, network.title), makeElement("p", {}, factsOf(network)), weights);
}

function makeReach(network, pictures) {
  const there = `its map is ${network.side} x ${network.side} in the network`;
  const stage = makeElement("p", { className: "aside" }, `Layers of stage ${network.stage}; ${there}.`);
  return makeElement("div", {}, makeElement("h3", {}, network.title), stage, pictures.box);
}

// A new frame each time: another address for the old one would be a step of the browser's history.
function makeExplorer(network) {
  const frame = makeElement("iframe", { src: network.page, title: `Explore ${network.title}`, loading: "lazy" });
  const alone = makeElement("a", { href: network.page }, "by itself");
  return makeElement("div", {}, makeElement("h3", {}, network.title, " (", alone, ")"), network.weights ? "" : untrained(network), frame);
}

addEventListener("message", ({ source, data }) => {
  const told = [...document.querySelectorAll("iframe")].find((frame) => frame.contentWindow === source);
  if (told && data?.explorerHeight > 0) told.style.height = `${Math.ceil(data.explorerHeight) + 16}px`;
});
