/* The candidates: one quantity against another. */

const W = 760,
  H = 430,
  LEFT = 64,
  RIGHT = 18,
  TOP = 30,
  BOTTOM = 46,
  STRIP = 26;

function extent(points, key, budgets) {
  const values = points.map((c) => c.values[key]).filter((v) => v !== undefined);
  if (!values.length) return null;
  values.sort((a, b) => a - b);
  const feasible = points
    .filter((c) => c.status === "ok")
    .map((c) => c.values[key])
    .filter((v) => v !== undefined);
  // Infeasible candidates far away would press everything else into a corner.
  const largest = values[values.length - 1];
  let high = feasible.length ? Math.min(largest, 2 * Math.max(...feasible)) : largest;
  let low = values[0];
  for (const budget of budgets) {
    if (budget.bound !== null && budget.bound < 2.5 * high) high = Math.max(high, budget.bound * 1.04);
  }
  const pad = (high - low) * 0.05;
  low = low >= 0 && low < (high - low) * 0.35 ? 0 : low - pad;
  return [low, high + pad];
}

function drawScatter() {
  const state = store.get();
  const chosen = chosenCandidate();
  const box = document.getElementById("scatter");
  box.replaceChildren();
  const xAxis = axes.get(state.x),
    yAxis = axes.get(state.y);
  const points = run.candidates.filter(
    (c) => ["ok", "stopped"].includes(c.status) || (c.status === "infeasible" && state.infeasible),
  );
  if (!xAxis || !yAxis || !points.length) {
    box.append(put("p", {}, "There is nothing to draw yet."));
    return;
  }
  const budgetsOf = (axis) => run.budgets.filter((b) => b.key === axis.key);
  const xRange = extent(points, xAxis.key, budgetsOf(xAxis));
  const yRange = extent(points, yAxis.key, budgetsOf(yAxis));
  const drawing = plot(H, `${yAxis.label} against ${xAxis.label}`, W);
  box.append(drawing);
  if (!xRange || !yRange) {
    box.replaceChildren(put("p", {}, "No candidate has both quantities."));
    return;
  }
  const strip = points.some((c) => c.values[yAxis.key] === undefined && c.values[xAxis.key] !== undefined);
  const top = TOP + (strip ? STRIP : 0);
  const known = points.map((c) => c.values[xAxis.key]).filter((v) => v !== undefined);
  const least = Math.min(...known);
  const x =
    state.logX && least > 0
      ? logarithmic(least * 0.85, Math.max(...known) * 1.15, LEFT, W - RIGHT, xAxis.unit)
      : linear(...xRange, LEFT, W - RIGHT, xAxis.unit, 8);
  const y = linear(...yRange, H - BOTTOM, top, yAxis.unit, 6);
  const inside = (px, py) => px >= LEFT - 1 && px <= W - RIGHT + 1 && py >= TOP - 1 && py <= H - BOTTOM + 1;
  for (const [label, at] of x.marks) {
    drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: H - BOTTOM }));
    drawing.append(text(at, H - BOTTOM + 16, label, { "text-anchor": "middle" }));
  }
  for (const [label, at] of y.marks) {
    drawing.append(svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }));
    drawing.append(text(LEFT - 8, at + 4, label, { "text-anchor": "end" }));
  }
  if (strip) {
    drawing.append(svg("rect", { class: "strip", x: LEFT, y: TOP, width: W - RIGHT - LEFT, height: STRIP - 6 }));
    drawing.append(text(LEFT - 8, TOP + 14, "none", { "text-anchor": "end" }));
    drawing.append(
      text(W - RIGHT - 4, TOP - 4, `not trained: ${yAxis.label.toLowerCase()} unknown`, { "text-anchor": "end" }),
    );
  }
  drawing.append(
    svg("rect", { class: "frame", x: LEFT, y: top, width: W - RIGHT - LEFT, height: H - BOTTOM - top }),
  );
  drawing.append(
    text((LEFT + W - RIGHT) / 2, H - 8, axisTitle(xAxis, x), { "text-anchor": "middle", class: "strong" }),
  );
  drawing.append(text(8, 14, axisTitle(yAxis, y), { class: "strong" }));
  for (const budget of budgetsOf(xAxis)) {
    if (budget.bound === null || budget.bound < x.low || budget.bound > x.high) continue;
    const at = x.at(budget.bound),
      edge = budget.upper ? W - RIGHT : LEFT;
    drawing.append(
      svg("rect", {
        class: "beyond",
        x: Math.min(at, edge),
        y: TOP,
        width: Math.abs(edge - at),
        height: H - BOTTOM - TOP,
      }),
    );
    drawing.append(svg("line", { class: "budget", x1: at, x2: at, y1: TOP, y2: H - BOTTOM }));
    drawing.append(
      text(at + (budget.upper ? -5 : 5), H - BOTTOM - 7, `${budget.name} ${budget.text}`, {
        class: "limit",
        "text-anchor": budget.upper ? "end" : "start",
      }),
    );
  }
  for (const budget of budgetsOf(yAxis)) {
    if (budget.bound === null || budget.bound < y.low || budget.bound > y.high) continue;
    const at = y.at(budget.bound),
      edge = budget.upper ? top : H - BOTTOM;
    drawing.append(
      svg("rect", {
        class: "beyond",
        x: LEFT,
        y: Math.min(at, edge),
        width: W - RIGHT - LEFT,
        height: Math.abs(edge - at),
      }),
    );
    drawing.append(svg("line", { class: "budget", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }));
    drawing.append(
      text(W - RIGHT - 5, at + (budget.upper ? 13 : -5), `${budget.name} ${budget.text}`, {
        class: "limit",
        "text-anchor": "end",
      }),
    );
  }
  const place = (c) => {
    const px = c.values[xAxis.key],
      py = c.values[yAxis.key];
    if (px === undefined) return null;
    return [x.at(px), py === undefined ? TOP + (STRIP - 6) / 2 : y.at(py)];
  };
  drawStairs(drawing, xAxis, yAxis, x, y);
  const layers = [
    points.filter((c) => c.status !== "ok"),
    points.filter((c) => c.status === "ok" && !c.front),
    points.filter((c) => c.front),
  ];
  for (const candidate of new Set([...front, chosen]))
    drawIntervals(drawing, candidate, chosen, place, xAxis, yAxis, x, y, inside);
  let outside = 0;
  for (const candidate of layers.flat()) {
    const at = place(candidate);
    if (at === null) continue;
    if (!inside(...at)) {
      outside += 1;
      continue;
    }
    drawing.append(mark(candidate, ...at));
  }
  if (outside)
    drawing.append(
      text(W - RIGHT - 4, H - BOTTOM + 32, `${outside} outside the picture`, { "text-anchor": "end" }),
    );
  const at = chosen && place(chosen);
  if (at && inside(...at) && points.includes(chosen))
    drawing.append(svg("circle", { class: "ring", cx: at[0], cy: at[1], r: 9 }));
}

