/* The budgets as the reader has them: lines that can be dragged, and fields to write in. */

/** Change the bound of a budget. */
function setBudget(index, bound) {
  store.set({ budgets: store.get().budgets.map((b, i) => (i === index ? { ...b, bound } : b)) });
}

/** A bound as a hand can set it: whole bytes, and four digits of other quantities. */
function handy(bound, unit) {
  return unit === "B" ? Math.round(bound) : Number(bound.toPrecision(4));
}

/** Which budgets there are, whatever their bounds: what drawings of them depend on. */
function budgetShape() {
  return store
    .get()
    .budgets.map((b) => `${b.key} ${b.upper}`)
    .join();
}

function budgetText(budget) {
  const { unit } = quantities.get(budget.key) || { unit: "" };
  return `${budget.name} ${budget.upper ? "≤" : "≥"} ${show(budget.bound, unit)}`;
}

/** How many keep a budget, in words. */
function keptBy(index) {
  const { alone, all } = filtered();
  return `${alone[index].toLocaleString("en")} of ${all.toLocaleString("en")} keep it`;
}

/**
 * A line across a drawing for a budget, that can be moved.
 *
 * scale: along which the bound lies; upright: whether the scale runs up; from, to: where the line begins and ends;
 * edges: the two ends of the scale in the drawing. Returns a function that moves the line to where the bound is now.
 */
function budgetLine(drawing, layer, index, { scale, upright, from, to, edges, labelled }) {
  const group = svg("g", { class: "limit-line" });
  const beyond = svg("rect", { class: "beyond" });
  const line = svg("line", { class: "budget" });
  const grip = svg("line", { class: upright ? "grip upright" : "grip" });
  const caption = svg("text", { class: "limit" });
  group.append(beyond, line, ...(labelled ? [caption] : []), grip);
  layer.append(group);
  const budget = () => store.get().budgets[index];
  slider(grip, drawing, {
    label: `budget: ${budget().name}`,
    upright,
    scale: () => scale,
    read: () => budget().bound,
    write: (value) => setBudget(index, handy(value, (quantities.get(budget().key) || {}).unit)),
  });
  return () => {
    const { bound, upper } = budget();
    const at = scale.at(Math.min(scale.high, Math.max(scale.low, bound)));
    const along = upright ? { x1: from, x2: to, y1: at, y2: at } : { x1: at, x2: at, y1: from, y2: to };
    fill(line, along, []);
    line.classList.toggle("outside", bound < scale.low || bound > scale.high);
    fill(grip, along, []);
    const edge = edges[upper ? 1 : 0];
    const across = { start: Math.min(at, edge), size: Math.abs(edge - at) };
    const [low, size] = [Math.min(from, to), Math.abs(to - from)];
    const area = upright
      ? { x: low, width: size, y: across.start, height: across.size }
      : { x: across.start, width: across.size, y: low, height: size };
    fill(beyond, area, []);
    sayValue(grip, scale, bound, `${budgetText(budget())}, ${keptBy(index)}`);
    if (!labelled) return;
    const middle = (edges[0] + edges[1]) / 2;
    const place = upright
      ? { x: to - 5, y: at + (at < middle ? 13 : -5), "text-anchor": "end" }
      : { x: at + (at > middle ? -5 : 5), y: to - 7, "text-anchor": at > middle ? "end" : "start" };
    fill(caption, place, []);
    caption.textContent = budgetText(budget());
  };
}

/** A row of the list: a field for the bound, how many keep it, and what removes it or puts it back. */
function budgetRow(budget, index) {
  const quantity = quantities.get(budget.key);
  const id = `budget-${index}`;
  const field = put("input", { id, type: "text", size: 9, autocomplete: "off", spellcheck: "false" });
  const count = put("span", { class: "count" });
  field.addEventListener("change", () => {
    const value = parseAmount(field.value, quantity.unit);
    field.setAttribute("aria-invalid", String(value === null));
    if (value !== null) setBudget(index, value);
  });
  const own = runBudgets().find((b) => b.key === budget.key && b.upper === budget.upper);
  const away = put("button", { type: "button", "aria-label": `${own ? "put back" : "remove"} ${budget.name}` });
  away.textContent = own ? "↺" : "×";
  away.addEventListener("click", () => {
    if (own) setBudget(index, own.bound);
    else store.set({ budgets: store.get().budgets.filter((_, i) => i !== index) });
  });
  const label = put("label", { for: id }, `${quantity ? quantity.label : budget.name} ${budget.upper ? "≤" : "≥"}`);
  const row = put("div", { class: "budget-row" }, label, field, count, away);
  const update = () => {
    const { bound } = store.get().budgets[index];
    if (document.activeElement !== field || parseAmount(field.value, quantity.unit) === null) {
      field.value = amount(bound, quantity.unit);
    }
    field.setAttribute("aria-invalid", "false");
    count.textContent = keptBy(index);
    away.disabled = Boolean(own) && own.bound === bound;
  };
  return { row, update };
}

let budgetRows = { shape: "", updates: [] };

function drawBudgets() {
  const { budgets, brushes } = store.get();
  const box = document.getElementById("budgets");
  const shape = budgetShape();
  if (shape !== budgetRows.shape) {
    const rows = budgets.map(budgetRow);
    box.replaceChildren(...rows.map(({ row }) => row));
    budgetRows = { shape, updates: rows.map(({ update }) => update) };
  }
  for (const update of budgetRows.updates) update();
  const { all, fitting, inside, trained, front: members, knee } = filtered();
  const many = (count) => count.toLocaleString("en");
  const kept = budgets.length
    ? `${many(fitting)} of ${many(all)} candidates keep every budget`
    : `${many(all)} candidates`;
  const brushed = Object.keys(brushes).length ? `; ${many(inside.size)} of them lie in the brushes` : "";
  const unknown = fitting - trained;
  const rest = unknown && run.objectives.length ? ` (${many(unknown)} of them without all objectives)` : "";
  const best = knee ? ` Front of ${many(members.length)}, its knee ${knee.id}.` : " No front is left.";
  document.getElementById("left").textContent = `${kept}${rest}${brushed}.${best}`;
  document.getElementById("as-searched").disabled = asSearched(budgets) && !brushed;
}

/** A budget for a quantity that has none yet: at first where all that is feasible keeps it. */
function addBudget(key) {
  const quantity = quantities.get(key);
  const objective = run.objectives.find((o) => o.key === key);
  const upper = !objective || objective.direction !== "max";
  const values = run.candidates
    .filter((c) => c.status === "ok")
    .map((c) => c.values[key])
    .filter(Number.isFinite);
  if (!values.length) return;
  const bound = upper ? Math.max(...values) : Math.min(...values);
  store.set({ budgets: [...store.get().budgets, { key, name: quantity.label, bound, upper }] });
}

function bindBudgets() {
  const choice = document.getElementById("add-budget");
  const [title] = choice.options;
  whenLoaded(() => {
    choice.replaceChildren(title, ...run.axes.map((axis) => put("option", { value: axis.key }, axis.label)));
  });
  choice.addEventListener("change", () => {
    if (choice.value) addBudget(choice.value);
    choice.value = "";
  });
  document.getElementById("as-searched").addEventListener("click", () => {
    store.set({ budgets: runBudgets(), brushes: {} });
  });
}

bindBudgets();
store.on(drawBudgets, "budgets", "brushes", "version");
