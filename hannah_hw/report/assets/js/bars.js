/* A bar for every kernel; of two candidates, the bars of kernels of one name beside each other. */

/** Rows of kernels of one or two candidates: by name, or by order where names are kinds with a position. */
function matchKernels(lists) {
  const numbered = lists.every((list) => list.every((kernel, i) => String(kernel.name).endsWith(`_${i}`)));
  return lists.length > 1 && numbered ? matchByOrder(...lists) : matchByName(lists);
}

/** The longest common sequence of kinds, and between its members what one of the two has alone. */
function matchByOrder(a, b) {
  const longest = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  const alike = (i, j) => a[i].kind === b[j].kind;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1)
      longest[i][j] = alike(i, j) ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const rows = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && alike(i, j)) {
      const [one, other] = [String(a[i].name), String(b[j].name)];
      const name = one === other ? one : `${one} / ${other.slice(other.lastIndexOf("_") + 1)}`;
      rows.push({ name, of: [a[i++], b[j++]] });
    } else if (j >= b.length || (i < a.length && longest[i + 1][j] >= longest[i][j + 1]))
      rows.push({ name: String(a[i].name), of: [a[i++]] });
    else rows.push({ name: String(b[j].name), of: [undefined, b[j++]] });
  }
  return rows;
}

/** In the order of the first candidate, those of the second alone where they follow. */
function matchByName(lists) {
  const rows = lists[0].map((kernel) => ({ name: String(kernel.name), of: [kernel] }));
  const at = new Map(rows.map((row, index) => [row.name, index]));
  let after = -1;
  const inserted = rows.map(() => []);
  const first = [];
  for (const kernel of lists[1] || []) {
    const found = at.get(String(kernel.name));
    if (found !== undefined && rows[found].of.length === 1) {
      rows[found].of.push(kernel);
      after = found;
    } else (after < 0 ? first : inserted[after]).push({ name: String(kernel.name), of: [undefined, kernel] });
  }
  return [...first, ...rows.flatMap((row, index) => [row, ...inserted[index]])];
}

/** What a bar says of its kernel. */
function kernelFacts(kernel, candidate, { key, unit, parts, measured }) {
  const seen = measured(candidate)[kernel.name];
  return [
    String(kernel.name),
    [kernel.kernel_class || kernel.kind, kernel.macs !== undefined ? `${show(kernel.macs, "")} MACs` : ""]
      .filter(Boolean)
      .join(", "),
    `${kernel.source || "estimated"} ${show(kernel[key], unit)}` +
      (key === "latency_s" ? `, ${band(kernel.error)}` : ""),
    ...Object.entries(kernel[parts] || {})
      .filter(([, part]) => part > 0)
      .map(([name, part]) => `${name.replaceAll("_", " ")}: ${show(part, unit === "J" ? "J" : "")}`),
    seen ? `${candidate.emulated.source} ${show(seen, unit)} (estimate ${signed(kernel[key] / seen - 1)})` : "",
  ];
}

/** Sizes of a drawing of so many rows: of rows and bars, what names take at the left and values at the right. */
function barSizes(count, pair, width) {
  const row = pair ? 32 : 19;
  const left = Math.round(Math.min(178, 0.36 * width)),
    right = Math.round(Math.min(pair ? 120 : 96, 0.28 * width));
  return { row, bar: pair ? 11 : 13, left, right, top: 6, width, bottom: 6 + row * count, height: 30 + row * count };
}

/**
 * The drawing. `what` has the `key` of the kernels' values, their `unit`, the key of their `parts`, a `label`, and
 * `measured`: candidate -> values by kernel that were measured.
 */
