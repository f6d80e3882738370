/* The first state; every drawing listens by now. */

function showLegend() {
  // Of a run in which nothing came to an end there is nothing to choose from.
  const some = run.candidates.some((c) => c.status !== "failed");
  for (const node of document.querySelectorAll(".scripted")) node.hidden = !some;
  document.getElementById("stopped-legend").hidden = !run.candidates.some((c) => c.status === "stopped");
  document.getElementById("open-legend").hidden = !run.candidates.some((c) => c.open);
}

function showHint() {
  const hint = document.getElementById("scatter-hint");
  if (run.objectives.length > 2) {
    const names = run.objectives.map((o) => (axes.has(o.key) ? axes.get(o.key).label : o.key)).join("; ");
    hint.append(
      ` The front is that of ${run.objectives.length} objectives (${names}): a point that looks beaten here is` +
        " better in one that is not drawn.",
    );
  }
}

showHint();
whenLoaded(showLegend);
whenLoaded(drawHistory);
store.set({ ...fromAddress(window.location.hash.slice(1)), version: 1 });
