/* The candidates as lines across parallel axes; a brush on an axis leaves only what passes through it. */

const COORDS = { top: 44, bottom: 30, height: 280, gap: 96, side: 60, begin: 8, lines: 800 };
let coords = null;

/** The keys of the axes: what the reader chose, or objectives, what has a budget, and other metrics that differ. */
function coordKeys() {
  const { coords: chosen, budgets, x, y } = store.get();
  if (chosen) return chosen.filter((key) => quantities.has(key));
  const leading = [...run.objectives, ...budgets].map((part) => part.key);
  const metrics = run.axes.filter((a) => !a.training && !a.key.endsWith("_error")).map((a) => a.key);
  const keys = [...new Set([...leading, x, y, ...metrics])].filter((key) => quantities.has(key));
  const differing = keys.filter((key) => new Set(run.candidates.map(quantities.get(key).of)).size > 2);
  return differing.slice(0, Math.max(COORDS.begin, leading.length));
}

/** A scale that shows all candidates; logarithmic where they spread widely. */
function coordScale(quantity, points, bottom, top) {
  const values = points.map(quantity.of).filter((v) => v !== undefined && v !== null);
  if (quantity.levels) return marked(linear(-0.5, quantity.levels.length - 0.5, bottom, top, "", 5), quantity);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const wide = low > 0 && high > 20 * low;
  const scale = wide
    ? logarithmic(low, high, bottom, top, quantity.unit)
    : linear(low, high, bottom, top, quantity.unit, 5);
  return marked(scale, quantity);
}

function drawCoords() {
  const box = document.getElementById("coords");
  listCoords();
  const points = shown();
  const keys = coordKeys().filter((key) => points.some((c) => quantities.get(key).of(c) !== undefined));
  coords = null;
  if (!points.length || keys.length < 2) {
    box.replaceChildren(put("p", { class: "note" }, "There are not two quantities to compare."));
    return;
  }
  const { top, bottom, height: H, gap, side } = COORDS;
  const W = Math.max(box.clientWidth || 1200, 2 * side + gap * (keys.length - 1));
  const drawing = plot(H, "Parallel axes of the candidates", W);
  drawing.removeAttribute("role");
  const step = (W - 2 * side) / (keys.length - 1);
  const axisAt = (key, i) => {
    const quantity = quantities.get(key);
    return { key, quantity, px: side + i * step, scale: coordScale(quantity, points, H - bottom, top) };
  };
  coords = { drawing, H, W, points, axes: keys.map(axisAt), budgets: budgetShape() };
  const layers = ["in", "front", "picked", "compared", "selected"];
  coords.paths = Object.fromEntries(layers.map((name) => [name, svg("path", { class: `line ${name}` })]));
  drawing.append(...Object.values(coords.paths));
  coords.places = new Map(points.map((c) => [c, coords.axes.map((axis) => coordPlace(axis, c))]));
  // What is left out never changes: a drawing of its own under the other, so that a brush paints it no second time.
  const backdrop = plot(H, "", W);
  fill(backdrop, { class: "plot backdrop", "aria-hidden": "true" }, [
    svg("path", { class: "line out", d: share(points).map(coordPath).join("") }),
  ]);
  const short = shorten(keys.filter((key) => key.startsWith("p:")).map((key) => key.slice(2)));
  coords.updates = coords.axes.flatMap((axis, i) => drawCoordAxis(axis, i, short));
  const stack = put("div", { class: "stack", style: `min-width:${W}px` }, backdrop, drawing);
  box.replaceChildren(stack);
  drawing.addEventListener("click", chooseLine);
  updateCoords();
}

/** Of very many candidates an even share: more lines show no more. */
function share(candidates) {
  const step = Math.ceil(candidates.length / COORDS.lines);
  return step > 1 ? candidates.filter((_, i) => i % step === 0) : candidates;
}

/** The height at which a candidate crosses an axis; below it, where it has no value. */
function coordPlace({ quantity, scale }, candidate) {
  const value = quantity.of(candidate);
  return value === undefined || value === null ? COORDS.height - 8 : Math.round(scale.at(value) * 10) / 10;
}

function coordPath(candidate) {
  const places = coords.places.get(candidate);
  return places ? `M${places.map((py, i) => `${Math.round(coords.axes[i].px)} ${py}`).join("L")}` : "";
}

