/* Handles that are moved with the pointer or the keyboard. */

/** Where an event is, in the units of a drawing. */
function placeIn(drawing, event) {
  const box = drawing.getBoundingClientRect();
  const { width, height } = drawing.viewBox.baseVal;
  return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
}

/**
 * Follow the pointer from a press on a node until it is let go.
 *
 * begin(event) may return false to leave the press alone; move(event) and end(event, moved) follow. A press that moves
 * less than a few pixels is a click and calls end with moved = false.
 */
function follow(node, { begin, move, end }) {
  node.addEventListener("pointerdown", (press) => {
    if (press.button !== 0 || (begin && begin(press) === false)) return;
    let moved = false;
    const onMove = (event) => {
      moved = moved || Math.hypot(event.clientX - press.clientX, event.clientY - press.clientY) > 3;
      if (moved) move(event, press);
    };
    const finish = (event) => {
      window.removeEventListener("pointermove", onMove);
      window.removeEventListener("pointerup", finish);
      window.removeEventListener("pointercancel", finish);
      if (end) end(event, moved, press);
    };
    window.addEventListener("pointermove", onMove);
    window.addEventListener("pointerup", finish);
    window.addEventListener("pointercancel", finish);
  });
}

/**
 * Make a node a slider: dragged along its scale, or moved with the arrow keys, PageUp, PageDown, Home and End.
 *
 * scale() is where it lies now, {at, of, low, high}; read() its value; write(value) moves it; upright whether the
 * scale runs up the drawing.
 */
function slider(node, drawing, { label, upright, scale, read, write, erase }) {
  const attributes = { role: "slider", tabindex: 0, "aria-label": label };
  fill(node, { ...attributes, "aria-orientation": upright ? "vertical" : "horizontal" }, []);
  const clamp = (value) => Math.min(scale().high, Math.max(scale().low, value));
  follow(node, {
    begin: (event) => {
      event.stopPropagation();
      event.preventDefault();
      node.focus({ preventScroll: true });
    },
    move: (event) => write(clamp(scale().of(placeIn(drawing, event)[upright ? 1 : 0]))),
  });
  node.addEventListener("keydown", (event) => {
    const { low, high, at, of } = scale();
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[event.key];
    const ends = { Home: low, End: high }[event.key];
    if (event.key === "Escape" && erase) erase();
    else if (ends !== undefined) write(ends);
    else if (steps) {
      const span = at(high) - at(low);
      write(clamp(of(at(clamp(read())) + (steps * (event.shiftKey ? 10 : 1) * span) / 100)));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/** Say where a slider is, to those who do not see it. */
function sayValue(node, { low, high }, value, spoken) {
  fill(node, { "aria-valuemin": low, "aria-valuemax": high, "aria-valuenow": value, "aria-valuetext": spoken }, []);
}

/** Draw again when a box becomes wider or narrower. */
function onResize(box, draw) {
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (!box.clientWidth || Math.abs(box.clientWidth - width) < 2) return;
    width = box.clientWidth;
    draw();
  }).observe(box);
}
