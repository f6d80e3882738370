/* Where a candidate's figures come from and how wrong they may be, in words and as intervals. */

/** The figure of a cost report, or null where this candidate's did not come with the page. */
function figureOf(candidate, key) {
  return (candidate.cost && candidate.cost.figures[key]) || null;
}

/** The estimate of a quantity, also where its value was measured since. */
function estimateOf(candidate, key) {
  const before = (candidate.estimated || {})[key];
  return before === undefined ? candidate.values[key] : before;
}

/** Whether a measurement decided the value, so that the estimate is another number. */
function isDecided(candidate, key) {
  return (candidate.estimated || {})[key] !== undefined;
}

/** What was measured of a quantity beside its estimate; undefined where nothing was. */
function measuredOf(candidate, key) {
  return candidate.emulated ? candidate.emulated.figures[key] : undefined;
}

/** Relative half width of an estimate's band; null where it is not known. */
function errorOf(candidate, key) {
  const width = (candidate.bands || {})[key];
  if (width !== undefined) return width;
  const figure = figureOf(candidate, key);
  return figure && typeof figure.error === "number" ? figure.error : null;
}

/** Relative half width of a measurement's band; null where it is not known. */
function measuredErrorOf(candidate, key) {
  const found = ((candidate.emulated || {}).errors || {})[key];
  return found === undefined ? null : found;
}

/** The 95 % interval of a share that was counted on some samples (Wilson, 1927). */
function wilson(share, samples) {
  const z = 1.96,
    weight = 1 + (z * z) / samples;
  const middle = share + (z * z) / (2 * samples);
  const half = z * Math.sqrt((share * (1 - share)) / samples + (z * z) / (4 * samples * samples));
  return [Math.max(0, (middle - half) / weight), Math.min(1, (middle + half) / weight)];
}

/** [low, high] of a value, [value, value] of one that is exact, null where its error is not known. */
function intervalOf(candidate, key) {
  const value = candidate.values[key];
  if (value === undefined) return null;
  const known = run.provenance.metrics[key];
  if (known && known.samples) return wilson(value, known.samples);
  if (known && known.how.endsWith("exact")) return [value, value];
  const error = isDecided(candidate, key) ? measuredErrorOf(candidate, key) : errorOf(candidate, key);
  return error === null ? null : [value * (1 - error), value * (1 + error)];
}

/** The same of what was measured beside an estimate. */
function measuredIntervalOf(candidate, key) {
  const value = measuredOf(candidate, key),
    error = measuredErrorOf(candidate, key);
  return value === undefined || error === null ? null : [value * (1 - error), value * (1 + error)];
}

function span([low, high], unit) {
  return `${show(low, unit)} to ${show(high, unit)}`;
}

/** What a number rests on, in lines; the first one says it. */
function origin(candidate, key) {
  const axis = axes.get(key),
    value = candidate.values[key];
  if (value === undefined) return [`${axis.label}: not known`, candidate.reason ? candidate.reason.join(": ") : ""];
  const said = [`${axis.label}: ${show(value, axis.unit)}`, candidate.id];
  const known = run.provenance.metrics[key],
    interval = intervalOf(candidate, key);
  if (known) {
    said.push(known.how);
    if (known.samples) said.push(`95 % interval of so many samples: ${span(interval, axis.unit)}`);
  } else if (isDecided(candidate, key))
    said.push(...measurementLines(candidate, key), ...estimateLines(candidate, key));
  else if (figureOf(candidate, key) || run.candidates.some((c) => figureOf(c, key))) {
    said.push(...estimateLines(candidate, key));
    if (measuredOf(candidate, key) !== undefined) said.push(...measurementLines(candidate, key));
  } else said.push("from the training of this candidate; its error is not known");
  for (const budget of run.budgets.filter((b) => b.key === key)) {
    const share = budget.bound ? `: ${Math.round((100 * value) / budget.bound)} % of it` : "";
    said.push(`budget ${budget.text}${share}`);
  }
  if (candidate.open && (candidate.bands || {})[key] !== undefined) said.push("its interval holds the budget");
  return said;
}

function estimateLines(candidate, key) {
  const axis = axes.get(key),
    figure = figureOf(candidate, key),
    error = errorOf(candidate, key),
    estimate = estimateOf(candidate, key);
  const source = (figure && figure.source) || "estimated";
  const meaning = run.provenance.sources[source];
  const reach = error === null ? "" : `: ${span([estimate * (1 - error), estimate * (1 + error)], axis.unit)}`;
  return [
    `${source} ${show(estimate, axis.unit)}${meaning ? `: ${meaning}` : ""}`,
    `${band(error)}${reach}`,
    figure ? figure.note : "",
    [run.provenance.model, run.provenance.target].filter(Boolean).join("; "),
  ];
}

function measurementLines(candidate, key) {
  const axis = axes.get(key),
    found = candidate.emulated;
  if (!found) return ["measured; the measurement is not on this page"];
  const value = found.figures[key],
    size = `${show(value, axis.unit)} ${band(measuredErrorOf(candidate, key))}`,
    meaning = run.provenance.sources[found.source],
    means = Object.entries(found.means || {}).map(([name, said]) => `${name}: ${said}`);
  return [
    `${found.source} ${size}${meaning ? `: ${meaning}` : ""}`,
    `the estimate is ${signed(estimateOf(candidate, key) / value - 1)} off`,
    (found.notes || {})[key] || "",
    means.join(", "),
    found.warning ? `Warning: ${found.warning}` : "",
  ];
}

/** The same of a cell in a row of a table. */
function cellOrigin(row, cell) {
  return origin(byId.get(row.dataset.id), cell.dataset.key);
}

/** A value as text that says on hover and focus what it rests on. */
function sourced(candidate, key, tag = "span", attributes = {}) {
  const axis = axes.get(key);
  const node = put(tag, attributes, show(candidate.values[key], axis.unit));
  return tips.add(node, () => origin(candidate, key));
}
