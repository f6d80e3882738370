/* Memory over the inference: every buffer at its offset, while it lives. */

/** Least height of a box that a line of text fits into. */
const LABEL = 14;

/** When a candidate needs most RAM, and what lives then; null where its cost report does not say. */
function memoryPlan(candidate) {
  const buffers = candidate.cost ? candidate.cost.buffers.filter((b) => b.bytes > 0 && b.offset !== undefined) : [];
  if (!buffers.length) return null;
  const steps = Math.max(...buffers.map((b) => b.last)) + 1;
  const alive = Array.from({ length: steps }, (_, k) => buffers.filter((b) => b.first <= k && k <= b.last));
  const tops = alive.map((list) => Math.max(0, ...list.map((b) => b.offset + b.bytes)));
  const live = alive.map((list) => list.reduce((sum, b) => sum + b.bytes, 0));
  const high = Math.max(...tops);
  // The arena reaches its end at one step or several, the fullest of which is its peak. With the scratch memory of
  // kernels another one may need most: the cost report knows, where it knows all of the RAM.
  const fullest = tops.reduce((best, top, k) => (top === high && (best < 0 || live[k] > live[best]) ? k : best), -1);
  const said = candidate.cost.peak && candidate.cost.peak.at < steps ? candidate.cost.peak : null;
  const peak = said ? said.at : fullest;
  const atPeak = [...alive[peak]].sort((a, b) => b.bytes - a.bytes);
  const kernel = candidate.cost.kernels[peak];
  const scratch = said && said.scratch ? { bytes: said.scratch, offset: tops[peak] } : null;
  const top = Math.max(high, scratch ? scratch.offset + scratch.bytes : 0);
  return { candidate, buffers, steps, high, top, peak, said, scratch, atPeak, kernel: kernel ? kernel.name : null };
}

function memoryDrawing(plan, high, width) {
  const { buffers, steps, peak } = plan;
  const short = shorten(buffers.map((b) => String(b.name)));
  const [height, left, right, top, bottom] = [Math.min(330, 140 + 0.4 * width), 58, 10, 14, 40];
  const drawing = plot(height, `Memory of ${plan.candidate.id}: offset of every buffer over the kernels`, width);
  drawing.setAttribute("role", "group");
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
    const atPeak = plan.atPeak.includes(buffer);
    const node = svg("rect", {
      class: atPeak ? "buffer at-peak" : "buffer",
      x: x0,
      y: y0,
      width: w,
      height: Math.max(h, 1),
      fill: `var(--b${index % 8})`,
      opacity: atPeak ? 1 : 0.6,
      role: "img",
      "aria-label": `${buffer.name}, ${show(buffer.bytes, "B")}`,
    });
    tips.add(node, [
      String(buffer.name),
      `${show(buffer.bytes, "B")} at offset ${buffer.offset}, ${buffer.kind || "buffer"}`,
      `from kernel ${buffer.first} to kernel ${buffer.last}`,
      atPeak ? `live at the peak, kernel ${peak}` : "",
    ]);
    drawing.append(node);
    const label = short(String(buffer.name), Infinity);
    // What does not fit is in the tip.
    if (h >= LABEL && wordWidth(label) + 8 <= w)
      drawing.append(text(x0 + w / 2, y0 + h / 2 + 4, label, { "text-anchor": "middle", class: "on" }));
  });
  if (plan.scratch) drawing.append(scratchBox(plan, left + peak * cell, cell, y));
  const line = y.at(plan.top);
  drawing.append(svg("line", { class: "peak", x1: left, x2: width - right, y1: line, y2: line }));
  const every = Math.ceil((steps * 26) / (width - left - right));
  for (let k = 0; k < steps; k += every)
    drawing.append(text(left + (k + 0.5) * cell, height - bottom + 15, String(k), { "text-anchor": "middle" }));
  drawing.append(
    text((left + width - right) / 2, height - 6, "kernel", { "text-anchor": "middle", class: "strong" }),
  );
  drawing.append(text(4, 11, y.name, { class: "strong" }));
  return drawing;
}

/** The scratch memory of the kernel at the peak, above the buffers. */
function scratchBox({ scratch, peak }, x, width, y) {
  const top = y.at(scratch.offset + scratch.bytes);
  const node = svg("rect", {
    class: "scratch",
    x,
    y: top,
    width,
    height: Math.max(1, y.at(scratch.offset) - top),
    role: "img",
    "aria-label": `scratch, ${show(scratch.bytes, "B")}`,
  });
  return tips.add(node, ["scratch", `${show(scratch.bytes, "B")} that kernel ${peak} works in`]);
}

function memoryNote(plan) {
  const { cost } = plan.candidate;
  const named = plan.atPeak.map((b) => `${b.name} (${show(b.bytes, "B")})`);
  const kernel = `kernel ${plan.peak}${plan.kernel ? ` (${plan.kernel})` : ""}`;
  const least = cost.liveness ? ` No plan of the buffers can need less than ${show(cost.liveness, "B")}.` : "";
  if (plan.said) return `At most ${show(plan.said.bytes, "B")}, while ${kernel} runs: ${plan.said.of}.${least}`;
  const all = Object.keys(cost.ram).length > 1 ? ` RAM in all: ${split(cost.ram)}.` : "";
  return `Peak of the arena, ${show(plan.high, "B")}, at ${kernel}: ${named.join(", ")}.${least}${all}`;
}

/** How the peak of the second of two compares with that of the first: of all RAM, where that is known of both. */
function memoryChange(a, b) {
  const all = a.said && b.said;
  const [from, to] = all ? [a.said.bytes, b.said.bytes] : [a.high, b.high];
  const change = from === to ? "the same" : signed(to / from - 1);
  return `The peak of ${all ? "" : "the arena of "}B against that of A: ${change}.`;
}

function drawRam() {
  hideUnless("card-ram", (cost) => cost.buffers.length > 0);
  const shown = shownCandidates(),
    plans = shown.map(memoryPlan);
  if (!plans.some(Boolean)) {
    const says = shown.length && shown[0].cost ? "The target's cost model does not say where memory goes." : "";
    nothing("ram", says || missing(shown[0]));
    return;
  }
  const high = Math.max(...plans.map((plan) => (plan ? plan.top : 0)));
  const absent = (i) => put("p", { class: "note" }, missing(shown[i]));
  besideEachOther(
    "ram",
    plans.map((plan, i) => {
      if (!plan) return absent(i);
      const parts = [memoryDrawing(plan, high, widthIn("ram", shown.length))];
      if (shown.length > 1) parts.push(put("p", { class: "note" }, memoryNote(plan)));
      return put("div", {}, ...parts);
    }),
  );
  const [a, b] = plans;
  document.getElementById("ram-note").textContent =
    shown.length === 1 ? memoryNote(a) : a && b ? memoryChange(a, b) : "";
  rove(document.getElementById("ram"));
}

store.on(drawRam, "selected", "compared", "version");
