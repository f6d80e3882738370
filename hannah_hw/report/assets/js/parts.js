/* Parts of kernels, as cost models of accelerators tell them apart. */

const OTHER = "all other";

/** Names of the parts of all kernels, those that take most first; of many, all but the first few in one. */
function partNames(kernels, key) {
  const sums = {};
  for (const kernel of kernels)
    for (const [name, value] of Object.entries(kernel[key] || {}))
      if (value > 0) sums[name] = (sums[name] || 0) + value;
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
  const sums = grouped(parts, names),
    present = names.filter((name) => sums[name] > 0);
  const sum = present.reduce((total, name) => total + sums[name], 0);
  if (names.length < 2 || !sum)
    return svg("rect", { class: "bar", x: left, y, width: Math.max(x.at(value) - left, 0.5), height });
  const group = svg("g", {});
  let from = left;
  for (const name of present) {
    const width = ((x.at(value) - left) * sums[name]) / sum;
    const piece = svg("rect", {
      x: from,
      y,
      width: Math.max(width, 0.3),
      height,
      fill: `var(--b${names.indexOf(name) % 8})`,
    });
    group.append(piece);
    from += width;
  }
  return group;
}

function legend(names) {
  if (names.length < 2) return [];
  const line = put("p", { class: "legend" });
  names.forEach((name, index) => {
    const mark = svg(
      "svg",
      { width: 12, height: 12, "aria-hidden": "true" },
      svg("rect", { width: 12, height: 12, rx: 2, fill: `var(--b${index % 8})` }),
    );
    line.append(put("span", {}, mark, ` ${name.replaceAll("_", " ")}`));
  });
  return [line];
}