function axisTitle(axis, scale) {
  return scale.name ? `${axis.label} (${scale.name})` : axis.label;
}

function drawStairs(drawing, xAxis, yAxis, x, y) {
  const wanted = new Map(run.objectives.map((o) => [o.key, o.direction]));
  if (wanted.get(xAxis.key) !== "min" || wanted.get(yAxis.key) !== "min" || run.objectives.length !== 2) return;
  const points = front
    .map((c) => [x.at(c.values[xAxis.key]), y.at(c.values[yAxis.key])])
    .sort((a, b) => a[0] - b[0]);
  if (points.length < 2) return;
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (const [px, py] of points.slice(1)) path += `H${px}V${py}`;
  drawing.append(svg("path", { class: "stair", d: path }));
}

/** The intervals of estimates that nothing has measured since; of the selected candidate, in any case. */
function drawIntervals(drawing, candidate, chosen, place, xAxis, yAxis, x, y, inside) {
  const at = candidate && candidate.bands && place(candidate);
  if (!at || !inside(...at)) return;
  for (const [axis, scale, from, to, across] of [
    [xAxis, x, LEFT, W - RIGHT, true],
    [yAxis, y, H - BOTTOM, TOP, false],
  ]) {
    const band = candidate.bands[axis.key],
      estimate = estimateOf(candidate, axis.key);
    if (band === undefined || (estimate !== candidate.values[axis.key] && candidate !== chosen)) continue;
    const clip = (value) => Math.min(Math.max(value, Math.min(from, to)), Math.max(from, to));
    const [a, b] = [estimate * (1 - band), estimate * (1 + band)].map((value) =>
      clip(scale.at(Math.max(value, 1e-30))),
    );
    const path = across
      ? `M${a} ${at[1]}H${b}M${a} ${at[1] - 3}v6M${b} ${at[1] - 3}v6`
      : `M${at[0]} ${a}V${b}M${at[0] - 3} ${a}h6M${at[0] - 3} ${b}h6`;
    drawing.append(svg("path", { class: candidate === chosen ? "whisker" : "whisker faint", d: path }));
  }
}

