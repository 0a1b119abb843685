// What the page carries: of each network its facts, and one bit for each pair of tokens after each
// layer, as the package's `reach` says. Nothing is worked out here.

const SIDE = 16, TOKENS = SIDE * SIDE;

async function readNetworks() {
  const letters = atob(document.querySelector("#networks").textContent);
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const networks = await new Response(stream).json();
  for (const network of networks) {
    network.seen = Uint8Array.from(atob(network.seen), (letter) => letter.charCodeAt(0));
  }
  return networks;
}

// Whether a token sees another after so many layers; after none, it sees itself.
function sees(network, layers, token, other) {
  if (!layers) return token === other;
  const bit = ((layers - 1) * TOKENS + token) * TOKENS + other;
  return (network.seen[bit >> 3] >> (bit & 7)) & 1;
}

function countSeen(network, layers, token) {
  let count = 0;
  for (let other = 0; other < TOKENS; other++) count += sees(network, layers, token, other);
  return count;
}
