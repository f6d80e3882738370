/* What the budgets and the brushes leave of the candidates, and the front and the knee of that. */

let lastLeft = null;

/** Whether a value keeps a budget. */
function keeps(value, budget) {
  return value !== undefined && value !== null && (budget.upper ? value <= budget.bound : value >= budget.bound);
}

/** The budgets that the run was searched with and that can be drawn. */
function runBudgets() {
  return run.budgets.filter((budget) => budget.bound !== null && quantities.has(budget.key));
}

/** Whether budgets are those of the run. */
function asSearched(budgets) {
  const own = runBudgets();
  return budgets.length === own.length && budgets.every((b, i) => b.key === own[i].key && b.bound === own[i].bound);
}

/** Whether a candidate keeps all budgets; the run's own word holds where they are its own. */
function fits(candidate, budgets, own) {
  if (candidate.status === "failed") return false;
  const kept = own ? candidate.status !== "infeasible" : budgets.every((b) => keeps(candidate.values[b.key], b));
  return kept && !candidate.barred;
}

function inBrushes(candidate, brushes) {
  for (const [key, [low, high]] of brushes) {
    const quantity = quantities.get(key);
    const value = quantity && quantity.of(candidate);
    if (value === undefined || value === null || value < low || value > high) return false;
  }
  return true;
}

/** Whether a candidate has what a place on the front takes. */
function scored(candidate) {
  const complete = run.objectives.every((o) => typeof candidate.values[o.key] === "number");
  return complete && candidate.status !== "stopped" && (!run.models_only || Boolean(candidate.onnx));
}

/** Candidates that no other is better than in every objective, sorted by the objectives; of equal ones, all. */
function nondominated(candidates) {
  const rows = candidates.map((c) => [costs(c), c]);
  rows.sort(([a], [b]) => lexical(a, b));
  const kept = [];
  for (const row of rows) {
    const beaten = kept.some(
      ([a]) => a.every((value, i) => value <= row[0][i]) && a.some((value, i) => value < row[0][i]),
    );
    if (!beaten) kept.push(row);
  }
  return kept.map(([, candidate]) => candidate);
}

/** The objectives of a candidate, all to be minimised. */
function costs(candidate) {
  return run.objectives.map((o) => (o.direction === "max" ? -1 : 1) * candidate.values[o.key]);
}

/** The point of a front that is farthest from the plane through its extremes; see hannah_hw.search.preference. */
function kneeOf(members) {
  const points = members.map(costs);
  const low = run.objectives.map((_, i) => Math.min(...points.map((p) => p[i])));
  const span = run.objectives.map((_, i) => Math.max(...points.map((p) => p[i])) - low[i] || 1);
  const sums = points.map((p) => p.reduce((sum, value, i) => sum + (value - low[i]) / span[i], 0));
  return members[sums.indexOf(Math.min(...sums))] || null;
}

/**
 * What is left now.
 *
 * inside: a set of the candidates that keep the budgets and lie in the brushes; front: of these, sorted by the
 * objectives; knee: of that front, or null; all, fitting, trained: how many there are, keep the budgets, and have all
 * objectives besides; alone: for each budget, how many keep it.
 */
function filtered() {
  const { budgets, brushes, version } = store.get();
  if (lastLeft && [budgets, brushes, version].every((part, i) => part === lastLeft.of[i])) return lastLeft;
  const own = asSearched(budgets);
  const ranges = Object.entries(brushes);
  const able = run.candidates.filter((c) => c.status !== "failed");
  const fitting = able.filter((c) => fits(c, budgets, own));
  const left = ranges.length ? fitting.filter((c) => inBrushes(c, ranges)) : fitting;
  const untouched = own && !ranges.length;
  const members = untouched ? [...front].sort(byCosts) : nondominated(left.filter(scored));
  lastLeft = {
    of: [budgets, brushes, version],
    inside: new Set(left),
    front: members,
    knee: untouched ? front.find((c) => c.knee) || null : kneeOf(members),
    all: able.length,
    fitting: fitting.length,
    trained: fitting.filter(scored).length,
    alone: budgets.map((b) => able.filter((c) => keeps(c.values[b.key], b)).length),
  };
  return lastLeft;
}

function byCosts(a, b) {
  return lexical(costs(a), costs(b));
}

function lexical(a, b) {
  const first = a.findIndex((value, i) => value !== b[i]);
  return first < 0 ? 0 : a[first] - b[first];
}

/** Mark the candidates that something besides a budget forbids: they stay out whatever the budgets are. */
function markBarred() {
  const own = runBudgets();
  for (const candidate of run.candidates) {
    const within = own.every((b) => keeps(candidate.values[b.key], b));
    candidate.barred = candidate.status === "infeasible" && within;
  }
}
