/* What the reader picked, and how to take it away: as a table, as a document, or as a command. */

function togglePick(id) {
  const { picked } = store.get();
  store.set({ picked: picked.includes(id) ? picked.filter((other) => other !== id) : [...picked, id] });
}

/** What is exported: what was picked, or else what is selected. */
function exported() {
  const { picked, selected } = store.get();
  const ids = picked.length ? picked : [selected];
  return ids.map((id) => byId.get(id)).filter(Boolean);
}

/** The same columns as `hannah-hw export --to csv` writes. */
function asCsv(candidates) {
  const { front: members, knee } = filtered();
  const best = new Set(members);
  const quote = (cell) => (/[",\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
  const keys = run.axes.map((axis) => axis.key);
  const rows = candidates.map((c) => {
    const figures = keys.map((key) => (c.values[key] === undefined ? "" : c.values[key]));
    return [c.id, c.index, Number(best.has(c)), Number(c === knee), ...figures, JSON.stringify(c.assignment)];
  });
  const table = [["id", "index", "front", "knee", ...keys, "assignment"], ...rows];
  return table.map((row) => row.map((cell) => quote(String(cell))).join(",") + "\n").join("");
}

function asJson(candidates) {
  const { budgets } = store.get();
  const rows = candidates.map(({ id, index, status, values, assignment }) => ({
    id,
    index,
    status,
    values,
    assignment,
  }));
  const kept = budgets.map(({ key, bound, upper }) => ({ key, bound, relation: upper ? "<=" : ">=" }));
  return JSON.stringify({ run: run.folder, budgets: kept, candidates: rows }, null, 2) + "\n";
}

/** Those whose ids `hannah-hw export` takes: what was trained; with a model, unless the run has none at all. */
function exportable(candidates) {
  const models = run.candidates.some((c) => c.onnx);
  return candidates.filter((c) => c.status === "ok" && (c.onnx || !models));
}

/** The command that copies the models; of a run that keeps none, the figures. */
function asCommand(candidates) {
  const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const able = exportable(candidates);
  if (!able.length) return "";
  const formats = able[0].onnx ? "onnx,csv" : "csv";
  const ids = able.map((c) => c.id).join(",");
  return `hannah-hw export ${quote(run.folder)} --pick ${quote(ids)} --to ${formats} --out export`;
}

function download(name, kind, content) {
  const link = put("a", { download: name, href: URL.createObjectURL(new Blob([content], { type: kind })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function drawSelection() {
  const { picked } = store.get();
  const candidates = exported();
  const command = asCommand(candidates);
  const what = picked.length ? `${picked.length} picked` : "nothing picked: the selected candidate";
  const lacking = candidates.length - exportable(candidates).length;
  const rest = lacking ? `; ${lacking} without a model, so not in the command` : "";
  document.getElementById("picked").textContent = what + rest;
  document.getElementById("command").value = command;
  document.getElementById("copy-command").disabled = !command;
  for (const id of ["export-csv", "export-json"]) document.getElementById(id).disabled = !candidates.length;
  document.getElementById("pick-none").disabled = !picked.length;
}

async function copyCommand() {
  const field = document.getElementById("command");
  field.select();
  const button = document.getElementById("copy-command");
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "copied";
  } catch {
    button.textContent = "press Ctrl+C"; // without a permission the reader copies what is marked
  }
  setTimeout(() => (button.textContent = "copy"), 2000);
}

function bindSelection() {
  const on = (id, act) => document.getElementById(id).addEventListener("click", act);
  on("export-csv", () => download("candidates.csv", "text/csv", asCsv(exported())));
  on("export-json", () => download("candidates.json", "application/json", asJson(exported())));
  on("copy-command", copyCommand);
  on("pick-front", () => store.set({ picked: filtered().front.map((c) => c.id) }));
  on("pick-inside", () => store.set({ picked: [...filtered().inside].filter(scored).map((c) => c.id) }));
  on("pick-none", () => store.set({ picked: [] }));
}

bindSelection();
store.on(drawSelection, "picked", "selected", "version");
