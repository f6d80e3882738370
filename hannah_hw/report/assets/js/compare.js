/* Two candidates beside each other: which they are, their figures, and the parameters that differ. */

const SIDES = ["A", "B"];
/** Most of the picked candidates that a list of choices begins with. */
const MOST_PICKED = 50;
const INTERVALS =
  "Intervals: of errors, 95 % for the number of samples; of estimates, the band of their cost model, much of which" +
  " both candidates share where one model priced them. Ticks: what was measured beside an estimate.";

/** The candidate that the selected one is compared with, or null. */
function comparedCandidate() {
  const { selected, compared } = store.get();
  return compared === selected ? null : byId.get(compared) || null;
}

/** The candidates whose details are shown: the selected one, and the other one of a comparison. */
function shownCandidates() {
  return [chosenCandidate(), comparedCandidate()].filter(Boolean);
}

/** A candidate in a list of choices: its id and its objectives. */
function inWords(candidate) {
  const goals = run.objectives.map((o) => axes.get(o.key)).filter((axis) => axis && axis.key in candidate.values);
  return [candidate.id, ...goals.map((axis) => `${axis.label} ${show(candidate.values[axis.key], axis.unit)}`)].join(
    ", ",
  );
}

/** What begins a comparison, and ends it. */
function compareControls() {
  const { selected, compared, picked } = store.get();
  const select = put("select", { id: "compare-with" }, put("option", { value: "" }, "nothing"));
  const first = picked.slice(0, MOST_PICKED).map((id) => byId.get(id));
  const offered = [...new Set([...first, ...front])].filter((c) => c && c.id !== selected);
  const other = comparedCandidate();
  if (other && !offered.includes(other)) offered.unshift(other);
  for (const candidate of offered) select.append(put("option", { value: candidate.id }, inWords(candidate)));
  select.value = other ? compared : "";
  select.addEventListener("change", () => {
    store.set({ compared: select.value || null });
    document.getElementById("compare-with").focus();
  });
  const keep = put("button", { type: "button", class: "plain", id: "compare-keep" }, "Keep, and choose another");
  keep.addEventListener("click", () => {
    store.set({ compared: selected });
    document.getElementById("compare-keep").focus();
  });
  const waiting = compared === selected && selected !== null;
  const row = put("div", { class: "compare-controls" }, put("label", {}, "compare with ", select), " ", keep);
  if (waiting) row.append(put("p", { class: "note", role: "status" }, "Kept. Choose the one to compare it with."));
  return row;
}

/** Which of two values an objective prefers: 0, 1, or -1 where neither is. */
function betterOf(axis, values) {
  const goal = run.objectives.find((o) => o.key === axis.key);
  const direction = goal
    ? goal.direction
    : { error: "min" }[axis.key] || (axis.unit && axis.unit !== "%" ? "min" : "");
  if (!direction || values[0] === values[1]) return -1;
  return values[0] < values[1] === (direction === "min") ? 0 : 1;
}

/** What the difference of two values is worth beside their errors; of measurements, where estimates have none. */
function verdict(pair, key) {
  const intervals = pair.map((candidate) => intervalOf(candidate, key));
  if (intervals.every(Boolean)) return apart(...intervals);
  const measured = pair.map((candidate) => measuredIntervalOf(candidate, key));
  return measured.every(Boolean) ? `as ${pair[0].emulated.source}: ${apart(...measured)}` : "error not known";
}

function apart(a, b) {
  if (a[0] === a[1] && b[0] === b[1]) return "exact";
  return a[0] <= b[1] && b[0] <= a[1] ? "intervals overlap" : "intervals are apart";
}

/** The intervals of both below each other, with the values, and ticks where something was measured beside them. */
function intervalPicture(pair, axis) {
  const found = pair.map((candidate) => intervalOf(candidate, axis.key));
  if (!found.every((interval) => interval && interval[1] > interval[0])) return "";
  const seen = pair.map((candidate) => measuredOf(candidate, axis.key));
  const ends = [...found.flat(), ...seen.filter((value) => value !== undefined)];
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const x = (value) => 4 + (152 * (value - low)) / (high - low);
  const label = `${axis.label}: ${found.map((interval, i) => `${SIDES[i]} ${span(interval, axis.unit)}`).join(", ")}`;
  const picture = svg("svg", { class: "plot row", width: 160, height: 22, role: "img", "aria-label": label });
  picture.append(svg("title", {}, label));
  found.forEach((interval, i) => {
    const y = 6 + 10 * i,
      [a, b] = interval.map(x);
    const side = svg("g", { class: `side-${SIDES[i].toLowerCase()}` });
    side.append(svg("path", { class: "reach", d: `M${a} ${y}H${b}M${a} ${y - 3}v6M${b} ${y - 3}v6` }));
    side.append(svg("circle", { cx: x(pair[i].values[axis.key]), cy: y, r: 3 }));
    if (seen[i] !== undefined && !isDecided(pair[i], axis.key))
      side.append(svg("path", { class: "emulated", d: `M${x(seen[i])} ${y - 5}v10` }));
    picture.append(side);
  });
  return picture;
}

