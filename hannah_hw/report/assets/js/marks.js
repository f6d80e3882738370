/* The marks of the scatter: dots that are drawn once, and over them the front, the knee and what the reader chose. */

const candidateOf = new WeakMap();

function drawDots(view) {
  view.dots = new Map();
  let outside = 0;
  const order = [...view.points].sort((a, b) => (a.status === "ok") - (b.status === "ok"));
  const nodes = [];
  for (const candidate of order) {
    const at = view.place(candidate);
    if (at === null) continue;
    if (!view.holds(...at)) {
      outside += 1;
      continue;
    }
    const node = standFor(candidate, dot(candidate, ...at));
    view.dots.set(candidate, node);
    nodes.push(node);
  }
  view.base.append(...nodes);
  if (outside) {
    const place = [view.W - RIGHT - 4, view.H - BOTTOM + 32];
    view.drawing.append(text(...place, `${outside} outside the picture`, { "text-anchor": "end" }));
  }
}

/** Let a mark of the scatter stand for a candidate, and say what its numbers rest on. */
function standFor(candidate, node) {
  candidateOf.set(node, candidate);
  return tips.addUnfocused(node, () => markLines(candidate));
}

/** A candidate, what the two numbers that place it rest on, and its other figures. */
function markLines(candidate) {
  const { x, y } = store.get();
  const placed = [...new Set([y, x])];
  const lines = placed.flatMap((key) => {
    if (axes.has(key)) return origin(candidate, key).filter((line) => line !== candidate.id);
    const quantity = quantities.get(key);
    return [`${quantity.label}: ${say(quantity, quantity.of(candidate))}`];
  });
  const others = run.axes.filter(({ key }) => !placed.includes(key) && candidate.values[key] !== undefined);
  const rest = others.map(({ key, label, unit }) => `${label} ${show(candidate.values[key], unit)}`);
  return [candidate.id, ...lines, rest.join(", ")];
}

/** The mark of a candidate that lies uppermost; undefined where it is not in the picture. */
function markOf(candidate) {
  if (!scatter || !candidate) return undefined;
  const over = [...scatter.top.children].find((node) => candidateOf.get(node) === candidate);
  return over || scatter.dots.get(candidate);
}

/** Show the tip of the selected candidate: for keys, and for fingers, which cannot hover. */
function explainChosen() {
  const node = markOf(chosenCandidate());
  if (node) tips.showFor(node, document.getElementById("scatter"));
}

function dot(candidate, px, py) {
  const open = candidate.open ? " open" : "";
  if (candidate.status === "stopped") return svg("circle", { class: "dot stopped", cx: px, cy: py, r: 3 });
  if (candidate.status === "ok") return svg("circle", { class: `dot ok${open}`, cx: px, cy: py, r: 4 });
  return svg("path", { class: "dot infeasible", d: `M${px - 3} ${py - 3}l6 6M${px + 3} ${py - 3}l-6 6` });
}

/** Bring what depends on budgets, brushes and choices up to date. */
function updateScatter() {
  if (!scatter) return;
  const view = scatter;
  const { inside, front: members, knee } = filtered();
  for (const [candidate, node] of view.dots) {
    const out = !inside.has(candidate);
    if (node.dataOut !== out) {
      node.classList.toggle("out", out);
      node.dataOut = out;
    }
  }
  const { selected, picked, compared } = store.get();
  const over = [];
  const visible = (candidate) => {
    const at = candidate && view.points.includes(candidate) ? view.place(candidate) : null;
    return at && view.holds(...at) ? at : null;
  };
  const within = new Set(view.points);
  for (const candidate of members) {
    const at = within.has(candidate) && view.place(candidate);
    if (!at || !view.holds(...at) || candidate === knee) continue;
    const open = candidate.open ? " open" : "";
    over.push(standFor(candidate, svg("circle", { class: `dot front${open}`, cx: at[0], cy: at[1], r: 5.5 })));
  }
  const middle = visible(knee);
  if (middle) {
    const [px, py] = middle;
    const turned = { transform: `rotate(45 ${px} ${py})`, width: 11, height: 11 };
    over.push(standFor(knee, svg("rect", { class: "dot knee", x: px - 5.5, y: py - 5.5, ...turned })));
  }
  for (const id of picked) over.push(...ring(visible(byId.get(id)), "ring picked", 7.5));
  over.push(...ring(visible(byId.get(compared)), "ring compared", 9));
  over.push(...ring(visible(byId.get(selected)), "ring", 9));
  view.top.replaceChildren(...over);
  view.stairs.replaceChildren(...stairs(view, members), ...intervals(view, members));
  for (const move of view.lines) move();
  showBrush(view);
}

