/* A newer page of the same run: its parts and its data take the place of the old, what the reader chose stays. */

const partsShown = new Map();
for (const part of document.querySelectorAll("[data-part]")) partsShown.set(part.dataset.part, lookOf(part));

/** The first word of a folded part, by which it is known again. */
function foldedName(details) {
  const title = details.querySelector("summary");
  return (title.firstElementChild || title).textContent;
}

/** Replace what is in a part; parts that were open, and the focus, are as they were. */
function replacePart(part, newer) {
  const open = new Set([...part.querySelectorAll("details[open]")].map(foldedName));
  const focused = part.contains(document.activeElement) ? document.activeElement.closest("tr[data-id]") : null;
  part.replaceChildren(...newer.childNodes);
  for (const details of part.querySelectorAll("details")) details.open = open.has(foldedName(details));
  if (!focused) return;
  const row = [...part.querySelectorAll("tr[data-id]")].find((r) => r.dataset.id === focused.dataset.id);
  if (row && row.querySelector("button")) row.querySelector("button").focus({ preventScroll: true });
}

/** What tells one state of a part from another one; the rows of the front are made by the script, from the data. */
function lookOf(part) {
  return (part.querySelector("#front thead") || part).innerHTML;
}

/** Show a newer page of the run, which is a document of its own. */
function refresh(newer) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const name = part.dataset.part;
    const other = newer.querySelector(`[data-part="${name}"]`);
    if (!other || lookOf(other) === partsShown.get(name)) continue;
    partsShown.set(name, lookOf(other));
    replacePart(part, other);
  }
  const { x, y, selected, compared, budgets, version } = store.get();
  const shown = [selected, compared].map((id) => JSON.stringify(byId.get(id)));
  const untouched = asSearched(budgets);
  loadRun(JSON.parse(newer.getElementById("run-data").textContent));
  for (const action of loaders) action();
  store.set({
    x: quantities.has(x) ? x : run.x,
    y: quantities.has(y) ? y : run.y,
    selected: byId.has(selected) ? selected : firstChoice(),
    budgets: untouched ? runBudgets() : budgets,
    version: version + 1,
  });
  const changed = [selected, compared].some((id, i) => JSON.stringify(byId.get(id)) !== shown[i]);
  if (changed) store.renew("selected");
}
