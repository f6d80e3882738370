/* The selected candidate: its figures, where they come from, and its parameters. */

function drawSelected() {
  const chosen = chosenCandidate();
  const panel = document.getElementById("selected");
  panel.replaceChildren();
  if (!chosen) {
    panel.append(put("p", {}, "No candidate is feasible."));
    return;
  }
  const heading = put("p", { class: "id" }, chosen.id + " ");
  if (chosen.knee) heading.append(put("span", { class: "badge" }, "knee"), " ");
  else if (chosen.front) heading.append(put("span", { class: "badge front" }, "front"), " ");
  if (chosen.open) heading.append(put("span", { class: "badge open" }, "uncertain"), " ");
  if (chosen.status !== "ok")
    heading.append(
      put(
        "span",
        { class: "badge bad" },
        { infeasible: "over a budget", stopped: "training stopped early" }[chosen.status] || chosen.status,
      ),
    );
  panel.append(heading);
  if (chosen.reason) panel.append(put("p", { class: "note" }, chosen.reason.filter(Boolean).join(": ")));
  if (chosen.onnx) panel.append(put("a", { href: chosen.onnx }, "Open the ONNX file"));
  const figures = (chosen.cost && chosen.cost.figures) || {};
  for (const axis of run.axes) {
    const value = chosen.values[axis.key];
    if (value === undefined) continue;
    const row = put(
      "div",
      { class: "figure" },
      put("span", {}, axis.label),
      put("span", { class: "value" }, show(value, axis.unit)),
    );
    for (const budget of run.budgets.filter((b) => b.key === axis.key && b.bound)) {
      const share = value / budget.bound;
      const fillBar = put("i", { style: `width:${Math.min(100, 100 * share)}%` });
      const over = budget.upper ? share > 1 : share < 1;
      row.append(
        put(
          "div",
          {
            class: over ? "gauge over" : "gauge",
            role: "img",
            "aria-label": `${Math.round(100 * share)} % of the budget`,
          },
          fillBar,
        ),
      );
    }
    const figure = figures[axis.key];
    const notes = [];
    const known = run.provenance.metrics[axis.key];
    if (known) notes.push(known.how);
    const before = (chosen.estimated || {})[axis.key],
      width = (chosen.bands || {})[axis.key];
    if (before !== undefined)
      notes.push(
        `measured, estimate ${show(before, axis.unit)} ${width === undefined ? "" : band(width)}` +
          ` (${signed(before / value - 1)})`,
      );
    else if (figure) notes.push(figure.source || "source not given", band(figure.error));
    for (const budget of run.budgets.filter((b) => b.key === axis.key)) notes.push(`budget ${budget.text}`);
    const emulated = before === undefined && chosen.emulated && chosen.emulated.figures[axis.key];
    if (chosen.open && width !== undefined) notes.push("its interval holds the budget");
    if (emulated)
      notes.push(
        `${chosen.emulated.source} ${show(emulated, axis.unit)} (estimate ${signed(value / emulated - 1)})`,
      );
    const parts = axis.key === "flash_bytes" && chosen.cost ? split(chosen.cost.flash) : "";
    if (parts) notes.push(parts);
    if (notes.length) row.append(put("span", { class: "source" }, notes.join(", ")));
    panel.append(row);
  }
  const parameters = Object.entries(chosen.assignment || {});
  if (parameters.length) {
    const list = put("dl", {});
    for (const [key, value] of parameters) list.append(put("dt", {}, key), put("dd", {}, String(value)));
    panel.append(put("details", {}, put("summary", {}, `${parameters.length} parameters`), list));
  }
}

store.on(drawSelected, "selected");
