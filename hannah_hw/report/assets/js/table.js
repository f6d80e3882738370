/* The table of the front that is left, and others whose rows are candidates. */

const MAX_ROWS = 500;
const rowOf = new Map();
let sorting = { column: -1, down: false };

function choose(id) {
  if (byId.has(id)) store.set({ selected: id });
}

/** A row of the front: what it is, its figures, its hardware, its model. */
function frontRow(candidate) {
  if (rowOf.has(candidate)) return rowOf.get(candidate);
  const pick = put("input", { type: "checkbox", "aria-label": `pick ${candidate.id}` });
  pick.addEventListener("change", () => togglePick(candidate.id));
  const name = put("button", { type: "button", class: "pick" }, candidate.id);
  const first = put("td", { "data-value": candidate.index }, pick, " ", name);
  for (const mark of ["knee", "preferred"]) {
    first.append(put("span", { class: "badge", "data-mark": mark, hidden: "" }, mark));
  }
  if (candidate.open) first.append(put("span", { class: "badge open" }, "uncertain"));
  const row = put("tr", { "data-id": candidate.id }, first);
  for (const { key } of run.axes.filter((axis) => !axis.training)) {
    const width = (candidate.bands || {})[key];
    const value = candidate.values[key];
    const figure = sourced(candidate, key, "td", {
      class: "number",
      "data-value": value === undefined ? "" : value,
    });
    if (width !== undefined && !(key in (candidate.estimated || {}))) figure.append(` ${band(width)}`);
    row.append(figure);
  }
  for (const { id, unit } of run.hardware) {
    const value = candidate.assignment[id];
    const shownValue = typeof value === "number" ? show(value, unit) : String(value ?? "-");
    row.append(put("td", { class: "number", "data-value": value ?? "" }, shownValue));
  }
  row.append(put("td", {}, candidate.onnx ? put("a", { href: candidate.onnx }, "ONNX") : "-"));
  rowOf.set(candidate, row);
  return row;
}

function fillTable() {
  const table = document.getElementById("front");
  const { front: members, knee } = filtered();
  const note = document.getElementById("front-note");
  note.textContent = "";
  if (!table) return;
  const step = Math.ceil(members.length / MAX_ROWS) || 1;
  const listed = members.filter((c, i) => i % step === 0 || c === knee || c.preferred);
  const rows = listed.map(frontRow);
  for (const [i, candidate] of listed.entries()) {
    const marks = { knee: candidate === knee, preferred: candidate.preferred };
    for (const badge of rows[i].querySelectorAll("[data-mark]")) badge.hidden = !marks[badge.dataset.mark];
  }
  const held = table.contains(document.activeElement) ? document.activeElement.closest("tr[data-id]") : null;
  table.tBodies[0].replaceChildren(...sorted(rows));
  focusAgain(table, held);
  markHeads(table);
  if (!members.length) note.textContent = "No candidate with all objectives is left: loosen a budget or a brush.";
  else if (listed.length < members.length)
    note.textContent = `${members.length - listed.length} more are not listed.`;
  rove(table.tBodies[0]);
  markRows();
}

function sorted(rows) {
  const { column, down } = sorting;
  if (column < 0) return rows;
  const key = (row) => {
    const { value } = row.cells[column].dataset;
    return value === "" ? Infinity : Number(value);
  };
  return [...rows].sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b)));
}

/** Say at the heads of the table how it is sorted. */
function markHeads(table) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const here = column === sorting.column ? (sorting.down ? "descending" : "ascending") : "none";
    if (cell.hasAttribute("aria-sort")) cell.setAttribute("aria-sort", here);
  });
}

/** Tables are replaced where the page follows a search, so that it is the page that listens. */
document.addEventListener("click", (event) => {
  const head = event.target.closest("#front thead th[aria-sort]");
  if (head && event.target.closest("button")) {
    sorting = { column: head.cellIndex, down: head.getAttribute("aria-sort") === "ascending" };
    fillTable();
  }
  const row = event.target.closest("#front tr[data-id], #measured tr[data-id], #finalists tr[data-id]");
  if (!row || event.target.closest("a, input, summary")) return;
  if (event.shiftKey) togglePick(row.dataset.id);
  else choose(row.dataset.id);
});

/** Give the focus back to a row that was made anew. */
function focusAgain(table, held) {
  if (!held || held.isConnected) return;
  const row = [...table.tBodies[0].rows].find((other) => other.dataset.id === held.dataset.id);
  if (row) row.querySelector("button").focus({ preventScroll: true });
}

function markRows() {
  const { selected, picked } = store.get();
  for (const row of document.querySelectorAll("#front tbody tr")) {
    const here = row.dataset.id === selected;
    row.classList.toggle("chosen", here);
    if (here) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
    const pick = row.querySelector("input");
    if (pick) pick.checked = picked.includes(row.dataset.id);
  }
}

let filling = 0;

/** Fill the table once before the next picture, however often the filter changes until then. */
function fillSoon() {
  cancelAnimationFrame(filling);
  filling = requestAnimationFrame(fillTable);
}

store.on(() => rowOf.clear(), "version");
store.on(fillSoon, "budgets", "brushes", "version");
store.on(markRows, "selected", "picked");
