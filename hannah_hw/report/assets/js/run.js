/* The run that the page carries. */

const run = {};
const axes = new Map();
const byId = new Map();
/** The candidates of the front, sorted by the first objective as they come. */
let front = [];

/** Take over a document of the run; called again with a newer one where the page follows a search. */
function loadRun(document) {
  Object.assign(run, document, { candidates: unpack(document.candidates) });
  axes.clear();
  byId.clear();
  for (const axis of run.axes) axes.set(axis.key, axis);
  for (const candidate of run.candidates) {
    if (!byId.has(candidate.id) || candidate.front) byId.set(candidate.id, candidate);
  }
  front = run.candidates.filter((candidate) => candidate.front);
  listQuantities();
  markBarred();
}

const loaders = [];
/** Do something with the run, now and whenever a newer document of it was taken over. */
function whenLoaded(action) {
  loaders.push(action);
  action();
}

/** The candidate whose details are shown, or null. */
function chosenCandidate() {
  return byId.get(store.get().selected) || null;
}

/** The candidate that a page begins with, or null. */
function firstChoice() {
  const first = run.candidates.find((c) => c.knee) || front[0] || run.candidates.find((c) => c.status === "ok");
  return first ? first.id : null;
}

loadRun(JSON.parse(document.getElementById("run-data").textContent));
