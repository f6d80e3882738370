/* Everything that candidates can be compared by: the metrics, and the parameters that differ between them. */

const quantities = new Map();
/** Of a parameter with so many values or fewer, an axis marks each. */
const FEW = 8;

/** List them anew; parameters have keys that begin with "p:". */
function listQuantities() {
  quantities.clear();
  for (const { key, label, unit } of run.axes) {
    quantities.set(key, { key, label, unit, levels: null, steps: null, of: (c) => c.values[key] });
  }
  const found = new Map();
  for (const candidate of run.candidates) {
    for (const [name, value] of Object.entries(candidate.assignment)) {
      if (!found.has(name)) found.set(name, new Set());
      found.get(name).add(value);
    }
  }
  const varying = [...found].filter(([, values]) => values.size > 1);
  for (const [name, values] of varying) {
    const numeric = [...values].every((value) => typeof value === "number");
    const levels = numeric ? null : [...values].map(String).sort();
    const unit = (run.hardware.find((h) => h.id === name) || { unit: "" }).unit;
    const places = levels && new Map(levels.map((level, place) => [level, place]));
    const of = (c) => {
      const value = c.assignment[name];
      return value === undefined || !levels ? value : places.get(String(value));
    };
    const steps = numeric && values.size <= FEW ? [...values].sort((a, b) => a - b) : null;
    quantities.set(`p:${name}`, { key: `p:${name}`, label: name, unit, levels, steps, of });
  }
}

/** A scale whose marks are the values that a quantity has, where these are few. */
function marked(scale, { levels, steps, unit }) {
  if (levels) return { ...scale, name: "", marks: levels.map((level, i) => [level, scale.at(i)]) };
  if (!steps) return scale;
  return { ...scale, name: "", marks: steps.map((step) => [show(step, unit), scale.at(step)]) };
}

/** A value of a quantity as people read it. */
function say(quantity, value) {
  if (value === undefined || value === null) return "-";
  return quantity.levels ? quantity.levels[Math.round(value)] || "-" : show(value, quantity.unit);
}

const UNIT_SIZES = {
  s: { s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9, min: 60 },
  B: { B: 1, kB: 1e3, KB: 1e3, KiB: 1024, MB: 1e6, MiB: 2 ** 20, GB: 1e9, GiB: 2 ** 30 },
  J: { J: 1, mJ: 1e-3, uJ: 1e-6, µJ: 1e-6, nJ: 1e-9, pJ: 1e-12 },
  W: { W: 1, mW: 1e-3, uW: 1e-6, µW: 1e-6 },
  Hz: { Hz: 1, kHz: 1e3, MHz: 1e6, GHz: 1e9 },
  "mm²": { "mm²": 1, mm2: 1 },
  "%": { "%": 0.01 },
  "": { k: 1e3, M: 1e6, G: 1e9 },
};

/** The number of a text such as "64 KiB", "5 ms" or "2 %"; without a unit in the base unit. Null where it is none. */
function parseAmount(written, unit) {
  const match = /^\s*(-?\d[\d,]*(?:\.\d*)?(?:e[+-]?\d+)?)\s*([^\s\d]\S*)?\s*$/i.exec(written);
  if (!match) return null;
  const factor = match[2] === undefined ? 1 : (UNIT_SIZES[unit] || {})[match[2]];
  const value = Number(match[1].replaceAll(",", "")) * factor;
  return Number.isFinite(value) ? value : null;
}

/** What a person would have to write for `parseAmount` to give a value, to four digits or more. */
function amount(value, unit) {
  const [name, factor] = scaleOf(value, unit);
  return `${Number((value / factor).toPrecision(5))} ${name}`.trim();
}