function kernelBars(candidates, lists, what, width) {
  const { key, unit, parts, label, measured } = what;
  const rows = matchKernels(lists),
    sizes = barSizes(rows.length, lists.length > 1, width),
    { row, left, right, top, bottom, height } = sizes;
  const short = shorten(rows.map((each) => each.name)),
    letters = Math.floor((left - 10) / 6.2);
  const names = lists.length > 1 ? [] : partNames(lists[0], parts);
  const totals = lists.map((list) => list.reduce((sum, k) => sum + k[key], 0));
  const reach = (kernel, i) =>
    Math.max(kernel[key] * (1 + errorOn(kernel, key)), measured(candidates[i])[kernel.name] || 0);
  const high = Math.max(...lists.flatMap((list, i) => list.map((kernel) => reach(kernel, i))));
  const drawing = plot(height, label, width);
  drawing.setAttribute("role", "group");
  const x = linear(0, high, left, width - right, unit, Math.round((width - left - right) / 80));
  for (const [mark, at] of x.marks) {
    drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
    drawing.append(text(at, height - 8, mark, { "text-anchor": "middle" }));
  }
  drawing.append(text(width - 4, height - 8, x.name, { "text-anchor": "end", class: "strong" }));
  rows.forEach(({ name, of }, index) => {
    const y = top + index * row,
      middle = y + row / 2 + 4;
    const title = text(left - 8, middle, short(name, letters), { "text-anchor": "end", class: "strong" });
    title.append(svg("title", {}, name));
    const bars = of.map((kernel, i) => kernel && kernelBar(kernel, candidates[i], i, y, { what, sizes, x, names }));
    const end = Math.max(left, ...bars.filter(Boolean).map((drawn) => drawn.end));
    drawing.append(title, ...bars.filter(Boolean).map((drawn) => drawn.node));
    drawing.append(text(end + 6, middle, rowLabel(of, what, totals), {}));
  });
  return { drawing, names, totals };
}

/** The bar of one kernel, its error, and what was measured of it; with how far all that reaches. */
function kernelBar(kernel, candidate, side, y, { what, sizes, x, names }) {
  const { key, unit, parts, measured } = what,
    { row, bar, left } = sizes,
    pair = row > 2 * bar;
  const from = y + 3 + (pair ? side * (bar + 2) : 0);
  const whose = pair ? `${SIDES[side]}, ` : "";
  const node = svg("g", { class: pair ? `of-${SIDES[side].toLowerCase()}` : "", role: "img" });
  node.setAttribute("aria-label", `${whose}${kernel.name}, ${show(kernel[key], unit)}`);
  node.append(stack(x, left, from, bar, kernel[key], kernel[parts], names));
  tips.add(node, () => kernelFacts(kernel, candidate, what));
  let end = whiskers(node, x, from + bar / 2, kernel[key], errorOn(kernel, key));
  const seen = measured(candidate)[kernel.name];
  if (seen) {
    const at = x.at(seen);
    node.append(svg("line", { class: "emulated", x1: at, x2: at, y1: from - 1, y2: from + bar + 1 }));
    end = Math.max(end, at);
  }
  return { node, end };
}

/** The relative error of a kernel's value, 0 where it is not known. */
function errorOn(kernel, key) {
  return key === "latency_s" && kernel.error ? kernel.error : 0;
}

/** Draw the error of a bar; how far everything reaches. */
function whiskers(node, x, middle, value, error) {
  if (!error) return x.at(value);
  const [a, b] = [x.at(value * (1 - error)), x.at(value * (1 + error))];
  node.append(svg("path", { class: "whisker", d: `M${a} ${middle}H${b}M${a} ${middle - 3}v6M${b} ${middle - 3}v6` }));
  return Math.max(x.at(value), b);
}

function rowLabel(of, { key, unit }, totals) {
  const values = of.map((kernel) => kernel && kernel[key]);
  if (totals.length === 1) return `${show(values[0], unit)}, ${number((100 * values[0]) / totals[0], 2)} %`;
  if (values[0] === undefined) return `B alone, ${show(values[1], unit)}`;
  if (values[1] === undefined) return `A alone, ${show(values[0], unit)}`;
  return values[0] === values[1]
    ? `${show(values[0], unit)}, same`
    : `${show(values[1] - values[0], unit)}`.replace(/^(?!-)/, "+");
}

