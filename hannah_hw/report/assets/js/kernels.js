/* Latency and energy by kernel, and how the kernels run. */

function drawLatency() {
  const chosen = chosenCandidate();
  const kernels = ((chosen && chosen.cost && chosen.cost.kernels) || []).filter(
    (k) => typeof k.latency_s === "number",
  );
  if (!kernels.length) {
    nothing("latency", missing());
    return;
  }
  const short = shorten(kernels.map((k) => String(k.name)));
  const parts = partNames(kernels, "cycle_parts");
  const row = 19,
    left = 178,
    right = 96,
    top = 6,
    bottom = 24,
    width = 640;
  const height = top + bottom + row * kernels.length;
  const total = kernels.reduce((sum, k) => sum + k.latency_s, 0);
  const emulated = (chosen.emulated && chosen.emulated.kernels) || {};
  const high = Math.max(...kernels.map((k) => Math.max(k.latency_s * (1 + (k.error || 0)), emulated[k.name] || 0)));
  const drawing = plot(height, "Latency of every kernel", width);
  const x = linear(0, high, left, width - right, "s", 5);
  for (const [label, at] of x.marks) {
    drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom }));
    drawing.append(text(at, height - 8, label, { "text-anchor": "middle" }));
  }
  drawing.append(text(width - 4, height - 8, x.name, { "text-anchor": "end", class: "strong" }));
  kernels.forEach((kernel, index) => {
    const y = top + index * row,
      middle = y + row / 2;
    const bar = stack(x, left, y + 3, row - 6, kernel.latency_s, kernel.cycle_parts, parts);
    const facts = [
      kernel.name,
      kernel.kernel_class || kernel.kind,
      show(kernel.latency_s, "s"),
      kernel.macs !== undefined ? `${show(kernel.macs, "")} MACs` : "",
      kernel.source || "",
      band(kernel.error),
    ];
    if (emulated[kernel.name])
      facts.push(
        `${chosen.emulated.source} ${show(emulated[kernel.name], "s")}` +
          ` (estimate ${signed(kernel.latency_s / emulated[kernel.name] - 1)})`,
      );
    bar.append(svg("title", {}, facts.filter(Boolean).join("\n")));
    const name = text(left - 8, middle + 4, short(String(kernel.name), 27), {
      "text-anchor": "end",
      class: "strong",
    });
    name.append(svg("title", {}, String(kernel.name)));
    drawing.append(name, bar);
    let end = x.at(kernel.latency_s);
    if (kernel.error) {
      const a = x.at(kernel.latency_s * (1 - kernel.error)),
        b = x.at(kernel.latency_s * (1 + kernel.error));
      drawing.append(
        svg("path", { class: "whisker", d: `M${a} ${middle}H${b}M${a} ${middle - 3}v6M${b} ${middle - 3}v6` }),
      );
      end = Math.max(end, b);
    }
    if (emulated[kernel.name]) {
      const at = x.at(emulated[kernel.name]);
      drawing.append(svg("line", { class: "emulated", x1: at, x2: at, y1: y + 2, y2: y + row - 2 }));
      end = Math.max(end, at);
    }
    drawing.append(
      text(
        end + 6,
        middle + 4,
        `${show(kernel.latency_s, "s")}, ${number((100 * kernel.latency_s) / total, 2)} %`,
        {},
      ),
    );
  });
  document.getElementById("latency").replaceChildren(drawing, ...legend(parts));
  const sources = [...new Set(kernels.map((k) => k.source).filter(Boolean))];
  const errors = kernels.map((k) => k.error).filter((e) => typeof e === "number");
  const range = errors.length
    ? ` Error bands: ± ${number(100 * Math.min(...errors), 2)} to ${number(100 * Math.max(...errors), 2)} %.`
    : " Error not known.";
  const marks = Object.keys(emulated).length ? ` Upright lines: ${chosen.emulated.source}.` : "";
  document.getElementById("latency-note").textContent =
    `Sum ${show(total, "s")}. Source: ${sources.join(", ") || "not given"}.${range}${marks}`;
}

