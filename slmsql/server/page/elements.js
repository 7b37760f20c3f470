// Makes elements. Everything the server sends is set as text, never as HTML: it may come from anybody's database.
const SVG = "http://www.w3.org/2000/svg";

export const at = (id) => document.getElementById(id);

// An HTML element with text, such as make("td", "NULL", "null").
export function make(name, text, style) {
  const element = document.createElement(name);
  element.textContent = text;
  if (style) element.className = style;
  return element;
}

// An SVG element with attributes, such as draw("text", { x: 4, y: 12 }, "Album").
export function draw(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// A picture that a screen reader announces by one sentence.
export function picture(width, height, description) {
  return draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": description });
}

export const shortened = (text, length) => (text.length > length ? text.slice(0, length - 1) + "…" : text);

export const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
