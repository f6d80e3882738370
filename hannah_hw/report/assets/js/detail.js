/* The selected candidate: its figures, where they come from, and its parameters. */

function badges(candidate) {
  const found = [];
  const { front: members, knee } = filtered();
  if (candidate === knee) found.push(put("span", { class: "badge" }, "knee"));
  else if (members.includes(candidate)) found.push(put("span", { class: "badge front" }, "front"));
  if (candidate.open) found.push(put("span", { class: "badge open" }, "uncertain"));
  const words = { infeasible: "over a budget", stopped: "training stopped early" };
  if (candidate.status !== "ok")
    found.push(put("span", { class: "badge bad" }, words[candidate.status] || candidate.status));
  return found.flatMap((badge) => [" ", badge]);
}

function gauge(value, budget) {
  const share = value / budget.bound;
  const over = budget.upper ? share > 1 : share < 1;
  return put(
    "div",
    { class: over ? "gauge over" : "gauge", role: "img", "aria-label": `${Math.round(100 * share)} % of the budget` },
    put("i", { style: `width:${Math.min(100, 100 * share)}%` }),
  );
}

/** The short form of `origin`: what stands under a figure. */
function sourceLine(candidate, axis) {
  const { key, unit } = axis,
    known = run.provenance.metrics[key],
    value = candidate.values[key],
    estimate = estimateOf(candidate, key),
    error = errorOf(candidate, key),
    measured = measuredOf(candidate, key);
  const notes = [];
  if (known) notes.push(known.how);
  else if (isDecided(candidate, key))
    notes.push(`measured, estimate ${show(estimate, unit)} ${band(error)} (${signed(estimate / value - 1)})`);
  else if (figureOf(candidate, key)) notes.push(figureOf(candidate, key).source || "source not given", band(error));
  for (const budget of run.budgets.filter((b) => b.key === key)) notes.push(`budget ${budget.text}`);
  if (candidate.open && (candidate.bands || {})[key] !== undefined) notes.push("its interval holds the budget");
  if (measured !== undefined && !isDecided(candidate, key))
    notes.push(`${candidate.emulated.source} ${show(measured, unit)} (estimate ${signed(value / measured - 1)})`);
  if (key === "flash_bytes" && candidate.cost) notes.push(split(candidate.cost.flash));
  return notes.filter(Boolean).join(", ");
}

function figureRow(candidate, axis) {
  const row = put(
    "div",
    { class: "figure" },
    put("span", {}, axis.label),
    sourced(candidate, axis.key, "span", { class: "value" }),
  );
  const value = candidate.values[axis.key];
  row.append(...run.budgets.filter((b) => b.key === axis.key && b.bound).map((budget) => gauge(value, budget)));
  const line = sourceLine(candidate, axis);
  if (line) row.append(put("span", { class: "source" }, line));
  return row;
}

function drawSelected() {
  const chosen = chosenCandidate();
  const panel = document.getElementById("selected");
  if (!chosen) {
    panel.replaceChildren(put("p", {}, "No candidate is feasible."));
    return;
  }
  panel.replaceChildren(put("p", { class: "id" }, chosen.id, ...badges(chosen)));
  if (chosen.reason) panel.append(put("p", { class: "note" }, chosen.reason.filter(Boolean).join(": ")));
  if (chosen.emulated && chosen.emulated.warning)
    panel.append(put("p", { class: "warning" }, `Its measurement may be wrong: ${chosen.emulated.warning}`));
  if (chosen.onnx) panel.append(put("a", { href: chosen.onnx }, "Open the ONNX file"));
  panel.append(compareControls());
  for (const axis of run.axes) if (chosen.values[axis.key] !== undefined) panel.append(figureRow(chosen, axis));
  const parameters = Object.entries(chosen.assignment || {});
  if (parameters.length) {
    const list = put("dl", {});
    for (const [key, value] of parameters) list.append(put("dt", {}, key), put("dd", {}, parameterText(key, value)));
    panel.append(put("details", {}, put("summary", {}, `${parameters.length} parameters`), list));
  }
  rove(panel);
}

store.on(drawSelected, "selected", "compared", "picked", "version");
