"use strict";
(() => {
  const run = JSON.parse(document.getElementById("run-data").textContent);
  const NS = "http://www.w3.org/2000/svg";
  const axes = new Map(run.axes.map((axis) => [axis.key, axis]));
  const byId = new Map();
  for (const candidate of run.candidates) {
    if (!byId.has(candidate.id) || candidate.front) byId.set(candidate.id, candidate);
  }
  const front = run.candidates.filter((candidate) => candidate.front);
  let chosen = run.candidates.find((c) => c.knee) || front[0] || run.candidates.find((c) => c.status === "ok") || null;

  // ---- small tools -------------------------------------------------------------------------------------
  function put(tag, attributes, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }
  function svg(tag, attributes, ...children) {
    return fill(document.createElementNS(NS, tag), attributes, children);
  }
  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
    for (const child of children) node.append(child);
    return node;
  }
  function text(x, y, content, attributes) {
    return svg("text", { x, y, ...attributes }, content);
  }
  function plot(height, label, width = 640) {
    return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  }

  // ---- numbers -----------------------------------------------------------------------------------------
  const SI = [["G", 1e9], ["M", 1e6], ["k", 1e3], ["", 1], ["m", 1e-3], ["µ", 1e-6], ["n", 1e-9], ["p", 1e-12]];
  const BINARY = [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024], ["B", 1]];
  function scaleOf(value, unit) {
    const size = Math.abs(value);
    if (unit === "%") return ["%", 0.01];
    if (unit === "mm²") return [unit, 1];
    if (unit === "B") return BINARY.find(([, factor]) => size >= factor) || BINARY[3];
    const list = unit ? SI : SI.slice(0, 4);
    const [prefix, factor] = size ? list.find(([, f]) => size >= f * 0.9995) || list[list.length - 1] : ["", 1];
    return [prefix + unit, factor];
  }
  function number(value, digits = 3) {
    const size = Math.abs(value);
    if (size >= 1000) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(digits)));
  }
  function show(value, unit) {
    if (value === undefined || value === null) return "-";
    const [name, factor] = scaleOf(value, unit || "");
    return `${number(value / factor)} ${name}`.trim();
  }
  function ticks(low, high, count) {
    const raw = (high - low) / Math.max(count, 1);
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
    return found;
  }
  /** A linear scale whose ticks are round numbers in the unit that the axis is shown in. */
  function linear(low, high, from, to, unit, count) {
    if (high === low) { high += Math.abs(high) * 0.1 || 1; low -= Math.abs(low) * 0.1; }
    const [name, factor] = scaleOf(Math.max(Math.abs(low), Math.abs(high)), unit || "");
    const at = (value) => from + ((value - low) / (high - low)) * (to - from);
    const marks = ticks(low / factor, high / factor, count).map((mark) => [number(mark), at(mark * factor)]);
    return { at, low, high, name, marks };
  }

  /** The same with a logarithmic scale; every value must be positive. */
  function logarithmic(low, high, from, to, unit) {
    const span = Math.log(high / low);
    const at = (value) => from + (Math.log(value / low) / span) * (to - from);
    const [name, factor] = scaleOf(Math.sqrt(low * high), unit || "");
    const steps = high / low > 300 ? [1] : [1, 2, 5];
    const marks = [];
    for (let power = Math.floor(Math.log10(low / factor)); 10 ** power <= high / factor; power += 1) {
      for (const step of steps) {
        const mark = step * 10 ** power;
        if (mark * factor >= low && mark * factor <= high) marks.push([number(mark), at(mark * factor)]);
      }
    }
    return { at, low, high, name, marks };
  }
  /** Names without the part that all of them begin with, cut at the front where they are too long. */
  function shorten(names) {
    let common = names.length > 1 ? names[0].lastIndexOf(".") + 1 : 0;
    while (common && !names.every((name) => name.startsWith(names[0].slice(0, common)))) {
      common = names[0].lastIndexOf(".", common - 2) + 1;
    }
    return (name, length) => {
      const rest = name.slice(common);
      return rest.length > length ? "…" + rest.slice(rest.length - Math.max(1, length - 1)) : rest;
    };
  }

  // ---- scatter -----------------------------------------------------------------------------------------
  const W = 760, H = 430, LEFT = 64, RIGHT = 18, TOP = 30, BOTTOM = 46, STRIP = 26;
  const box = document.getElementById("scatter");
  const selectX = document.getElementById("x-axis");
  const selectY = document.getElementById("y-axis");
  const showInfeasible = document.getElementById("show-infeasible");
  for (const [select, key] of [[selectX, run.x], [selectY, run.y]]) {
    for (const axis of run.axes) select.append(put("option", { value: axis.key }, axis.label));
    if (key !== null) select.value = key;
  }
  selectY.addEventListener("change", drawScatter);
  const logX = document.getElementById("log-x");
  for (const box of [showInfeasible, logX]) box.addEventListener("change", drawScatter);
  selectX.addEventListener("change", chooseScale);
  function chooseScale() {
    const values = front.map((c) => c.values[selectX.value]).filter((v) => v > 0);
    logX.checked = values.length > 2 && Math.max(...values) > 20 * Math.min(...values);
    drawScatter();
  }

  function extent(points, key, budgets) {
    const values = points.map((c) => c.values[key]).filter((v) => v !== undefined);
    if (!values.length) return null;
    values.sort((a, b) => a - b);
    const feasible = points.filter((c) => c.status === "ok").map((c) => c.values[key]).filter((v) => v !== undefined);
    // Infeasible candidates far away would press everything else into a corner.
    const largest = values[values.length - 1];
    let high = feasible.length ? Math.min(largest, 2 * Math.max(...feasible)) : largest;
    let low = values[0];
    for (const budget of budgets) {
      if (budget.bound !== null && budget.bound < 2.5 * high) high = Math.max(high, budget.bound * 1.04);
    }
    const pad = (high - low) * 0.05;
    low = low >= 0 && low < (high - low) * 0.35 ? 0 : low - pad;
    return [low, high + pad];
  }

  function drawScatter() {
    box.replaceChildren();
    const xAxis = axes.get(selectX.value), yAxis = axes.get(selectY.value);
    const points = run.candidates.filter((c) => ["ok", "stopped"].includes(c.status) || (c.status === "infeasible" && showInfeasible.checked));
    if (!xAxis || !yAxis || !points.length) {
      box.append(put("p", {}, "There is nothing to draw yet."));
      return;
    }
    const budgetsOf = (axis) => run.budgets.filter((b) => b.key === axis.key);
    const xRange = extent(points, xAxis.key, budgetsOf(xAxis));
    const yRange = extent(points, yAxis.key, budgetsOf(yAxis));
    const drawing = plot(H, `${yAxis.label} against ${xAxis.label}`, W);
    box.append(drawing);
    if (!xRange || !yRange) {
      box.replaceChildren(put("p", {}, "No candidate has both quantities."));
      return;
    }
    const strip = points.some((c) => c.values[yAxis.key] === undefined && c.values[xAxis.key] !== undefined);
    const top = TOP + (strip ? STRIP : 0);
    const known = points.map((c) => c.values[xAxis.key]).filter((v) => v !== undefined);
    const least = Math.min(...known);
    const x = logX.checked && least > 0
      ? logarithmic(least * 0.85, Math.max(...known) * 1.15, LEFT, W - RIGHT, xAxis.unit)
      : linear(...xRange, LEFT, W - RIGHT, xAxis.unit, 8);
    const y = linear(...yRange, H - BOTTOM, top, yAxis.unit, 6);
    const inside = (px, py) => px >= LEFT - 1 && px <= W - RIGHT + 1 && py >= TOP - 1 && py <= H - BOTTOM + 1;
    for (const [label, at] of x.marks) {
      drawing.append(svg("line", { class: "grid", x1: at, x2: at, y1: top, y2: H - BOTTOM }));
      drawing.append(text(at, H - BOTTOM + 16, label, { "text-anchor": "middle" }));
    }
    for (const [label, at] of y.marks) {
      drawing.append(svg("line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }));
      drawing.append(text(LEFT - 8, at + 4, label, { "text-anchor": "end" }));
    }
    if (strip) {
      drawing.append(svg("rect", { class: "strip", x: LEFT, y: TOP, width: W - RIGHT - LEFT, height: STRIP - 6 }));
      drawing.append(text(LEFT - 8, TOP + 14, "none", { "text-anchor": "end" }));
      drawing.append(text(W - RIGHT - 4, TOP - 4, `not trained: ${yAxis.label.toLowerCase()} unknown`, { "text-anchor": "end" }));
    }
    drawing.append(svg("rect", { class: "frame", x: LEFT, y: top, width: W - RIGHT - LEFT, height: H - BOTTOM - top }));
    drawing.append(text((LEFT + W - RIGHT) / 2, H - 8, axisTitle(xAxis, x), { "text-anchor": "middle", class: "strong" }));
    drawing.append(text(8, 14, axisTitle(yAxis, y), { class: "strong" }));
    for (const budget of budgetsOf(xAxis)) {
      if (budget.bound === null || budget.bound < x.low || budget.bound > x.high) continue;
      const at = x.at(budget.bound), edge = budget.upper ? W - RIGHT : LEFT;
      drawing.append(svg("rect", { class: "beyond", x: Math.min(at, edge), y: TOP, width: Math.abs(edge - at), height: H - BOTTOM - TOP }));
      drawing.append(svg("line", { class: "budget", x1: at, x2: at, y1: TOP, y2: H - BOTTOM }));
      drawing.append(text(at + (budget.upper ? -5 : 5), H - BOTTOM - 7, `${budget.name} ${budget.text}`, { class: "limit", "text-anchor": budget.upper ? "end" : "start" }));
    }
    for (const budget of budgetsOf(yAxis)) {
      if (budget.bound === null || budget.bound < y.low || budget.bound > y.high) continue;
      const at = y.at(budget.bound), edge = budget.upper ? top : H - BOTTOM;
      drawing.append(svg("rect", { class: "beyond", x: LEFT, y: Math.min(at, edge), width: W - RIGHT - LEFT, height: Math.abs(edge - at) }));
      drawing.append(svg("line", { class: "budget", x1: LEFT, x2: W - RIGHT, y1: at, y2: at }));
      drawing.append(text(W - RIGHT - 5, at + (budget.upper ? 13 : -5), `${budget.name} ${budget.text}`, { class: "limit", "text-anchor": "end" }));
    }
    const place = (c) => {
      const px = c.values[xAxis.key], py = c.values[yAxis.key];
      if (px === undefined) return null;
      return [x.at(px), py === undefined ? TOP + (STRIP - 6) / 2 : y.at(py)];
    };
    drawStairs(drawing, xAxis, yAxis, x, y);
    const layers = [
      points.filter((c) => c.status !== "ok"),
      points.filter((c) => c.status === "ok" && !c.front),
      points.filter((c) => c.front),
    ];
    for (const candidate of new Set([...front, chosen])) drawIntervals(drawing, candidate, place, xAxis, yAxis, x, y, inside);
    let outside = 0;
    for (const candidate of layers.flat()) {
      const at = place(candidate);
      if (at === null) continue;
      if (!inside(...at)) { outside += 1; continue; }
      drawing.append(mark(candidate, ...at));
    }
    if (outside) drawing.append(text(W - RIGHT - 4, H - BOTTOM + 32, `${outside} outside the picture`, { "text-anchor": "end" }));
    const at = chosen && place(chosen);
    if (at && inside(...at) && points.includes(chosen)) drawing.append(svg("circle", { class: "ring", cx: at[0], cy: at[1], r: 9 }));
  }
  function axisTitle(axis, scale) {
    return scale.name ? `${axis.label} (${scale.name})` : axis.label;
  }
  function drawStairs(drawing, xAxis, yAxis, x, y) {
    const wanted = new Map(run.objectives.map((o) => [o.key, o.direction]));
    if (wanted.get(xAxis.key) !== "min" || wanted.get(yAxis.key) !== "min" || run.objectives.length !== 2) return;
    const points = front.map((c) => [x.at(c.values[xAxis.key]), y.at(c.values[yAxis.key])]).sort((a, b) => a[0] - b[0]);
    if (points.length < 2) return;
    let path = `M${points[0][0]} ${points[0][1]}`;
    for (const [px, py] of points.slice(1)) path += `H${px}V${py}`;
    drawing.append(svg("path", { class: "stair", d: path }));
  }
  /** The intervals of estimates that nothing has measured since; of the selected candidate, in any case. */
  function drawIntervals(drawing, candidate, place, xAxis, yAxis, x, y, inside) {
    const at = candidate && candidate.bands && place(candidate);
    if (!at || !inside(...at)) return;
    for (const [axis, scale, from, to, across] of [[xAxis, x, LEFT, W - RIGHT, true], [yAxis, y, H - BOTTOM, TOP, false]]) {
      const band = candidate.bands[axis.key], estimate = estimateOf(candidate, axis.key);
      if (band === undefined || (estimate !== candidate.values[axis.key] && candidate !== chosen)) continue;
      const clip = (value) => Math.min(Math.max(value, Math.min(from, to)), Math.max(from, to));
      const [a, b] = [estimate * (1 - band), estimate * (1 + band)].map((value) => clip(scale.at(Math.max(value, 1e-30))));
      const path = across ? `M${a} ${at[1]}H${b}M${a} ${at[1] - 3}v6M${b} ${at[1] - 3}v6` : `M${at[0]} ${a}V${b}M${at[0] - 3} ${a}h6M${at[0] - 3} ${b}h6`;
      drawing.append(svg("path", { class: candidate === chosen ? "whisker" : "whisker faint", d: path }));
    }
  }
  function estimateOf(candidate, key) {
    const before = (candidate.estimated || {})[key];
    return before === undefined ? candidate.values[key] : before;
  }
  function mark(candidate, px, py) {
    let node;
    if (candidate.status === "stopped") {
      node = svg("circle", { class: "dot stopped", cx: px, cy: py, r: 3 });
    } else if (candidate.status !== "ok") {
      node = svg("path", { class: "dot infeasible", d: `M${px - 3} ${py - 3}l6 6M${px + 3} ${py - 3}l-6 6` });
    } else if (candidate.knee) {
      node = svg("rect", { class: "dot knee", x: px - 5.5, y: py - 5.5, width: 11, height: 11, transform: `rotate(45 ${px} ${py})` });
    } else {
      node = svg("circle", { class: candidate.front ? "dot front" : "dot ok", cx: px, cy: py, r: candidate.front ? 5.5 : 4 });
    }
    if (candidate.open) node.classList.add("open");
    const facts = run.axes.filter((a) => candidate.values[a.key] !== undefined).map((a) => `${a.label}: ${show(candidate.values[a.key], a.unit)}`);
    node.append(svg("title", {}, [candidate.id, ...facts].join("\n")));
    node.addEventListener("click", () => choose(candidate));
    return node;
  }
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Candidates; the arrow keys walk along the front");
  box.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!move || !front.length) return;
    event.preventDefault();
    const key = selectX.value;
    const sorted = [...front].sort((a, b) => a.values[key] - b.values[key]);
    const position = sorted.indexOf(chosen);
    choose(sorted[position < 0 ? 0 : Math.min(sorted.length - 1, Math.max(0, position + move))]);
  });

  // ---- the selected candidate --------------------------------------------------------------------------
  function choose(candidate) {
    chosen = candidate;
    drawScatter();
    drawSelected();
    drawRam();
    drawLatency();
    drawKernels();
    for (const row of document.querySelectorAll("#front tbody tr")) {
      const here = candidate !== null && row.dataset.id === candidate.id;
      row.classList.toggle("chosen", here);
      if (here) row.setAttribute("aria-current", "true"); else row.removeAttribute("aria-current");
    }
  }
  function band(error) {
    return error === undefined || error === null ? "error not known" : `± ${number(100 * error, 2)} %`;
  }
  function drawSelected() {
    const panel = document.getElementById("selected");
    panel.replaceChildren();
    if (!chosen) { panel.append(put("p", {}, "No candidate is feasible.")); return; }
    const heading = put("p", { class: "id" }, chosen.id + " ");
    if (chosen.knee) heading.append(put("span", { class: "badge" }, "knee"), " ");
    else if (chosen.front) heading.append(put("span", { class: "badge front" }, "front"), " ");
    if (chosen.open) heading.append(put("span", { class: "badge open" }, "uncertain"), " ");
    if (chosen.status !== "ok") heading.append(put("span", { class: "badge bad" }, { infeasible: "over a budget", stopped: "training stopped early" }[chosen.status] || chosen.status));
    panel.append(heading);
    if (chosen.reason) panel.append(put("p", { class: "note" }, chosen.reason.filter(Boolean).join(": ")));
    if (chosen.onnx) panel.append(put("a", { href: chosen.onnx }, "Open the ONNX file"));
    const figures = (chosen.cost && chosen.cost.figures) || {};
    for (const axis of run.axes) {
      const value = chosen.values[axis.key];
      if (value === undefined) continue;
      const row = put("div", { class: "figure" }, put("span", {}, axis.label), put("span", { class: "value" }, show(value, axis.unit)));
      for (const budget of run.budgets.filter((b) => b.key === axis.key && b.bound)) {
        const share = value / budget.bound;
        const fillBar = put("i", { style: `width:${Math.min(100, 100 * share)}%` });
        const over = budget.upper ? share > 1 : share < 1;
        row.append(put("div", { class: over ? "gauge over" : "gauge", role: "img", "aria-label": `${Math.round(100 * share)} % of the budget` }, fillBar));
      }
      const figure = figures[axis.key];
      const notes = [];
      if (run.measured[axis.key]) notes.push(run.measured[axis.key]);
      const before = (chosen.estimated || {})[axis.key], width = (chosen.bands || {})[axis.key];
      if (before !== undefined) notes.push(`measured, estimate ${show(before, axis.unit)} ${width === undefined ? "" : band(width)} (${signed(before / value - 1)})`);
      else if (figure) notes.push(figure.source || "source not given", band(figure.error));
      for (const budget of run.budgets.filter((b) => b.key === axis.key)) notes.push(`budget ${budget.text}`);
      const emulated = before === undefined && chosen.emulated && chosen.emulated.figures[axis.key];
      if (chosen.open && width !== undefined) notes.push("its interval holds the budget");
      if (emulated) notes.push(`${chosen.emulated.source} ${show(emulated, axis.unit)} (estimate ${signed(value / emulated - 1)})`);
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
  function signed(share) {
    return `${share < 0 ? "" : "+"}${(100 * share).toFixed(1)} %`;
  }
  function split(parts) {
    return Object.entries(parts).map(([name, bytes]) => `${name} ${show(bytes, "B")}`).join(", ");
  }
  function nothing(id, message) {
    document.getElementById(id).replaceChildren(put("p", { class: "note" }, message));
    document.getElementById(`${id}-note`).textContent = "";
  }
  function missing() {
    if (!chosen) return "No candidate is selected.";
    if (chosen.status !== "ok") return "Only feasible candidates carry a cost report.";
    return "The details of this candidate are in candidates.jsonl.";
  }

  function drawRam() {
    const cost = chosen && chosen.cost;
    const buffers = cost ? cost.buffers.filter((b) => b.bytes > 0 && b.offset !== undefined) : [];
    if (!buffers.length) { nothing("ram", cost ? "The target's cost model does not say where memory goes." : missing()); return; }
    const steps = Math.max(...buffers.map((b) => b.last)) + 1;
    const load = Array.from({ length: steps }, (_, k) => Math.max(0, ...buffers.filter((b) => b.first <= k && k <= b.last).map((b) => b.offset + b.bytes)));
    const high = Math.max(...load);
    const live = load.map((_, k) => buffers.filter((b) => b.first <= k && k <= b.last).reduce((sum, b) => sum + b.bytes, 0));
    // The arena reaches its end at one step or several; the fullest of them is the peak.
    const peak = load.reduce((best, top, k) => (top === high && (best < 0 || live[k] > live[best]) ? k : best), -1);
    const short = shorten(buffers.map((b) => String(b.name)));
    const width = 640, height = 330, left = 58, right = 10, top = 14, bottom = 40;
    const drawing = plot(height, "Memory offset of every buffer over the kernels", width);
    const y = linear(0, high * 1.03, height - bottom, top, "B", 5);
    const cell = (width - left - right) / steps;
    for (const [label, at] of y.marks) {
      drawing.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
      drawing.append(text(left - 8, at + 4, label, { "text-anchor": "end" }));
    }
    buffers.forEach((buffer, index) => {
      const x0 = left + buffer.first * cell, w = (buffer.last - buffer.first + 1) * cell;
      const y0 = y.at(buffer.offset + buffer.bytes), h = y.at(buffer.offset) - y0;
      const atPeak = buffer.first <= peak && peak <= buffer.last;
      const node = svg("rect", { class: atPeak ? "buffer at-peak" : "buffer", x: x0, y: y0, width: w, height: Math.max(h, 1), fill: `var(--b${index % 8})`, opacity: atPeak ? 1 : 0.6 });
      node.append(svg("title", {}, `${buffer.name}\n${show(buffer.bytes, "B")} at offset ${buffer.offset}\nkernels ${buffer.first} to ${buffer.last}`));
      drawing.append(node);
      const label = short(String(buffer.name), Math.floor((w - 6) / 6.2));
      if (h > 13 && w > 26) drawing.append(text(x0 + w / 2, y0 + h / 2 + 4, label, { "text-anchor": "middle", class: "on" }));
    });
    drawing.append(svg("line", { class: "peak", x1: left, x2: width - right, y1: y.at(high), y2: y.at(high) }));
    const every = Math.ceil(steps / 24);
    for (let k = 0; k < steps; k += every) drawing.append(text(left + (k + 0.5) * cell, height - bottom + 15, String(k), { "text-anchor": "middle" }));
    drawing.append(text((left + width - right) / 2, height - 6, "kernel", { "text-anchor": "middle", class: "strong" }));
    drawing.append(text(4, 11, y.name, { class: "strong" }));
    document.getElementById("ram").replaceChildren(drawing);
    const named = buffers.filter((b) => b.first <= peak && peak <= b.last).sort((a, b) => b.bytes - a.bytes).map((b) => `${b.name} (${show(b.bytes, "B")})`);
    const kernel = cost.kernels[peak];
    document.getElementById("ram-note").textContent =
      `Peak of the arena, ${show(high, "B")}, at kernel ${peak}${kernel ? ` (${kernel.name})` : ""}: ${named.join(", ")}.` + (cost.liveness ? ` No plan can need less than ${show(cost.liveness, "B")}.` : "") + (Object.keys(cost.ram).length > 1 ? ` RAM in all: ${split(cost.ram)}.` : "");
  }

  function drawLatency() {
    const kernels = ((chosen && chosen.cost && chosen.cost.kernels) || []).filter((k) => typeof k.latency_s === "number");
    if (!kernels.length) { nothing("latency", missing()); return; }
    const short = shorten(kernels.map((k) => String(k.name)));
    const parts = partNames(kernels, "cycle_parts");
    const row = 19, left = 178, right = 96, top = 6, bottom = 24, width = 640;
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
      const y = top + index * row, middle = y + row / 2;
      const bar = stack(x, left, y + 3, row - 6, kernel.latency_s, kernel.cycle_parts, parts);
      const facts = [kernel.name, kernel.kernel_class || kernel.kind, show(kernel.latency_s, "s"), kernel.macs !== undefined ? `${show(kernel.macs, "")} MACs` : "", kernel.source || "", band(kernel.error)];
      if (emulated[kernel.name]) facts.push(`${chosen.emulated.source} ${show(emulated[kernel.name], "s")} (estimate ${signed(kernel.latency_s / emulated[kernel.name] - 1)})`);
      bar.append(svg("title", {}, facts.filter(Boolean).join("\n")));
      const name = text(left - 8, middle + 4, short(String(kernel.name), 27), { "text-anchor": "end", class: "strong" });
      name.append(svg("title", {}, String(kernel.name)));
      drawing.append(name, bar);
      let end = x.at(kernel.latency_s);
      if (kernel.error) {
        const a = x.at(kernel.latency_s * (1 - kernel.error)), b = x.at(kernel.latency_s * (1 + kernel.error));
        drawing.append(svg("path", { class: "whisker", d: `M${a} ${middle}H${b}M${a} ${middle - 3}v6M${b} ${middle - 3}v6` }));
        end = Math.max(end, b);
      }
      if (emulated[kernel.name]) {
        const at = x.at(emulated[kernel.name]);
        drawing.append(svg("line", { class: "emulated", x1: at, x2: at, y1: y + 2, y2: y + row - 2 }));
        end = Math.max(end, at);
      }
      drawing.append(text(end + 6, middle + 4, `${show(kernel.latency_s, "s")}, ${number((100 * kernel.latency_s) / total, 2)} %`, {}));
    });
    document.getElementById("latency").replaceChildren(drawing, ...legend(parts));
    const sources = [...new Set(kernels.map((k) => k.source).filter(Boolean))];
    const errors = kernels.map((k) => k.error).filter((e) => typeof e === "number");
    const range = errors.length ? ` Error bands: ± ${number(100 * Math.min(...errors), 2)} to ${number(100 * Math.max(...errors), 2)} %.` : " Error not known.";
    const marks = Object.keys(emulated).length ? ` Upright lines: ${chosen.emulated.source}.` : "";
    document.getElementById("latency-note").textContent = `Sum ${show(total, "s")}. Source: ${sources.join(", ") || "not given"}.${range}${marks}`;
  }

  // ---- parts of kernels, as cost models of accelerators tell them apart ---------------------------------
  const OTHER = "all other";
  /** Names of the parts of all kernels, those that take most first; of many, all but the first few in one. */
  function partNames(kernels, key) {
    const sums = {};
    for (const kernel of kernels) for (const [name, value] of Object.entries(kernel[key] || {})) if (value > 0) sums[name] = (sums[name] || 0) + value;
    const names = Object.keys(sums).sort((a, b) => sums[b] - sums[a]);
    return names.length > 8 ? [...names.slice(0, 7), OTHER] : names;
  }
  /** Parts by name, those that have no name of their own in the picture together. */
  function grouped(parts, names) {
    const sums = {};
    for (const [name, value] of Object.entries(parts || {})) {
      const shown = names.includes(name) ? name : OTHER;
      sums[shown] = (sums[shown] || 0) + value;
    }
    return sums;
  }
  /** A bar from the left, divided in the proportion of its parts; plain where it has less than two. */
  function stack(x, left, y, height, value, parts, names) {
    const sums = grouped(parts, names), present = names.filter((name) => sums[name] > 0);
    const sum = present.reduce((total, name) => total + sums[name], 0);
    if (names.length < 2 || !sum) return svg("rect", { class: "bar", x: left, y, width: Math.max(x.at(value) - left, 0.5), height });
    const group = svg("g", {});
    let from = left;
    for (const name of present) {
      const width = ((x.at(value) - left) * sums[name]) / sum;
      const piece = svg("rect", { x: from, y, width: Math.max(width, 0.3), height, fill: `var(--b${names.indexOf(name) % 8})` });
      group.append(piece);
      from += width;
    }
    return group;
  }
  function legend(names) {
    if (names.length < 2) return [];
    const line = put("p", { class: "legend" });
    names.forEach((name, index) => {
      const mark = svg("svg", { width: 12, height: 12, "aria-hidden": "true" }, svg("rect", { width: 12, height: 12, rx: 2, fill: `var(--b${index % 8})` }));
      line.append(put("span", {}, mark, ` ${name.replaceAll("_", " ")}`));
    });
    return [line];
  }
  function drawKernels() {
    const kernels = (chosen && chosen.cost && chosen.cost.kernels) || [];
    const detailed = kernels.some((k) => k.energy_j !== undefined || k.utilisation !== undefined || k.detail);
    document.getElementById("by-kernel").hidden = !detailed;
    if (!detailed) return;
    drawEnergy(kernels.filter((k) => typeof k.energy_j === "number"));
    const table = put("table", {}, put("thead", {}, put("tr", {}, ...["Kernel", "Runs on", "Multipliers in use"].map((title) => put("th", { scope: "col" }, title)))));
    const body = put("tbody", {});
    for (const kernel of kernels) {
      const use = typeof kernel.utilisation === "number" ? `${number(100 * kernel.utilisation, 3)} %` : "-";
      body.append(put("tr", {}, put("td", {}, String(kernel.name)), put("td", {}, String(kernel.kernel_class || kernel.kind)), put("td", { class: "number" }, use)));
      if (kernel.detail) {
        const detail = put("details", {}, put("summary", {}, "how it is mapped"), put("pre", {}, said(kernel.detail).join("\n")));
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
  function drawEnergy(kernels) {
    if (!kernels.length) { nothing("energy", "The target's description does not give the energy."); return; }
    const short = shorten(kernels.map((k) => String(k.name))), names = partNames(kernels, "energy_parts_j");
    const row = 19, left = 178, right = 96, top = 6, bottom = 24, width = 640;
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
      const y = top + index * row, middle = y + row / 2;
      const bar = stack(x, left, y + 3, row - 6, kernel.energy_j, kernel.energy_parts_j, names);
      const facts = Object.entries(kernel.energy_parts_j || {}).filter(([, part]) => part > 0).map(([name, part]) => `${name} ${show(part, "J")}`);
      bar.append(svg("title", {}, [kernel.name, show(kernel.energy_j, "J"), ...facts].join("\n")));
      drawing.append(text(left - 8, middle + 4, short(String(kernel.name), 27), { "text-anchor": "end", class: "strong" }), bar);
      drawing.append(text(x.at(kernel.energy_j) + 6, middle + 4, `${show(kernel.energy_j, "J")}, ${number((100 * kernel.energy_j) / total, 2)} %`, {}));
    });
    document.getElementById("energy").replaceChildren(drawing, ...legend(names));
    const figure = chosen.cost.figures.energy_j;
    const rest = chosen.values.energy_j === undefined ? 0 : chosen.values.energy_j - total;
    document.getElementById("energy-note").textContent = `Sum ${show(total, "J")}` + (rest > 1e-6 * total ? `, and ${show(rest, "J")} that flow whatever is computed.` : ".") + (figure && figure.note ? ` ${figure.note}.` : "");
  }

  // ---- progress ----------------------------------------------------------------------------------------
  function drawHistory() {
    const target = document.getElementById("history"), h = run.history;
    if (!h.evaluations.length) { target.append(put("p", {}, "Nothing feasible was found yet.")); return; }
    const width = 640, height = 250, left = 58, right = 44, top = 26, bottom = 42;
    const drawing = plot(height, "Hypervolume and front size over the evaluations", width);
    const x = linear(0, run.total, left, width - right, "", 8);
    const low = Math.min(...h.hypervolume), high = Math.max(...h.hypervolume);
    const y = linear(Math.max(0, low - (high - low) * 0.1), high + (high - low) * 0.05, height - bottom, top, "", 4);
    const z = linear(0, Math.max(...h.front) * 1.1, height - bottom, top, "", 4);
    for (const [label, at] of x.marks) drawing.append(text(at, height - bottom + 16, label, { "text-anchor": "middle" }));
    for (const [label, at] of y.marks) {
      drawing.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
      drawing.append(text(left - 8, at + 4, label, { "text-anchor": "end" }));
    }
    for (const [label, at] of z.marks) if (/^\d+$/.test(label)) drawing.append(text(width - right + 8, at + 4, label, {}));
    const steps = (values, scale) => {
      let path = `M${x.at(h.evaluations[0])} ${scale.at(values[0])}`;
      for (let i = 1; i < values.length; i += 1) path += `H${x.at(h.evaluations[i])}V${scale.at(values[i])}`;
      return path;
    };
    drawing.append(svg("path", { class: "step second", d: steps(h.front, z) }), svg("path", { class: "step", d: steps(h.hypervolume, y) }));
    drawing.append(svg("rect", { class: "frame", x: left, y: top, width: width - left - right, height: height - top - bottom }));
    drawing.append(text(4, 14, "hypervolume (line)", { class: "strong" }), text(width - 4, 14, "front size (dots)", { "text-anchor": "end", class: "strong" }));
    drawing.append(text((left + width - right) / 2, height - 6, "candidates evaluated", { "text-anchor": "middle", class: "strong" }));
    target.append(drawing);
  }

  // ---- the front's table -------------------------------------------------------------------------------
  const table = document.getElementById("front");
  if (table) {
    const body = table.tBodies[0];
    body.addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-id]");
      if (row && !event.target.closest("a")) choose(byId.get(row.dataset.id));
    });
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = cell.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => (row.cells[column].dataset.value === "" ? Infinity : Number(row.cells[column].dataset.value));
        body.append(...[...body.rows].sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b))));
      });
    });
  }

  const measured = document.getElementById("measured");
  if (measured) {
    measured.tBodies[0].addEventListener("click", (event) => {
      const row = event.target.closest("tr[data-id]");
      if (row) choose(byId.get(row.dataset.id));
    });
  }

  document.getElementById("scatter-legend").hidden = false;
  document.getElementById("stopped-legend").hidden = !run.candidates.some((c) => c.status === "stopped");
  document.getElementById("open-legend").hidden = !run.candidates.some((c) => c.open);
  const hint = document.getElementById("scatter-hint");
  hint.hidden = false;
  if (run.objectives.length > 2) {
    const names = run.objectives.map((o) => (axes.has(o.key) ? axes.get(o.key).label : o.key)).join("; ");
    hint.append(` The front is that of ${run.objectives.length} objectives (${names}): a point that looks beaten here is better in one that is not drawn.`);
  }
  drawHistory();
  chooseScale();
  choose(chosen);
})();
