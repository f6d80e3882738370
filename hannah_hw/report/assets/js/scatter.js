/* The candidates: one quantity against another. What is drawn once per choice of axes is here; see marks.js. */

const LEFT = 64,
  RIGHT = 18,
  TOP = 30,
  BOTTOM = 46,
  STRIP = 26;
let scatter = null;

/** From where to where an axis goes: over all that is feasible, and not much farther. */
function extent(points, quantity, bounds) {
  const values = points.map(quantity.of).filter((v) => v !== undefined && v !== null);
  if (!values.length) return null;
  if (quantity.levels) return [-0.5, quantity.levels.length - 0.5];
  const feasible = points
    .filter((c) => c.status === "ok")
    .map(quantity.of)
    .filter((v) => v !== undefined && v !== null);
  // Infeasible candidates far away would press everything else into a corner.
  const largest = Math.max(...values);
  let high = feasible.length ? Math.min(largest, 2 * Math.max(...feasible)) : largest;
  let low = Math.min(...values);
  for (const bound of bounds) if (bound < 2.5 * high) high = Math.max(high, bound * 1.04);
  const pad = (high - low) * 0.05;
  low = low >= 0 && low < (high - low) * 0.35 ? 0 : low - pad;
  return [low, high + pad];
}

/** A scale for a quantity between two places; logarithmic where that is asked for and can be. */
function scaleFor(quantity, points, from, to, count, wantsLog) {
  const values = points.map(quantity.of).filter((v) => v !== undefined && v !== null);
  const bounds = runBudgets().filter((b) => b.key === quantity.key);
  const range = extent(
    points,
    quantity,
    bounds.map((b) => b.bound),
  );
  if (!range) return null;
  const least = Math.min(...values);
  if (wantsLog && least > 0 && !quantity.levels) {
    return logarithmic(least * 0.85, Math.max(...values) * 1.15, from, to, quantity.unit);
  }
  return marked(linear(...range, from, to, quantity.unit, count), quantity);
}

/** The candidates that the drawings show. */
function shown() {
  const { infeasible } = store.get();
  return run.candidates.filter(
    (c) => ["ok", "stopped"].includes(c.status) || (c.status === "infeasible" && infeasible),
  );
}

function drawScatter() {
  const state = store.get();
  const box = document.getElementById("scatter");
  scatter = null;
  const [xQuantity, yQuantity] = [quantities.get(state.x), quantities.get(state.y)];
  const points = shown();
  if (!xQuantity || !yQuantity || !points.length) {
    box.replaceChildren(put("p", {}, "There is nothing to draw yet."));
    return;
  }
  const W = Math.max(300, box.clientWidth || 760);
  const H = Math.round(Math.min(430, Math.max(300, W * 0.6)));
  const known = points.filter((c) => xQuantity.of(c) !== undefined);
  const strip = known.some((c) => yQuantity.of(c) === undefined);
  const top = TOP + (strip ? STRIP : 0);
  const x = scaleFor(xQuantity, points, LEFT, W - RIGHT, Math.round(W / 90), state.logX);
  const y = scaleFor(yQuantity, points, H - BOTTOM, top, 6, false);
  if (!x || !y) {
    box.replaceChildren(put("p", {}, "No candidate has both quantities."));
    return;
  }
  const drawing = plot(H, `${yQuantity.label} against ${xQuantity.label}`, W);
  drawing.removeAttribute("role");
  box.replaceChildren(drawing);
  drawFrame(drawing, { W, H, top, strip, x, y, xQuantity, yQuantity });
  const layer = (name) => drawing.appendChild(svg("g", { class: name }));
  scatter = { drawing, W, H, top, x, y, xQuantity, yQuantity, points };
  scatter.budgets = budgetShape();
  scatter.area = layer("area");
  scatter.area.append(
    svg("rect", { class: "plane", x: LEFT, y: TOP, width: W - RIGHT - LEFT, height: H - BOTTOM - TOP }),
  );
  scatter.brush = scatter.area.appendChild(svg("rect", { class: "brush", hidden: "" }));
  scatter.limits = layer("limits");
  scatter.stairs = layer("stairs");
  scatter.base = layer("base");
  scatter.top = layer("over");
  scatter.grips = layer("grips");
  scatter.place = (c) => {
    const [px, py] = [xQuantity.of(c), yQuantity.of(c)];
    if (px === undefined || px === null) return null;
    return [x.at(px), py === undefined || py === null ? TOP + (STRIP - 6) / 2 : y.at(py)];
  };
  scatter.holds = (px, py) => px >= LEFT - 1 && px <= W - RIGHT + 1 && py >= TOP - 1 && py <= H - BOTTOM + 1;
  drawDots(scatter);
  scatter.lines = state.budgets.flatMap((budget, index) => {
    const options = {
      from: TOP,
      to: H - BOTTOM,
      scale: x,
      upright: false,
      edges: [LEFT, W - RIGHT],
      labelled: true,
    };
    if (budget.key === state.x) return [budgetLine(drawing, scatter.grips, index, options)];
    if (budget.key !== state.y) return [];
    const across = { from: LEFT, to: W - RIGHT, scale: y, upright: true, edges: [H - BOTTOM, top] };
    return [budgetLine(drawing, scatter.grips, index, { ...options, ...across })];
  });
  brushScatter(scatter);
  updateScatter();
}