function ring(at, name, r) {
  return at ? [svg("circle", { class: name, cx: at[0], cy: at[1], r })] : [];
}

/** The line between what is dominated and what is not, where two objectives are drawn. */
function stairs(view, members) {
  const { x, y, xQuantity, yQuantity } = view;
  const wanted = new Map(run.objectives.map((o) => [o.key, o.direction]));
  const both = [xQuantity, yQuantity].every((quantity) => wanted.get(quantity.key) === "min");
  if (!both || run.objectives.length !== 2 || members.length < 2) return [];
  const points = members.map((c) => [x.at(xQuantity.of(c)), y.at(yQuantity.of(c))]).sort((a, b) => a[0] - b[0]);
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (const [px, py] of points.slice(1)) path += `H${px}V${py}`;
  return [svg("path", { class: "stair", d: path })];
}

/** The intervals of estimates that nothing has measured since; of the selected candidate, in any case. */
function intervals(view, members) {
  const chosen = chosenCandidate();
  const found = [];
  for (const candidate of new Set([...members, chosen])) {
    const at = candidate && candidate.bands && view.place(candidate);
    if (!at || !view.holds(...at)) continue;
    for (const across of [true, false]) {
      const quantity = across ? view.xQuantity : view.yQuantity;
      const width = candidate.bands[quantity.key],
        estimate = estimateOf(candidate, quantity.key);
      if (width === undefined) continue;
      if (estimate !== candidate.values[quantity.key] && candidate !== chosen) continue;
      const path = whisker(view, at, across, estimate * (1 - width), estimate * (1 + width));
      found.push(svg("path", { class: candidate === chosen ? "whisker" : "whisker faint", d: path }));
    }
  }
  return found;
}

function whisker(view, [px, py], across, low, high) {
  const scale = across ? view.x : view.y;
  const [a, b] = [low, high].map((value) => scale.at(Math.min(scale.high, Math.max(scale.low, value))));
  if (across) return `M${a} ${py}H${b}M${a} ${py - 3}v6M${b} ${py - 3}v6`;
  return `M${px} ${a}V${b}M${px - 3} ${a}h6M${px - 3} ${b}h6`;
}

/** Drag a rectangle to brush both quantities; click a dot to select it, with Shift to pick it. */
function brushScatter(view) {
  const { drawing, x, y } = view;
  follow(drawing, {
    begin: (press) => {
      const [px, py] = placeIn(drawing, press);
      return view.holds(px, py);
    },
    move: (event, press) => {
      if (press.pointerType === "touch") return;
      const [a, b] = [placeIn(drawing, press), placeIn(drawing, event)];
      const range = (scale, from, to) => {
        const values = [scale.of(from), scale.of(to)].sort((l, r) => l - r);
        return [Math.max(scale.low, values[0]), Math.min(scale.high, values[1])];
      };
      const { brushes, x: xKey, y: yKey } = store.get();
      store.set({ brushes: { ...brushes, [xKey]: range(x, a[0], b[0]), [yKey]: range(y, a[1], b[1]) } });
    },
    end: (event, moved, press) => {
      const candidate = candidateOf.get(press.target);
      const { brushes, x: xKey, y: yKey } = store.get();
      if (moved || event.type === "pointercancel") return;
      if (candidate && press.shiftKey) togglePick(candidate.id);
      else if (candidate) {
        choose(candidate.id);
        explainChosen();
      } else if (xKey in brushes || yKey in brushes) store.set({ brushes: without(brushes, xKey, yKey) });
    },
  });
}

function showBrush(view) {
  const { brushes, x: xKey, y: yKey } = store.get();
  const [across, up] = [brushes[xKey], brushes[yKey]];
  view.brush.toggleAttribute("hidden", !across && !up);
  if (!across && !up) return;
  const inside = (scale, range) => range.map((v) => scale.at(Math.min(scale.high, Math.max(scale.low, v))));
  const [x0, x1] = across ? inside(view.x, across) : [LEFT, view.W - RIGHT];
  const [y1, y0] = up ? inside(view.y, up) : [view.H - BOTTOM, TOP];
  fill(view.brush, { x: x0, y: y0, width: Math.max(1, x1 - x0), height: Math.max(1, y1 - y0) }, []);
}
