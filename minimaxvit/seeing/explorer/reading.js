// The numbers read beside a picture, as a list of terms.

function terms([asked, other, others], soft) {
  return {
    query: asked, group: "group", keys: others, strongest: soft ? `strongest ${others}` : "largest logits", key: `dashed ${other}`, logit: "its logit",
    sum: "sum of weights", entropy: "entropy", distance: "mean distance",
  };
}

// Fill the list, and return in a sentence what is asked and what is pointed at.
function read(tool, seen, list) {
  const { chosen } = tool, roles = rolesOf(tool), names = terms(roles, chosen.soft);
  const { layer, attention, place, size, grid, cells, values, strongest, key } = seen, { s, groups } = layer.read;
  const stride = chosen.direction === "to" ? layer.stride : layer.keyStride;
  const write = (number) => number.toFixed(3), where = (i) => nameOf(cells[i].place, grid);
  const { group, asks, answers } = cells[key];
  const mean = (numbers) => average(headsOf(layer, chosen.head), (head) => numbers(head)[asks * s + answers]);
  const score = mean((head) => scoresOf(layer, attention, chosen.image, head, group));
  const bias = mean((head) => biasOf(layer, attention, head, group));
  const [row, column] = position(place, size), locked = chosen.locked ? " (locked)" : "";
  const several = chosen.head < 0 && layer.heads > 1;
  const readings = {
    query: isExtra(place, size)
      ? nameOf(place, size) + locked
      : `row ${row}, column ${column}; pixels ${row * stride} to ${(row + 1) * stride - 1} down, ` +
        `${column * stride} to ${(column + 1) * stride - 1} across${locked}`,
    group: `number ${seen.group + 1} of ${groups}${layer.pattern ? `, cut by ${layer.pattern}` : ""}`,
    keys: `${cells.length} of ${grid[0] * grid[1] + layer.extra}`,
    strongest: strongest.slice(0, 5).map((i) => `${where(i)}: ${write(values[i])}`).join("; "),
    key: `${where(key)}: ${write(values[key])}`,
    logit: logitInWords(chosen.terms, write(score), write(bias), write(score + bias)) + (several ? " (mean of the heads)" : ""),
  };
  if (chosen.soft && chosen.direction === "to") {
    const bits = entropy(values), whole = values.reduce((sum, weight) => sum + weight, 0);
    readings.sum = write(whole) + (whole < 0.9995 ? "; padding around the map has the rest" : "");
    readings.entropy = `${write(bits)} bits of ${Math.log2(cells.length).toFixed(2)}; ${(2 ** bits).toFixed(1)} effective keys${several ? " (of the mean of the heads, which is more spread out than they are)" : ""}`;
    if (!isExtra(place, size)) {
      const apart = (weights) => write(distance(layer, place, cells.map((cell) => cell.place), weights));
      readings.distance = `${apart(values)} pixels; ${apart(values.map(() => 1))} if it attended to all of them equally`;
    }
  }
  list.replaceChildren(...Object.entries(readings).flatMap(([name, text]) =>
    [make("dt", {}, names[name]), make("dd", { data: { of: name } }, text)]));
  return `${layer.name}: ${roles[0]} ${readings.query}; ${roles[1]} ${readings.key}`;
}

function logitInWords(terms, score, bias, sum) {
  if (terms === "both") return `${sum} = score ${score} + bias ${bias}`;
  return terms === "scores" ? `score ${score} alone, without its bias ${bias}` : `bias ${bias} alone, without its score ${score}`;
}
