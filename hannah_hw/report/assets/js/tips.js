/* What a number rests on: shown beside it under the pointer, and where the keyboard's focus is. */

const tips = (() => {
  const contents = new WeakMap();
  const box = put("div", { id: "tip", role: "tooltip", hidden: "" });
  document.body.append(box);
  let owner = null;
  function hide() {
    if (owner) owner.removeAttribute("aria-describedby");
    owner = null;
    box.hidden = true;
  }
  function appear(node) {
    const [head, ...others] = contents.get(node)();
    box.replaceChildren(put("b", {}, head), ...others.filter(Boolean).map((line) => put("p", {}, line)));
    box.hidden = false;
    owner = node;
    node.setAttribute("aria-describedby", "tip");
    const at = node.getBoundingClientRect();
    const [width, height] = [box.offsetWidth, box.offsetHeight];
    const left = Math.min(Math.max(8, at.left), window.innerWidth - width - 8);
    const below = at.bottom + 6 + height < window.innerHeight;
    box.style.left = `${Math.max(8, left)}px`;
    box.style.top = `${below ? at.bottom + 6 : Math.max(4, at.top - height - 6)}px`;
  }
  function ownerOf(target) {
    const node = target instanceof Element ? target.closest(".tipped") : null;
    return node && contents.has(node) ? node : null;
  }
  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const node = ownerOf(event.target);
      if (node) appear(node);
      else hide();
    });
  }
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", hide, true);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });
  return {
    /** Give a node a tip: a heading and lines under it, made when they are asked for. */
    add(node, content) {
      contents.set(node, typeof content === "function" ? content : () => content);
      node.classList.add("tipped");
      return node;
    },
  };
})();

/** One stop of the tab key for all nodes with tips in an element: the arrow keys walk on from there. */
function rove(container) {
  const found = () => [...container.querySelectorAll(".tipped")].filter((node) => node.getClientRects().length);
  [...container.querySelectorAll(".tipped")].forEach((node, index) => {
    node.setAttribute("tabindex", index ? "-1" : "0");
  });
  if (container.dataset.roving) return;
  container.dataset.roving = "yes";
  container.addEventListener("keydown", (event) => {
    const here = event.target.closest(".tipped");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!here || !step) return;
    const nodes = found();
    const sameColumn = here.cellIndex !== undefined && event.key !== "ArrowLeft" && event.key !== "ArrowRight";
    const near = sameColumn ? nodes.filter((node) => node.cellIndex === here.cellIndex) : nodes;
    const next = near[near.indexOf(here) + step];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    here.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
}
