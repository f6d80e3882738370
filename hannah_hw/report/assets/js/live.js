/* Following a run that is going on: asks the server of this page whether there is news. */

const EVERY = 1000; // milliseconds between questions
const PATIENCE = 5000; // the same while nobody answers

const live = put("p", { class: "live", id: "live" }, put("span", { role: "status" }), " ", put("span", {}));
document.querySelector("header").append(live);
let revision = document.documentElement.dataset.revision;
let asking = false;
let timer = 0;

function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/** Write the line below the title; what is read aloud changes only with what it says. */
function tell(message, age) {
  const [news, rest] = live.children;
  if (news.textContent !== message) news.textContent = message;
  rest.textContent = age;
}

function describeRun(news) {
  const done = `${news.evaluations} of ${news.budget} evaluated`;
  if (news.problem) return tell(`The run cannot be read now: ${news.problem}`, "");
  if (news.ending) return tell(`The search has ended: ${done}.`, "");
  return tell(`Following the search: ${done}.`, `Last change ${ago(news.age_s)}.`);
}

async function look() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  let wait = EVERY;
  try {
    const news = await (await fetch("status.json", { cache: "no-store" })).json();
    describeRun(news);
    if (news.revision !== revision && !news.problem) {
      const text = await (await fetch("./", { cache: "no-store" })).text();
      const newer = new DOMParser().parseFromString(text, "text/html");
      revision = newer.documentElement.dataset.revision;
      refresh(newer);
    }
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    tell("The server of this page does not answer; start it again with hannah-hw report RUN --serve.", "");
    wait = PATIENCE;
  } finally {
    asking = false;
    if (!document.hidden) timer = setTimeout(look, wait);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) look();
});
look();
