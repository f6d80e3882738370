/* Brushes: for each quantity the range that is left, whichever drawing it was set in. */

/** An object without some of its keys. */
function without(object, ...keys) {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !keys.includes(key)));
}

/** Drag along an axis to brush it; click it to clear the brush. */
function bindBrushArea(area, drawing, key, scale) {
  const inside = (value) => Math.min(scale.high, Math.max(scale.low, value));
  follow(area, {
    begin: (event) => event.preventDefault(),
    move: (event, press) => {
      const values = [press, event].map((e) => inside(scale.of(placeIn(drawing, e)[1])));
      setBrush(key, [Math.min(...values), Math.max(...values)], scale);
    },
    end: (event, moved) => {
      if (!moved) store.set({ brushes: without(store.get().brushes, key) });
    },
  });
  area.addEventListener("click", (event) => event.stopPropagation());
}

/** Set a brush; one over the whole scale is none. */
function setBrush(key, [low, high], scale) {
  const { brushes } = store.get();
  const whole = low <= scale.low && high >= scale.high;
  store.set({ brushes: whole ? without(brushes, key) : { ...brushes, [key]: [low, high] } });
}

/** The lower or the upper end of a brush, which the keyboard moves too. */
function brushEnd(group, drawing, { key, quantity, px, scale }, end) {
  const node = svg("path", { class: "brush-end" });
  group.append(node);
  const range = () => store.get().brushes[key] || [scale.low, scale.high];
  slider(node, drawing, {
    label: `${quantity.label}: ${end ? "highest" : "lowest"} that is left`,
    upright: true,
    scale: () => scale,
    read: () => range()[end],
    write: (value) => {
      const [low, high] = range();
      setBrush(key, end ? [Math.min(low, value), value] : [value, Math.max(high, value)], scale);
    },
    erase: () => store.set({ brushes: without(store.get().brushes, key) }),
  });
  node.addEventListener("click", (event) => event.stopPropagation());
  return () => {
    const at = brushPlace(scale, range()[end]);
    const tip = end ? -6 : 6;
    node.setAttribute("d", `M${px - 8} ${at}h16l-5 ${tip}h-6z`);
    node.classList.toggle("set", key in store.get().brushes);
    sayValue(node, scale, range()[end], say(quantity, range()[end]));
  };
}
