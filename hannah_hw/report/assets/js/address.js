/* The reader's choices in the address, so that a link shows the same page. */

const SEPARATOR = "~";

function toAddress() {
  const { selected, compared, x, y, logX, infeasible, budgets, brushes, coords: keys, picked } = store.get();
  const parts = new URLSearchParams();
  const set = (name, value, usual) => value !== usual && parts.set(name, value);
  set("x", x, run.x);
  set("y", y, run.y);
  if (logX !== spreadsWidely(x)) parts.set("log", Number(logX));
  if (!infeasible) parts.set("over", 0);
  set("selected", selected, firstChoice());
  if (compared) parts.set("compared", compared);
  if (picked.length) parts.set("picked", picked.join(SEPARATOR));
  if (keys) parts.set("axes", keys.join(SEPARATOR));
  if (!asSearched(budgets)) {
    for (const { key, bound, upper } of budgets)
      parts.append("budget", [key, upper ? "le" : "ge", bound].join(SEPARATOR));
    if (!budgets.length) parts.set("budget", "");
  }
  for (const [key, range] of Object.entries(brushes)) parts.append("brush", [key, ...range].join(SEPARATOR));
  return parts.toString();
}

/** The choices that an address holds; what does not fit the run is left out. */
function fromAddress(written) {
  const parts = new URLSearchParams(written);
  const quantity = (name, usual) => (quantities.has(parts.get(name)) ? parts.get(name) : usual);
  const id = (name, usual) => (byId.has(parts.get(name)) ? parts.get(name) : usual);
  const list = (name) => (parts.get(name) || "").split(SEPARATOR).filter(Boolean);
  const x = quantity("x", run.x);
  const brushes = parts.getAll("brush").flatMap((part) => {
    const [key, low, high] = part.split(SEPARATOR);
    const range = [Number(low), Number(high)];
    return quantities.has(key) && low && high && range.every(Number.isFinite) ? [[key, range]] : [];
  });
  return {
    x,
    y: quantity("y", run.y),
    logX: parts.has("log") ? parts.get("log") === "1" : spreadsWidely(x),
    infeasible: parts.get("over") !== "0",
    selected: id("selected", firstChoice()),
    compared: id("compared", null),
    picked: list("picked").filter((name) => byId.has(name)),
    coords: parts.has("axes") ? list("axes").filter((key) => quantities.has(key)) : null,
    budgets: parts.has("budget") ? parts.getAll("budget").flatMap(budgetOf) : runBudgets(),
    brushes: Object.fromEntries(brushes),
  };
}

function budgetOf(part) {
  const [key, relation, bound] = part.split(SEPARATOR);
  const axis = axes.get(key);
  if (!axis || !bound || !Number.isFinite(Number(bound))) return [];
  const upper = relation !== "ge";
  const own = runBudgets().find((b) => b.key === key && b.upper === upper);
  return [{ ...(own || { key, name: axis.label, upper }), bound: Number(bound) }];
}

let writing = 0;

/** Write the address soon: browsers allow it a few times a second only. */
function writeAddress() {
  clearTimeout(writing);
  writing = setTimeout(() => {
    const { pathname, search } = window.location;
    const written = toAddress();
    window.history.replaceState(null, "", written ? `#${written}` : pathname + search);
  }, 250);
}

window.addEventListener("hashchange", () => store.set(fromAddress(window.location.hash.slice(1))));
store.on(writeAddress);
