/* Numbers as people read them, and the scales of axes. */

const SI = [
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
  ["", 1],
  ["m", 1e-3],
  ["µ", 1e-6],
  ["n", 1e-9],
  ["p", 1e-12],
];
const BINARY = [
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 1024],
  ["B", 1],
];

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
  if (high === low) {
    high += Math.abs(high) * 0.1 || 1;
    low -= Math.abs(low) * 0.1;
  }
  const [name, factor] = scaleOf(Math.max(Math.abs(low), Math.abs(high)), unit || "");
  const at = (value) => from + ((value - low) / (high - low)) * (to - from);
  const of = (place) => low + ((place - from) / (to - from)) * (high - low);
  const marks = ticks(low / factor, high / factor, count).map((mark) => [number(mark), at(mark * factor)]);
  return { at, of, low, high, name, marks };
}

/** The same with a logarithmic scale; every value must be positive. */
function logarithmic(low, high, from, to, unit) {
  const span = Math.log(high / low);
  const at = (value) => from + (Math.log(value / low) / span) * (to - from);
  const of = (place) => low * Math.exp(((place - from) / (to - from)) * span);
  const [name, factor] = scaleOf(Math.sqrt(low * high), unit || "");
  const steps = high / low > 300 ? [1] : [1, 2, 5];
  const marks = [];
  for (let power = Math.floor(Math.log10(low / factor)); 10 ** power <= high / factor; power += 1) {
    for (const step of steps) {
      const mark = step * 10 ** power;
      if (mark * factor >= low && mark * factor <= high) marks.push([number(mark), at(mark * factor)]);
    }
  }
  return { at, of, low, high, name, marks };
}

function band(error) {
  if (error === undefined || error === null) return "error not known";
  return error === 0 ? "exact" : `± ${number(100 * error, 2)} %`;
}

function signed(share) {
  return `${share < 0 ? "" : "+"}${(100 * share).toFixed(1)} %`;
}

function split(parts) {
  return Object.entries(parts)
    .map(([name, bytes]) => `${name} ${show(bytes, "B")}`)
    .join(", ");
}
