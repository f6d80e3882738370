/* Memory over the inference: every buffer at its offset, while it lives. */

function nothing(id, message) {
  document.getElementById(id).replaceChildren(put("p", { class: "note" }, message));
  document.getElementById(`${id}-note`).textContent = "";
}

function missing() {
  const chosen = chosenCandidate();
  if (!chosen) return "No candidate is selected.";
  if (chosen.status !== "ok") return "Only feasible candidates carry a cost report.";
  return "The details of this candidate are in candidates.jsonl.";
}

function drawRam() {
  const chosen = chosenCandidate();
  const cost = chosen && chosen.cost;
  const buffers = cost ? cost.buffers.filter((b) => b.bytes > 0 && b.offset !== undefined) : [];
  if (!buffers.length) {
    nothing("ram", cost ? "The target's cost model does not say where memory goes." : missing());
    return;
  }
  const steps = Math.max(...buffers.map((b) => b.last)) + 1;
  const load = Array.from({ length: steps }, (_, k) =>
    Math.max(0, ...buffers.filter((b) => b.first <= k && k <= b.last).map((b) => b.offset + b.bytes)),
  );
  const high = Math.max(...load);
  const live = load.map((_, k) =>
    buffers.filter((b) => b.first <= k && k <= b.last).reduce((sum, b) => sum + b.bytes, 0),
  );
  // The arena reaches its end at one step or several; the fullest of them is the peak.
  const peak = load.reduce((best, top, k) => (top === high && (best < 0 || live[k] > live[best]) ? k : best), -1);
  const short = shorten(buffers.map((b) => String(b.name)));
  const width = 640,
    height = 330,
    left = 58,
    right = 10,
    top = 14,
    bottom = 40;
  const drawing = plot(height, "Memory offset of every buffer over the kernels", width);
  const y = linear(0, high * 1.03, height - bottom, top, "B", 5);
  const cell = (width - left - right) / steps;
  for (const [label, at] of y.marks) {
    drawing.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
    drawing.append(text(left - 8, at + 4, label, { "text-anchor": "end" }));
  }
  buffers.forEach((buffer, index) => {
    const x0 = left + buffer.first * cell,
      w = (buffer.last - buffer.first + 1) * cell;
    const y0 = y.at(buffer.offset + buffer.bytes),
      h = y.at(buffer.offset) - y0;
    const atPeak = buffer.first <= peak && peak <= buffer.last;
    const node = svg("rect", {
      class: atPeak ? "buffer at-peak" : "buffer",
      x: x0,
      y: y0,
      width: w,
      height: Math.max(h, 1),
      fill: `var(--b${index % 8})`,
      opacity: atPeak ? 1 : 0.6,
    });
    node.append(
      svg(
        "title",
        {},
        `${buffer.name}\n${show(buffer.bytes, "B")} at offset ${buffer.offset}\n` +
          `kernels ${buffer.first} to ${buffer.last}`,
      ),
    );
    drawing.append(node);
    const label = short(String(buffer.name), Math.floor((w - 6) / 6.2));
    if (h > 13 && w > 26)
      drawing.append(text(x0 + w / 2, y0 + h / 2 + 4, label, { "text-anchor": "middle", class: "on" }));
  });
  drawing.append(svg("line", { class: "peak", x1: left, x2: width - right, y1: y.at(high), y2: y.at(high) }));
  const every = Math.ceil(steps / 24);
  for (let k = 0; k < steps; k += every)
    drawing.append(text(left + (k + 0.5) * cell, height - bottom + 15, String(k), { "text-anchor": "middle" }));
  drawing.append(
    text((left + width - right) / 2, height - 6, "kernel", { "text-anchor": "middle", class: "strong" }),
  );
  drawing.append(text(4, 11, y.name, { class: "strong" }));
  document.getElementById("ram").replaceChildren(drawing);
  const named = buffers
    .filter((b) => b.first <= peak && peak <= b.last)
    .sort((a, b) => b.bytes - a.bytes)
    .map((b) => `${b.name} (${show(b.bytes, "B")})`);
  const kernel = cost.kernels[peak];
  document.getElementById("ram-note").textContent =
    `Peak of the arena, ${show(high, "B")}, at kernel ${peak}` +
    `${kernel ? ` (${kernel.name})` : ""}: ${named.join(", ")}.` +
    (cost.liveness ? ` No plan can need less than ${show(cost.liveness, "B")}.` : "") +
    (Object.keys(cost.ram).length > 1 ? ` RAM in all: ${split(cost.ram)}.` : "");
}

store.on(drawRam, "selected");