function figureTable(pair) {
  const heads = ["", ...SIDES.map((side, i) => `${side} ${pair[i].id}`), "B against A", "errors"];
  const body = put("tbody", {});
  for (const axis of run.axes) {
    const values = pair.map((candidate) => candidate.values[axis.key]);
    if (values.every((value) => value === undefined)) continue;
    const known = values.every((value) => value !== undefined);
    const better = known ? betterOf(axis, values) : -1;
    const cells = pair.map((candidate, i) => {
      const cell = sourced(candidate, axis.key, "td", { class: better === i ? "number better" : "number" });
      const estimate = estimateOf(candidate, axis.key),
        measured = measuredOf(candidate, axis.key);
      const error = errorOf(candidate, axis.key);
      if (error !== null && !isDecided(candidate, axis.key)) cell.append(` ${band(error)}`);
      if (measured !== undefined)
        cell.append(put("div", { class: "note" }, besideMeasured(candidate, axis, estimate, measured)));
      return cell;
    });
    const change = known && values[0] ? signed(values[1] / values[0] - 1) : "-";
    body.append(
      put(
        "tr",
        {},
        put("th", { scope: "row" }, axis.label),
        ...cells,
        put("td", { class: "number" }, known && values[0] === values[1] ? "same" : change),
        put("td", {}, known ? verdict(pair, axis.key) : "", known ? intervalPicture(pair, axis) : ""),
      ),
    );
  }
  const head = put("thead", {}, put("tr", {}, ...heads.map((title) => put("th", { scope: "col" }, title))));
  return put("table", { id: "compared-figures" }, head, body);
}

/** Estimate against measurement, whichever of the two is the value. */
function besideMeasured(candidate, axis, estimate, measured) {
  const off = signed(estimate / measured - 1);
  if (isDecided(candidate, axis.key))
    return `estimate ${show(estimate, axis.unit)} ${band(errorOf(candidate, axis.key))}, ${off}`;
  const seen = `${show(measured, axis.unit)} ${band(measuredErrorOf(candidate, axis.key))}`;
  return `${candidate.emulated.source} ${seen}, estimate ${off}`;
}

/** The value of a parameter as a person reads it; those of searched hardware have units. */
function parameterText(name, value) {
  const hardware = run.hardware.find((h) => h.id === name);
  return hardware && hardware.unit && typeof value === "number" ? show(value, hardware.unit) : String(value);
}

function parameterTable(pair) {
  const [a, b] = pair.map((candidate) => candidate.assignment);
  if (!a || !b) return put("p", { class: "note" }, "The parameters of one of them are in candidates.jsonl alone.");
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  const differ = names.filter((name) => a[name] !== b[name]);
  const summary = `${differ.length} of ${names.length} parameters differ.`;
  if (!differ.length) return put("p", { class: "note" }, summary);
  const short = shorten(names);
  const rows = differ.map((name) => {
    const head = put("th", { scope: "row", title: name }, short(name, 60));
    return put(
      "tr",
      {},
      head,
      ...[a, b].map((side) => put("td", {}, name in side ? parameterText(name, side[name]) : "not active")),
    );
  });
  const head = put(
    "thead",
    {},
    put("tr", {}, ...["Parameter", ...SIDES].map((title) => put("th", { scope: "col" }, title))),
  );
  const table = put("table", { id: "compared-parameters" }, head, put("tbody", {}, ...rows));
  return put("div", {}, put("div", { class: "scroll" }, table), put("p", { class: "note" }, summary));
}

function drawComparison() {
  const card = document.getElementById("comparison"),
    pair = shownCandidates(),
    both = pair.length === 2;
  card.hidden = !both;
  document.body.classList.toggle("comparing", both);
  if (!both) return;
  const swap = put("button", { type: "button", class: "plain", id: "compare-swap" }, "Swap A and B");
  swap.addEventListener("click", () => {
    store.set({ selected: pair[1].id, compared: pair[0].id });
    document.getElementById("compare-swap").focus();
  });
  const close = put("button", { type: "button", class: "plain", id: "compare-close" }, "End the comparison");
  close.addEventListener("click", () => {
    store.set({ compared: null });
    document.getElementById("compare-with").focus();
  });
  const body = document.getElementById("compared");
  body.replaceChildren(
    put("p", { class: "compare-controls" }, swap, " ", close),
    put("div", { class: "scroll" }, figureTable(pair)),
    put("p", { class: "note" }, INTERVALS),
    put("h3", {}, "Parameters that differ"),
    parameterTable(pair),
  );
  rove(body);
}

store.on(drawComparison, "selected", "compared", "version");
