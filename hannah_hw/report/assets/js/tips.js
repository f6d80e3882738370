/* What a number rests on: shown beside it under the pointer, and where the keyboard's focus is. */

const tips = (() => {
  const contents = new WeakMap();
  const box = put("div", { id: "tip", role: "tooltip", hidden: "" });
  document.body.append(box);
  let owner = null;
  let anchor = null;
  let pointed = "";
  function hide() {
    if (owner) owner.removeAttribute("aria-describedby");
    owner = null;
    box.hidden = true;
  }
  /** Show the tip of a node beside it; `described` is the element whose description it is. */
  function appear(node, described = node) {
    const [head, ...others] = contentOf(node)();
    if (owner) owner.removeAttribute("aria-describedby");
    box.replaceChildren(put("b", {}, head), ...others.filter(Boolean).map((line) => put("p", {}, line)));
    box.hidden = false;
    owner = described;
    owner.setAttribute("aria-describedby", "tip");
    anchor = node;
    place();
  }
  function place() {
    const at = anchor.getBoundingClientRect();
    const [width, height] = [box.offsetWidth, box.offsetHeight];
    const left = Math.min(Math.max(8, at.left), window.innerWidth - width - 8);
    const below = at.bottom + 6 + height < window.innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 6 : Math.max(4, at.top - height - 6)}px`;
  }
  /** What a node's tip says: what it was given, or in a table that came with the page, what its cell rests on. */
  function contentOf(node) {
    const row = node.dataset.key && node.closest("tr[data-id]");
    return contents.get(node) || (row && byId.has(row.dataset.id) ? () => cellOrigin(row, node) : null);
  }
  function ownerOf(target) {
    const node = target instanceof Element ? target.closest(".tipped") : null;
    return node && contentOf(node) ? node : null;
  }
  /** Whether a mouse lies still, and it was what is under it that was replaced. */
  function liesStill(event) {
    if (event.pointerType !== "mouse") return false;
    const before = pointed;
    pointed = `${event.clientX} ${event.clientY}`;
    return pointed === before;
  }
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      if (liesStill(event)) return;
      const node = ownerOf(event.target);
      const dragged = event.pointerType === "mouse" && event.buttons > 0;
      if (node && !dragged) appear(node);
      else if (kind === "pointerover" || event.target !== owner) hide();
    });
  }
  document.addEventListener("focusout", (event) => {
    if (event.target === owner) hide();
  });
  /** What was scrolled may be what brought the focus into view: its tip goes along. */
  function scrolled() {
    const here = owner && owner === document.activeElement && anchor.isConnected && anchor.getBoundingClientRect();
    if (here && here.bottom > 0 && here.top < window.innerHeight) place();
    else hide();
  }
  document.addEventListener("scroll", scrolled, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  return {
    /** Give a node a tip: a heading and lines under it, made when they are asked for. */
    add(node, content) {
      node.setAttribute("tabindex", "-1");
      return this.addUnfocused(node, content);
    },
    /** The same of a node that the focus never goes to. */
    addUnfocused(node, content) {
      contents.set(node, typeof content === "function" ? content : () => content);
      node.classList.add("tipped");
      return node;
    },
    /** Show the tip of a node that the keyboard has led to, while the focus stays on an element around it. */
    showFor: appear,
  };
})();

/** One stop of the tab key for all nodes with tips in an element: the arrow keys walk on from there. */
function rove(container) {
  container.dataset.roving = "";
  const stop = container.querySelector('.tipped[tabindex="0"]');
  if (stop && isVisible(stop)) return;
  if (stop) stop.setAttribute("tabindex", "-1");
  const first = [...container.querySelectorAll(".tipped")].find(isVisible);
  if (first) first.setAttribute("tabindex", "0");
}

function isVisible(node) {
  return node.getClientRects().length > 0;
}

/** The node that an arrow key leads to: beside, or in a table also above and below. */
function neighbour(container, here, key) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
  if (!step) return undefined;
  const column = key === "ArrowUp" || key === "ArrowDown" ? here.cellIndex : undefined;
  const nodes = [...container.querySelectorAll(".tipped")];
  let at = nodes.indexOf(here) + step;
  while (nodes[at] && (nodes[at].cellIndex !== (column ?? nodes[at].cellIndex) || !isVisible(nodes[at]))) at += step;
  return nodes[at];
}

document.addEventListener("keydown", (event) => {
  // What was the stop may have been filtered out or replaced since.
  if (event.key === "Tab") document.querySelectorAll("[data-roving]").forEach(rove);
  const here = event.target.closest(".tipped"),
    container = here && here.closest("[data-roving]"),
    next = container && neighbour(container, here, event.key);
  if (!next) return;
  event.preventDefault();
  here.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
});
