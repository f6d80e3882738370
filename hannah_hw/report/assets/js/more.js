/* Parts that scroll show that there is more of them, and a button shows it all. */

const MORE = "show all";
const watched = new WeakSet();

/** Fade the sides at which something is hidden. */
function fadeSides(box) {
  const [below, beside] = [
    box.scrollHeight - box.clientHeight - box.scrollTop,
    box.scrollWidth - box.clientWidth - box.scrollLeft,
  ];
  box.classList.toggle("more-below", below > 2);
  box.classList.toggle("more-beside", beside > 2);
}

/** How much is in a box that scrolls, as the button says it. */
function wholeOf(box) {
  const rows = box.querySelectorAll("tbody tr[data-id]").length;
  return rows ? `${MORE} ${rows}` : MORE;
}

/** Give a box that has a greatest height a button that takes it away. */
function watchHeight(box) {
  const button = put("button", { type: "button", class: "plain more", hidden: "" }, MORE);
  box.after(button);
  button.addEventListener("click", () => {
    box.classList.toggle("whole");
    look();
  });
  const look = () => {
    const whole = box.classList.contains("whole");
    fadeSides(box);
    button.textContent = whole ? "show less" : wholeOf(box);
    button.hidden = !whole && box.scrollHeight <= box.clientHeight + 2;
  };
  watch(box, look);
}

/** Look again whenever what is in a box, or its size, is another. */
function watch(box, look) {
  let asked = 0;
  const soon = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(look);
  };
  box.addEventListener("scroll", soon, { passive: true });
  new ResizeObserver(soon).observe(box);
  new MutationObserver(soon).observe(box, { childList: true, subtree: true });
}

function watchAll() {
  for (const box of document.querySelectorAll(".scroll, .wide")) {
    if (watched.has(box)) continue;
    watched.add(box);
    if (box.classList.contains("scroll")) watchHeight(box);
    else watch(box, () => fadeSides(box));
  }
}

store.on(watchAll, "selected", "compared", "version");