function mark(candidate, px, py) {
  let node;
  if (candidate.status === "stopped") {
    node = svg("circle", { class: "dot stopped", cx: px, cy: py, r: 3 });
  } else if (candidate.status !== "ok") {
    node = svg("path", { class: "dot infeasible", d: `M${px - 3} ${py - 3}l6 6M${px + 3} ${py - 3}l-6 6` });
  } else if (candidate.knee) {
    node = svg("rect", {
      class: "dot knee",
      x: px - 5.5,
      y: py - 5.5,
      width: 11,
      height: 11,
      transform: `rotate(45 ${px} ${py})`,
    });
  } else {
    node = svg("circle", {
      class: candidate.front ? "dot front" : "dot ok",
      cx: px,
      cy: py,
      r: candidate.front ? 5.5 : 4,
    });
  }
  if (candidate.open) node.classList.add("open");
  const facts = run.axes
    .filter((a) => candidate.values[a.key] !== undefined)
    .map((a) => `${a.label}: ${show(candidate.values[a.key], a.unit)}`);
  node.append(svg("title", {}, [candidate.id, ...facts].join("\n")));
  node.addEventListener("click", () => choose(candidate.id));
  return node;
}

/** Whether a quantity is better read on a logarithmic axis: the front spreads widely over it. */
function spreadsWidely(key) {
  const values = front.map((c) => c.values[key]).filter((v) => v > 0);
  return values.length > 2 && Math.max(...values) > 20 * Math.min(...values);
}

function bindScatter() {
  const box = document.getElementById("scatter");
  const [selectX, selectY] = ["x-axis", "y-axis"].map((id) => document.getElementById(id));
  const [logX, infeasible] = ["log-x", "show-infeasible"].map((id) => document.getElementById(id));
  for (const select of [selectX, selectY]) {
    for (const axis of run.axes) select.append(put("option", { value: axis.key }, axis.label));
  }
  selectX.addEventListener("change", () => store.set({ x: selectX.value, logX: spreadsWidely(selectX.value) }));
  selectY.addEventListener("change", () => store.set({ y: selectY.value }));
  logX.addEventListener("change", () => store.set({ logX: logX.checked }));
  infeasible.addEventListener("change", () => store.set({ infeasible: infeasible.checked }));
  store.on((state) => {
    selectX.value = state.x;
    selectY.value = state.y;
    logX.checked = state.logX;
    infeasible.checked = state.infeasible;
  });
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Candidates; the arrow keys walk along the front");
  box.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move || !front.length) return;
    event.preventDefault();
    const { x, selected } = store.get();
    const sorted = [...front].sort((a, b) => a.values[x] - b.values[x]).map((c) => c.id);
    const position = sorted.indexOf(selected);
    choose(sorted[position < 0 ? 0 : Math.min(sorted.length - 1, Math.max(0, position + move))]);
  });
}

bindScatter();
store.on(drawScatter, "selected", "x", "y", "logX", "infeasible");
