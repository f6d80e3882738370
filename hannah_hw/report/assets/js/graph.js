/* The network of a candidate as a graph of kernels; of two candidates, with what differs marked. */

/** A candidate's network: its layout, and for each box its name and what it is; null where it is not on the page. */
function networkOf(candidate) {
  const found = run.networks.of[candidate.id];
  if (!found) return null;
  const layout = run.networks.layouts[found.layout];
  const boxes = layout.names.map((name, i) => ({ name, facts: run.networks.facts[found.facts[i]] }));
  return { layout, boxes, byName: new Map(boxes.map((box) => [box.name, box])) };
}

/** Names of the facts in which a box differs from that of the same name; null where the other one has no such box. */
function differences(box, other) {
  const match = other.byName.get(box.name);
  if (!match) return null;
  const names = new Set([...Object.keys(box.facts), ...Object.keys(match.facts)]);
  return [...names].filter((name) => box.facts[name] !== match.facts[name]);
}

function windowOf(facts) {
  return [facts.kernel, facts.stride ? `/${facts.stride}` : "", facts.groups > 1 ? `g${facts.groups}` : ""]
    .filter(Boolean)
    .join(" ");
}

function boxLines(box, candidate, other, changed) {
  const { name, facts } = box,
    match = other && other.byName.get(name);
  const all = Object.entries(facts).map(([key, value]) => {
    const plain = typeof value === "number" ? value.toLocaleString("en") : value;
    const was =
      changed && changed.includes(key)
        ? ` (the other one: ${match.facts[key] === undefined ? "none" : match.facts[key].toLocaleString("en")})`
        : "";
    return `${key}: ${plain}${was}`;
  });
  const lost = (changed || [])
    .filter((key) => !(key in facts))
    .map((key) => `no ${key} (the other one: ${match.facts[key]})`);
  const kernel = ((candidate.cost && candidate.cost.kernels) || []).find((k) => k.name === name);
  const time =
    kernel && kernel.latency_s !== undefined ? `latency ${show(kernel.latency_s, "s")} ${band(kernel.error)}` : "";
  return [name, changed === null ? "only in this network" : "", ...all, ...lost, time];
}

function graphDrawing(candidate, network, other) {
  const { layout, boxes } = network,
    [width, height] = run.networks.box;
  const short = shorten(layout.names.map(String));
  const drawing = svg("svg", {
    class: "plot graph",
    width: layout.width + 4,
    height: layout.height + 4,
    viewBox: `-2 -2 ${layout.width + 4} ${layout.height + 4}`,
    role: "group",
    "aria-label": `Network of ${candidate.id}, ${boxes.length} boxes`,
  });
  for (const [x, start, leave, arrive, end, stop] of layout.lines) {
    const middle = (leave + arrive) / 2;
    const d =
      x === end
        ? `M${x} ${start}V${stop}`
        : `M${x} ${start}V${leave}C${x} ${middle} ${end} ${middle} ${end} ${arrive}V${stop}`;
    drawing.append(svg("path", { class: "wire", d }));
  }
  const times = new Map(
    ((candidate.cost && candidate.cost.kernels) || []).map((k) => [String(k.name), k.latency_s || 0]),
  );
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  boxes.forEach((box, i) => {
    const [x, y] = layout.corners[i],
      { facts } = box;
    const changed = other ? differences(box, other) : [];
    const kind = changed === null ? "box alone" : changed.length ? "box changed" : "box";
    const node = svg("g", { class: kind, transform: `translate(${x} ${y})`, role: "img" });
    const what = [facts.kind, windowOf(facts)].filter(Boolean).join(" ");
    node.setAttribute("aria-label", `${box.name}, ${what}, ${facts.out || ""}`);
    node.append(svg("rect", { width, height, rx: 4 }));
    const share = total ? (times.get(box.name) || 0) / total : 0;
    if (share) node.append(svg("rect", { class: "share", y: height - 3, width: width * share, height: 3 }));
    node.append(text(8, 14, short(String(box.name), 29), { class: "strong" }));
    node.append(text(8, 28, what, { class: mark(changed, ["kind", "kernel", "stride", "groups"]) }));
    node.append(
      text(width - 8, 28, String(facts.out || ""), { "text-anchor": "end", class: mark(changed, ["out"]) }),
    );
    drawing.append(tips.add(node, () => boxLines(box, candidate, other, changed)));
  });
  return drawing;

  function mark(changed, names) {
    return changed && names.some((name) => changed.includes(name)) ? "differs" : "";
  }
}

function whyNoNetwork(candidate) {
  const reason = run.networks.unread[candidate.id];
  if (reason) return `The model cannot be drawn: ${reason}`;
  if (!candidate.onnx) return "This candidate has no model of its own in the run, so its network is not drawn.";
  return "Only networks of the front are drawn, and of a large one an even share; open the ONNX file of others.";
}

function graphNote(pair) {
  const [a, b] = pair;
  const same = a.boxes.filter((box) => (differences(box, b) || [1]).length === 0).length;
  const changed = a.boxes.filter((box) => (differences(box, b) || []).length > 0).length;
  const alone = [a, b].map((one, i) => one.boxes.filter((box) => !pair[1 - i].byName.has(box.name)).length);
  return (
    `Boxes of the same name: ${same} alike, ${changed} that differ; others: ${alone[0]} in A alone, ` +
    `${alone[1]} in B alone.`
  );
}

function drawGraph() {
  const shown = shownCandidates(),
    networks = shown.map(networkOf);
  document.getElementById("card-network").hidden = !Object.keys(run.networks.of).length;
  if (!shown.length) {
    nothing("network", missing(null));
    return;
  }
  besideEachOther(
    "network",
    networks.map((network, i) => {
      if (!network) return put("p", { class: "note" }, whyNoNetwork(shown[i]));
      return put("div", { class: "frame" }, graphDrawing(shown[i], network, networks[1 - i] || null));
    }),
  );
  const both = networks.length === 2 && networks.every(Boolean);
  const shares = document.querySelector("#network .share");
  const marks = both ? ` ${graphNote(networks)}` : "";
  document.getElementById("network-note").textContent =
    "Kernels as the data flows, with the shape of their results without batch" +
    `${shares ? "; blue line: share of the latency" : ""}.` +
    marks;
  rove(document.getElementById("network"));
}

store.on(drawGraph, "selected", "compared", "version");
