/* The table of the front, and others whose rows are candidates. */

function choose(id) {
  if (byId.has(id)) store.set({ selected: id });
}

function chooseByRow(table) {
  table.tBodies[0].addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-id]");
    if (row && !event.target.closest("a")) choose(row.dataset.id);
  });
}

function sortByHead(table) {
  const body = table.tBodies[0];
  const cells = [...table.tHead.rows[0].cells];
  cells.forEach((cell, column) => {
    const button = cell.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const down = cell.getAttribute("aria-sort") === "ascending";
      for (const other of cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
      cell.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const value = row.cells[column].dataset.value;
        return value === "" ? Infinity : Number(value);
      };
      body.append(...[...body.rows].sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b))));
    });
  });
}

function markRows() {
  const { selected } = store.get();
  for (const row of document.querySelectorAll("#front tbody tr")) {
    const here = row.dataset.id === selected;
    row.classList.toggle("chosen", here);
    if (here) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}

for (const id of ["front", "measured", "finalists"]) {
  const table = document.getElementById(id);
  if (table) chooseByRow(table);
  if (table && id === "front") sortByHead(table);
}
store.on(markRows, "selected");
