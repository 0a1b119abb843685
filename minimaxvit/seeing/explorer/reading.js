// The numbers read beside a picture, as a list of terms.

const TERMS = {
  query: "query", group: "group", keys: "keys", strongest: "strongest keys", key: "dashed key", logit: "its logit",
  sum: "sum of weights", entropy: "entropy", distance: "mean distance",
};

function read({ data, chosen, say }, seen, list) {
  const { layer, attention, place, size, grid, cells, values, strongest, key } = seen, { s, groups } = layer.read;
  const stride = chosen.direction === "to" ? layer.stride : layer.keyStride;
  const write = (number) => number.toFixed(3), where = (i) => nameOf(cells[i].place, grid);
  const { group, asks, answers } = cells[key];
  const mean = (numbers) => average(headsOf(layer, chosen.head), (head) => numbers(head)[asks * s + answers]);
  const score = mean((head) => scoresOf(layer, attention, chosen.image, head, group));
  const bias = mean((head) => biasOf(layer, attention, head, group));
  const [row, column] = position(place, size), locked = chosen.locked ? " (locked)" : "";
  const readings = {
    query: isExtra(place, size)
      ? nameOf(place, size) + locked
      : `row ${row}, column ${column}; pixels ${row * stride} to ${(row + 1) * stride - 1} down, ` +
        `${column * stride} to ${(column + 1) * stride - 1} across${locked}`,
    group: `${seen.group} of ${groups}${layer.pattern ? `, cut by ${layer.pattern}` : ""}`,
    keys: `${cells.length} of ${grid[0] * grid[1] + layer.extra}`,
    strongest: strongest.slice(0, 5).map((i) => `${where(i)}: ${write(values[i])}`).join("; "),
    key: `${where(key)}: ${write(values[key])}`,
    logit: `${write(score + bias)} = score ${write(score)} + bias ${write(bias)}` +
      (chosen.head < 0 && layer.heads > 1 ? " (mean of the heads)" : ""),
  };
  if (chosen.soft && chosen.direction === "to") {
    const bits = entropy(values);
    readings.sum = write(values.reduce((sum, weight) => sum + weight, 0));
    readings.entropy = `${write(bits)} bits of ${Math.log2(cells.length).toFixed(2)}; ${(2 ** bits).toFixed(1)} effective keys`;
    if (!isExtra(place, size)) {
      readings.distance = `${write(distance(layer, place, cells.map((cell) => cell.place), values))} pixels on average; ` +
        `${write(layer.even)} with uniform attention weights`;
    }
  }
  say(`${layer.name}: query ${readings.query}; key ${readings.key}`);
  list.replaceChildren(...Object.entries(readings).flatMap(([name, text]) =>
    [make("dt", {}, TERMS[name]), make("dd", { data: { of: name } }, text)]));
}
