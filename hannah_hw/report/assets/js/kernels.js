/* How the kernels run: what runs them, how much of it is in use, and their mapping. */

function useCell(kernel) {
  if (!kernel || typeof kernel.utilisation !== "number") return put("td", { class: "number" }, "-");
  const share = 100 * kernel.utilisation;
  const bar = put(
    "span",
    { class: "use", "aria-hidden": "true" },
    put("i", { style: `width:${Math.min(100, share)}%` }),
  );
  return put("td", { class: "number" }, bar, ` ${number(share, 3)} %`);
}

/** What takes most of a kernel's cycles, where the model tells that apart: whether it computes or waits for memory. */
function limitCell(kernel) {
  const parts = Object.entries((kernel && kernel.cycle_parts) || {});
  const total = parts.reduce((sum, [, cycles]) => sum + cycles, 0);
  if (!total) return put("td", {}, "-");
  const [name, most] = parts.reduce((best, part) => (part[1] > best[1] ? part : best));
  return put("td", { class: "number" }, `${name.replaceAll("_", " ")} ${number((100 * most) / total, 3)} %`);
}

function runsOn(of) {
  const words = of.filter(Boolean).map((kernel) => String(kernel.kernel_class || kernel.kind));
  return [...new Set(words)].join(" / ");
}

function drawKernels() {
  const shown = shownCandidates().filter((c) => c.cost && c.cost.kernels.length),
    pair = shown.length > 1;
  hideUnless("card-kernels", (cost) => cost.kernels.some((k) => k.utilisation !== undefined || k.detail));
  const target = document.getElementById("kernels");
  if (!shown.length) {
    target.replaceChildren(put("p", { class: "note" }, missing(chosenCandidate())));
    return;
  }
  const has = (test) => shown.some((c) => c.cost.kernels.some(test));
  const columns = [
    ["Multipliers in use", useCell, has((kernel) => typeof kernel.utilisation === "number")],
    ["Most cycles", limitCell, has((kernel) => Object.keys(kernel.cycle_parts || {}).length > 1)],
  ].filter(([, , wanted]) => wanted);
  const uses = columns.flatMap(([title]) => (pair ? SIDES.map((side) => `${title}, ${side}`) : [title]));
  const heads = ["Kernel", "Runs on", ...uses].map((title) => put("th", { scope: "col" }, title));
  const body = put("tbody", {});
  const rows = matchKernels(shown.map((c) => c.cost.kernels)),
    short = shorten(rows.map((row) => row.name));
  for (const { name, of } of rows) {
    const sides = shown.map((_, i) => of[i]);
    body.append(
      put(
        "tr",
        {},
        put("td", { title: name }, short(name, 48)),
        put("td", {}, runsOn(of)),
        ...columns.flatMap(([, cell]) => sides.map(cell)),
      ),
    );
    sides.forEach((kernel, i) => {
      if (!kernel || !kernel.detail) return;
      const mapped = kernel.detail.loops || kernel.detail.mapping;
      const title = `${mapped ? "mapping" : "more"}${pair ? ` of ${SIDES[i]}` : ""}`;
      const detail = put("details", {}, put("summary", {}, title), put("pre", {}, said(kernel.detail).join("\n")));
      body.append(put("tr", {}, put("td", { colspan: heads.length }, detail)));
    });
  }
  target.replaceChildren(put("table", {}, put("thead", {}, put("tr", {}, ...heads)), body));
}

/** What a model says of a kernel: a loop nest as it is written, all else a line for each thing. */
function said(detail) {
  const { loops, mapping, ...rest } = detail;
  return typeof loops === "string" ? [...loops.split("\n"), ...lines(rest)] : lines(detail);
}

function lines(value, indent = "") {
  return Object.entries(value).flatMap(([key, item]) => {
    const name = `${indent}${key.replaceAll("_", " ")}`;
    const plain = item === null || typeof item !== "object" || JSON.stringify(item).length < 70;
    if (plain) return [`${name}: ${typeof item === "object" ? JSON.stringify(item) : item}`];
    return [`${name}:`, ...lines(item, `${indent}  `)];
  });
}

store.on(drawKernels, "selected", "compared", "version");