/** Fill a card with bars; the kernels that have the value, by shown candidate, or null where one has none. */
function drawBars(id, what, otherwise) {
  const candidates = shownCandidates();
  const lists = candidates.map((c) =>
    ((c.cost && c.cost.kernels) || []).filter((k) => typeof k[what.key] === "number"),
  );
  const having = candidates.filter((_, i) => lists[i].length);
  if (!having.length) {
    nothing(id, candidates.length && candidates[0].cost ? otherwise : missing(candidates[0]));
    return null;
  }
  const kept = lists.filter((list) => list.length);
  const { drawing, names, totals } = kernelBars(having, kept, what, widthIn(id));
  const key = having.length > 1 ? [sidesLegend(having)] : [];
  const lacking =
    having.length < candidates.length
      ? [put("p", { class: "note" }, missing(candidates.find((c) => !having.includes(c))))]
      : [];
  document.getElementById(id).replaceChildren(...key, drawing, ...legend(names), ...lacking);
  rove(document.getElementById(id));
  return { candidates: having, lists: kept, totals };
}

function sidesLegend(candidates) {
  const marks = candidates.map((candidate, i) =>
    put("span", { class: `key-${SIDES[i].toLowerCase()}` }, put("i", {}), ` ${SIDES[i]}: ${candidate.id}`),
  );
  return put("p", { class: "legend" }, ...marks, put("span", {}, "right: B less A"));
}

const LATENCY = {
  key: "latency_s",
  unit: "s",
  parts: "cycle_parts",
  label: "Latency of every kernel",
  measured: (candidate) => (candidate.emulated && candidate.emulated.kernels) || {},
};
const ENERGY = {
  key: "energy_j",
  unit: "J",
  parts: "energy_parts_j",
  label: "Energy of every kernel",
  measured: () => ({}),
};

/** Sums of the sides in words. */
function sums(totals, unit) {
  if (totals.length === 1) return `Sum ${show(totals[0], unit)}`;
  return `Sums: A ${show(totals[0], unit)}, B ${show(totals[1], unit)} (${signed(totals[1] / totals[0] - 1)})`;
}

function drawLatency() {
  hideUnless("card-latency", () => true);
  const drawn = drawBars("latency", LATENCY, "The target's cost model does not tell kernels apart.");
  if (!drawn) return;
  const kernels = drawn.lists.flat();
  const sources = [...new Set(kernels.map((k) => k.source).filter(Boolean))];
  const errors = kernels.map((k) => k.error).filter((e) => typeof e === "number");
  const range = errors.length
    ? ` Error bands: ± ${number(100 * Math.min(...errors), 2)} to ${number(100 * Math.max(...errors), 2)} %.`
    : " Error not known.";
  const measured = drawn.candidates.find((c) => Object.keys(LATENCY.measured(c)).length);
  document.getElementById("latency-note").textContent =
    `${sums(drawn.totals, "s")}. Source: ${sources.join(", ") || "not given"}.${range}` +
    (measured ? ` Upright lines: ${measured.emulated.source}.` : "");
}

function drawEnergy() {
  hideUnless("card-energy", (cost) => cost.kernels.some((k) => typeof k.energy_j === "number"));
  const drawn = drawBars("energy", ENERGY, "The target's description does not give the energy of kernels.");
  if (!drawn) return;
  const figure = figureOf(drawn.candidates[0], "energy_j"),
    rests = drawn.candidates.map((c, i) => (estimateOf(c, "energy_j") || 0) - drawn.totals[i]);
  const flows = rests.some((rest, i) => rest > 1e-6 * drawn.totals[i]);
  document.getElementById("energy-note").textContent =
    sums(drawn.totals, "J") +
    (flows ? `, and ${rests.map((rest) => show(rest, "J")).join(" and ")} that flow whatever is computed.` : ".") +
    (figure && figure.note ? ` ${figure.note}.` : "");
}

store.on(drawLatency, "selected", "compared", "version");
store.on(drawEnergy, "selected", "compared", "version");
