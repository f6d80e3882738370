/* Progress of the search. */

function drawHistory() {
  const target = document.getElementById("history"),
    h = run.history;
  if (!h.evaluations.length) {
    target.replaceChildren(put("p", {}, "Nothing feasible was found yet."));
    return;
  }
  const width = 640,
    height = 250,
    left = 58,
    right = 44,
    top = 26,
    bottom = 42;
  const drawing = plot(height, "Hypervolume and front size over the evaluations", width);
  const x = linear(0, run.total, left, width - right, "", 8);
  const low = Math.min(...h.hypervolume),
    high = Math.max(...h.hypervolume);
  const y = linear(Math.max(0, low - (high - low) * 0.1), high + (high - low) * 0.05, height - bottom, top, "", 4);
  const z = linear(0, Math.max(...h.front) * 1.1, height - bottom, top, "", 4);
  for (const [label, at] of x.marks)
    drawing.append(text(at, height - bottom + 16, label, { "text-anchor": "middle" }));
  for (const [label, at] of y.marks) {
    drawing.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: at, y2: at }));
    drawing.append(text(left - 8, at + 4, label, { "text-anchor": "end" }));
  }
  for (const [label, at] of z.marks)
    if (/^\d+$/.test(label)) drawing.append(text(width - right + 8, at + 4, label, {}));
  const steps = (values, scale) => {
    let path = `M${x.at(h.evaluations[0])} ${scale.at(values[0])}`;
    for (let i = 1; i < values.length; i += 1) path += `H${x.at(h.evaluations[i])}V${scale.at(values[i])}`;
    return path;
  };
  drawing.append(
    svg("path", { class: "step second", d: steps(h.front, z) }),
    svg("path", { class: "step", d: steps(h.hypervolume, y) }),
  );
  drawing.append(
    svg("rect", { class: "frame", x: left, y: top, width: width - left - right, height: height - top - bottom }),
  );
  drawing.append(
    text(4, 14, "hypervolume (line)", { class: "strong" }),
    text(width - 4, 14, "front size (dots)", { "text-anchor": "end", class: "strong" }),
  );
  drawing.append(
    text((left + width - right) / 2, height - 6, "candidates evaluated", {
      "text-anchor": "middle",
      class: "strong",
    }),
  );
  target.replaceChildren(drawing);
}
