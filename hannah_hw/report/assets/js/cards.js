/* Cards of details: what they say where there is nothing to draw, and two drawings beside each other. */

function nothing(id, message) {
  document.getElementById(id).replaceChildren(put("p", { class: "note" }, message));
  document.getElementById(`${id}-note`).textContent = "";
}

/** Why a candidate has no details here. */
function missing(candidate) {
  if (!candidate) return "No candidate is selected.";
  if (candidate.status !== "ok") return "Only feasible candidates carry a cost report.";
  return "The details of this candidate are in candidates.jsonl.";
}

/** How wide a drawing in an element is, so that its text has the size of the page's: of `parts` beside each other. */
function widthIn(id, parts = 1) {
  const whole = document.getElementById(id).clientWidth || 640;
  const beside = window.innerWidth > 700 ? parts : 1;
  return Math.min(860, Math.max(300, Math.floor(whole / beside) - (beside > 1 ? 8 : 0)));
}

/** Hide a card that no candidate has anything for; where candidates were trained, but have no details, it says so. */
function hideUnless(id, has) {
  const detailed = run.candidates.filter((candidate) => candidate.cost);
  const trained = run.candidates.some((candidate) => candidate.status === "ok");
  document.getElementById(id).hidden = detailed.length
    ? !detailed.some((candidate) => has(candidate.cost))
    : !trained;
}

/** Fill a card with a drawing for each shown candidate, and name the sides where there are two. */
function besideEachOther(id, drawings) {
  const heads = drawings.length > 1 ? shownCandidates().map((c, i) => `${SIDES[i]}: ${c.id}`) : [];
  const columns = drawings.map((drawing, i) =>
    put("div", { class: "side" }, ...(heads[i] ? [put("h3", {}, heads[i])] : []), drawing),
  );
  document.getElementById(id).replaceChildren(put("div", { class: drawings.length > 1 ? "pair" : "" }, ...columns));
}
