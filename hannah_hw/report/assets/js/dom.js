/* Making elements of the page and of drawings. */

const NS = "http://www.w3.org/2000/svg";

function put(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(NS, tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children) node.append(child);
  return node;
}

function text(x, y, content, attributes) {
  return svg("text", { x, y, ...attributes }, content);
}

/** Width of a word in a drawing, in its units where these are pixels. */
const wordWidth = (() => {
  const context = document.createElement("canvas").getContext("2d");
  context.font = '11px system-ui, -apple-system, "DejaVu Sans", sans-serif';
  return (word) => context.measureText(word).width;
})();

function plot(height, label, width = 640) {
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

/** Names without the part that all of them begin with, cut at the front where they are too long. */
function shorten(names) {
  let common = names.length > 1 ? names[0].lastIndexOf(".") + 1 : 0;
  while (common && !names.every((name) => name.startsWith(names[0].slice(0, common)))) {
    common = names[0].lastIndexOf(".", common - 2) + 1;
  }
  return (name, length) => {
    const rest = name.slice(common);
    return rest.length > length ? "…" + rest.slice(rest.length - Math.max(1, length - 1)) : rest;
  };
}