/** One axis: its scale, its brush, and its budget; returns what brings them up to date. */
function drawCoordAxis({ key, quantity, px, scale }, position, short) {
  const { drawing, H } = coords;
  const { top, bottom } = COORDS;
  const group = svg("g", { class: "axis" });
  drawing.append(group);
  const name = key.startsWith("p:") ? short(quantity.label, 16) : quantity.label;
  const raised = position % 2 ? 14 : 28;
  const title = text(px, raised, scale.name ? `${name} (${scale.name})` : name, {
    "text-anchor": "middle",
    class: "strong",
  });
  title.append(svg("title", {}, quantity.label));
  group.append(title, svg("line", { class: "rail", x1: px, x2: px, y1: top, y2: H - bottom }));
  for (const [label, at] of scale.marks) {
    const shortened = label.length > 9 ? `${label.slice(0, 8)}…` : label;
    group.append(text(px - 7, at + 4, shortened, { "text-anchor": "end", class: "tick" }));
    group.append(svg("line", { class: "rail", x1: px - 4, x2: px, y1: at, y2: at }));
  }
  if (coords.points.some((c) => coordPlace({ quantity, scale }, c) > H - bottom + 1)) {
    group.append(text(px - 7, H - 5, "none", { "text-anchor": "end", class: "tick" }));
  }
  const area = svg("rect", {
    class: "brush-area",
    x: px - 14,
    y: top - 4,
    width: 28,
    height: H - bottom - top + 8,
  });
  const brush = svg("rect", { class: "brush", x: px - 7, width: 14, hidden: "" });
  group.append(area, brush);
  bindBrushArea(area, drawing, key, scale);
  const ends = [0, 1].map((end) => brushEnd(group, drawing, { key, quantity, px, scale }, end));
  const update = () => {
    const range = store.get().brushes[key];
    brush.toggleAttribute("hidden", !range);
    if (range) {
      const [low, high] = range.map((value) => brushPlace(scale, value));
      fill(brush, { y: high, height: Math.max(1, low - high) }, []);
    }
    for (const move of ends) move();
  };
  const budgets = store.get().budgets.flatMap((budget, index) => {
    if (budget.key !== key) return [];
    const options = { scale, upright: true, from: px - 16, to: px + 16, edges: [H - bottom, top], labelled: false };
    return [budgetLine(drawing, group, index, options)];
  });
  return [update, ...budgets];
}

/** Where an end of a brush is drawn: on the axis also where it lies beyond, as of a link or a run that grows. */
function brushPlace(scale, value) {
  return scale.at(Math.min(scale.high, Math.max(scale.low, value)));
}

function updateCoords() {
  if (!coords) return;
  const { inside, front: members } = filtered();
  const { selected, compared, picked } = store.get();
  const best = new Set(members);
  const left = coords.points.filter((c) => inside.has(c) && !best.has(c));
  const few = share(left);
  document.getElementById("coords-note").textContent =
    few.length < left.length ? `Of the ${left.length} besides the front ${few.length} are drawn.` : "";
  const lines = {
    in: few,
    front: members,
    picked: picked.map((id) => byId.get(id)),
    compared: [byId.get(compared)],
    selected: [byId.get(selected)],
  };
  for (const [name, candidates] of Object.entries(lines)) {
    coords.paths[name].setAttribute("d", candidates.map((c) => (c ? coordPath(c) : "")).join(""));
  }
  for (const update of coords.updates) update();
}

/** Select the candidate whose line passes nearest to a click. */
function chooseLine(event) {
  const [px, py] = placeIn(coords.drawing, event);
  const right = coords.axes.findIndex((axis) => axis.px >= px);
  if (right < 1) return;
  const [a, b] = [coords.axes[right - 1].px, coords.axes[right].px];
  let nearest = null,
    least = 10;
  for (const candidate of filtered().inside) {
    const places = coords.places.get(candidate);
    if (!places) continue;
    const at = places[right - 1] + ((px - a) / (b - a)) * (places[right] - places[right - 1]);
    if (Math.abs(at - py) < least) [nearest, least] = [candidate, Math.abs(at - py)];
  }
  if (nearest && event.shiftKey) togglePick(nearest.id);
  else if (nearest) choose(nearest.id);
}

/** The list of all quantities, each of which can be an axis. */
function listCoords() {
  const box = document.getElementById("coord-choice");
  if (box.contains(document.activeElement)) return;
  const keys = new Set(coordKeys());
  const boxes = [...quantities.values()].map(({ key, label }) => {
    const tick = put("input", { type: "checkbox" });
    tick.checked = keys.has(key);
    tick.addEventListener("change", () => {
      const now = coordKeys();
      store.set({ coords: tick.checked ? [...now, key] : now.filter((other) => other !== key) });
    });
    return put("label", {}, tick, ` ${label}`);
  });
  box.replaceChildren(...boxes);
}

store.on(drawCoords, "infeasible", "version", "coords", "x", "y");
store.on(
  (_, names) => {
    if (names.includes("version")) return;
    if (coords && coords.budgets !== budgetShape()) drawCoords();
    else updateCoords();
  },
  "budgets",
  "brushes",
  "selected",
  "compared",
  "picked",
);
onResize(document.getElementById("coords"), drawCoords);