function drawFrame(drawing, { W, H, top, strip, x, y, xQuantity, yQuantity }) {
  const right = W - RIGHT,
    bottom = H - BOTTOM;
  for (const [label, at] of x.marks) {
    drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: bottom }));
    drawing.append(text(at, bottom + 16, label, { "text-anchor": "middle" }));
  }
  for (const [label, at] of y.marks) {
    drawing.append(svg("line", { class: "grid", x1: LEFT, x2: right, y1: at, y2: at }));
    drawing.append(text(LEFT - 8, at + 4, label, { "text-anchor": "end" }));
  }
  if (strip) {
    drawing.append(svg("rect", { class: "strip", x: LEFT, y: TOP, width: right - LEFT, height: STRIP - 6 }));
    drawing.append(text(LEFT - 8, TOP + 14, "none", { "text-anchor": "end" }));
    const reason = `not trained: ${yQuantity.label.toLowerCase()} unknown`;
    drawing.append(text(right - 4, TOP - 4, reason, { "text-anchor": "end" }));
  }
  drawing.append(svg("rect", { class: "frame", x: LEFT, y: top, width: right - LEFT, height: bottom - top }));
  const across = { "text-anchor": "middle", class: "strong" };
  drawing.append(text((LEFT + right) / 2, H - 8, axisTitle(xQuantity, x), across));
  drawing.append(text(8, 14, axisTitle(yQuantity, y), { class: "strong" }));
}

function axisTitle(quantity, scale) {
  return scale.name ? `${quantity.label} (${scale.name})` : quantity.label;
}

/** Whether a quantity is better read on a logarithmic axis: the front spreads widely over it. */
function spreadsWidely(key) {
  const quantity = quantities.get(key);
  if (!quantity || quantity.levels) return false;
  const values = front.map(quantity.of).filter((v) => v > 0);
  return values.length > 2 && Math.max(...values) > 20 * Math.min(...values);
}

function bindScatter() {
  const box = document.getElementById("scatter");
  const [selectX, selectY] = ["x-axis", "y-axis"].map((id) => document.getElementById(id));
  const [logX, infeasible] = ["log-x", "show-infeasible"].map((id) => document.getElementById(id));
  whenLoaded(() => {
    const { x, y } = store.get();
    for (const [select, chosen] of [
      [selectX, x],
      [selectY, y],
    ]) {
      const options = [...quantities.values()].map(({ key, label }) => put("option", { value: key }, label));
      select.replaceChildren(...options);
      if (quantities.has(chosen)) select.value = chosen;
    }
  });
  selectX.addEventListener("change", () => store.set({ x: selectX.value, logX: spreadsWidely(selectX.value) }));
  selectY.addEventListener("change", () => store.set({ y: selectY.value }));
  logX.addEventListener("change", () => store.set({ logX: logX.checked }));
  infeasible.addEventListener("change", () => store.set({ infeasible: infeasible.checked }));
  store.on(
    (state) => {
      selectX.value = state.x;
      selectY.value = state.y;
      logX.checked = state.logX;
      infeasible.checked = state.infeasible;
    },
    "x",
    "y",
    "logX",
    "infeasible",
  );
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Candidates: arrow keys walk along the front, space picks, Escape clears brushes");
  box.addEventListener("keydown", walk);
  onResize(box, drawScatter);
}

/** The keys of the chart: along the front, pick what is selected, clear the brushes. */
function walk(event) {
  const { x, y, selected, brushes } = store.get();
  const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (event.key === " " && selected) togglePick(selected);
  else if (event.key === "Escape") store.set({ brushes: without(brushes, x, y) });
  else if (move) {
    const quantity = quantities.get(x);
    const sorted = [...filtered().front].sort((a, b) => quantity.of(a) - quantity.of(b)).map((c) => c.id);
    const position = sorted.indexOf(selected);
    choose(sorted[position < 0 ? 0 : Math.min(sorted.length - 1, Math.max(0, position + move))]);
    explainChosen();
  } else return;
  event.preventDefault();
}

bindScatter();
store.on(drawScatter, "x", "y", "logX", "infeasible", "version");
store.on(
  (_, names) => {
    if (names.includes("version")) return;
    if (scatter && scatter.budgets !== budgetShape()) drawScatter();
    else updateScatter();
  },
  "budgets",
  "brushes",
  "selected",
  "compared",
  "picked",
);