function drawKernels() {
  const chosen = chosenCandidate();
  const kernels = (chosen && chosen.cost && chosen.cost.kernels) || [];
  const detailed = kernels.some((k) => k.energy_j !== undefined || k.utilisation !== undefined || k.detail);
  document.getElementById("by-kernel").hidden = !detailed;
  if (!detailed) return;
  drawEnergy(
    chosen,
    kernels.filter((k) => typeof k.energy_j === "number"),
  );
  const table = put(
    "table",
    {},
    put(
      "thead",
      {},
      put(
        "tr",
        {},
        ...["Kernel", "Runs on", "Multipliers in use"].map((title) => put("th", { scope: "col" }, title)),
      ),
    ),
  );
  const body = put("tbody", {});
  for (const kernel of kernels) {
    const use = typeof kernel.utilisation === "number" ? `${number(100 * kernel.utilisation, 3)} %` : "-";
    body.append(
      put(
        "tr",
        {},
        put("td", {}, String(kernel.name)),
        put("td", {}, String(kernel.kernel_class || kernel.kind)),
        put("td", { class: "number" }, use),
      ),
    );
    if (kernel.detail) {
      const detail = put(
        "details",
        {},
        put("summary", {}, "how it is mapped"),
        put("pre", {}, said(kernel.detail).join("\n")),
      );
      body.append(put("tr", {}, put("td", { colspan: 3 }, detail)));
    }
  }
  table.append(body);
  document.getElementById("kernels").replaceChildren(table);
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

function drawEnergy(chosen, kernels) {
  if (!kernels.length) {
    nothing("energy", "The target's description does not give the energy.");
    return;
  }
  const short = shorten(kernels.map((k) => String(k.name))),
    names = partNames(kernels, "energy_parts_j");
  const row = 19,
    left = 178,
    right = 96,
    top = 6,
    bottom = 24,
    width = 640;
  const height = top + bottom + row * kernels.length;
  const total = kernels.reduce((sum, k) => sum + k.energy_j, 0);
  const drawing = plot(height, "Energy of every kernel", width);
  const x = linear(0, Math.max(...kernels.map((k) => k.energy_j)), left, width - right, "J", 5);
  for (const [label, at] of x.marks) {
    drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: height - bottom }));
    drawing.append(text(at, height - 8, label, { "text-anchor": "middle" }));
  }
  drawing.append(text(width - 4, height - 8, x.name, { "text-anchor": "end", class: "strong" }));
  kernels.forEach((kernel, index) => {
    const y = top + index * row,
      middle = y + row / 2;
    const bar = stack(x, left, y + 3, row - 6, kernel.energy_j, kernel.energy_parts_j, names);
    const facts = Object.entries(kernel.energy_parts_j || {})
      .filter(([, part]) => part > 0)
      .map(([name, part]) => `${name} ${show(part, "J")}`);
    bar.append(svg("title", {}, [kernel.name, show(kernel.energy_j, "J"), ...facts].join("\n")));
    drawing.append(
      text(left - 8, middle + 4, short(String(kernel.name), 27), { "text-anchor": "end", class: "strong" }),
      bar,
    );
    drawing.append(
      text(
        x.at(kernel.energy_j) + 6,
        middle + 4,
        `${show(kernel.energy_j, "J")}, ${number((100 * kernel.energy_j) / total, 2)} %`,
        {},
      ),
    );
  });
  document.getElementById("energy").replaceChildren(drawing, ...legend(names));
  const figure = chosen.cost.figures.energy_j;
  const rest = chosen.values.energy_j === undefined ? 0 : chosen.values.energy_j - total;
  document.getElementById("energy-note").textContent =
    `Sum ${show(total, "J")}` +
    (rest > 1e-6 * total ? `, and ${show(rest, "J")} that flow whatever is computed.` : ".") +
    (figure && figure.note ? ` ${figure.note}.` : "");
}

store.on(drawLatency, "selected");
store.on(drawKernels, "selected");
