// Draws the tables of a database as boxes, primary keys underlined, with a line from each foreign key to the table
// it refers to.
import { draw, picture, plural, shortened } from "./elements.js";

const [LINE, HEAD, WIDTH, GAP, LETTERS] = [17, 24, 190, 56, 24];
const FAR = 260; // pixels of height that one column of distance is worth
const MOST_COLUMNS = 12; // of a box; keys come first

export function schemaPicture(name, tables) {
  const boxes = placed(tables);
  const links = linksBetween(boxes);
  const width = Math.max(...boxes.map((box) => box.x + WIDTH)) + GAP;
  const height = Math.max(...boxes.map((box) => box.y + box.height)) + 8;
  const words = `${plural(tables.length, "table")} of ${name}, ${plural(links.length, "foreign key")} between them`;
  const drawing = picture(width, height, words);
  drawing.append(...links.flatMap(drawnLink), ...boxes.map(drawnBox));
  return drawing;
}

// The tables that each table refers to or is referred to by.
function neighboursOf(tables) {
  const byName = new Map(tables.map((table) => [table.name.toLowerCase(), table]));
  const neighbours = new Map(tables.map((table) => [table, new Set()]));
  for (const table of tables) {
    for (const key of table.foreign_keys) {
      const parent = byName.get(key.parent.toLowerCase());
      if (!parent || parent === table) continue;
      neighbours.get(table).add(parent);
      neighbours.get(parent).add(table);
    }
  }
  return neighbours;
}

// First the table with most neighbours, then those, and so on: related tables follow each other.
function ordered(tables, neighbours) {
  const order = new Set();
  const starts = [...tables].sort((a, b) => neighbours.get(b).size - neighbours.get(a).size);
  for (const start of starts) {
    const waiting = [start];
    while (waiting.length) {
      const table = waiting.shift();
      if (order.has(table)) continue;
      order.add(table);
      waiting.push(...neighbours.get(table));
    }
  }
  return [...order];
}

// Boxes in columns. Each goes below the others of a column that is short and near the tables it belongs to.
function placed(tables) {
  const neighbours = neighboursOf(tables);
  const bottoms = new Array(Math.min(tables.length, 4)).fill(8);
  const boxes = new Map();
  for (const table of ordered(tables, neighbours)) {
    const near = [...neighbours.get(table)].flatMap((other) => (boxes.has(other) ? [boxes.get(other).column] : []));
    const cost = (column) => bottoms[column] + near.reduce((sum, other) => sum + FAR * far(column, other), 0);
    const costs = bottoms.map((_, column) => cost(column));
    const column = costs.indexOf(Math.min(...costs));
    const rows = shownColumns(table);
    const height = HEAD + LINE * rows.length + 6;
    boxes.set(table, { table, rows, column, x: 8 + column * (WIDTH + GAP), y: bottoms[column], height });
    bottoms[column] += height + 22;
  }
  return [...boxes.values()];
}

// How far a line runs between two columns; within one it makes a loop, which is worse than one step.
const far = (column, other) => (column === other ? 1.2 : Math.abs(column - other));

function shownColumns(table) {
  const keys = new Set([...table.primary_key, ...table.foreign_keys.flatMap((key) => key.columns)]);
  const kept = new Set([...table.columns.filter((name) => keys.has(name)), ...table.columns].slice(0, MOST_COLUMNS));
  const rows = table.columns.filter((name) => kept.has(name));
  const left = table.columns.length - rows.length;
  return left ? [...rows, `… ${left} more`] : rows;
}

function linksBetween(boxes) {
  const byName = new Map(boxes.map((box) => [box.table.name.toLowerCase(), box]));
  return boxes.flatMap((box) => box.table.foreign_keys.flatMap((key) => {
    const parent = byName.get(key.parent.toLowerCase());
    return parent ? [{ from: box, to: parent, start: heightOf(box, key.columns[0]), end: heightOf(parent, key.references[0]) }] : [];
  }));
}

function heightOf(box, column) {
  const row = box.rows.findIndex((name) => name.toLowerCase() === (column || "").toLowerCase());
  return box.y + (row < 0 ? HEAD / 2 : HEAD + LINE * (row + 0.5));
}

function drawnLink({ from, to, start, end }) {
  const forward = to.column > from.column;
  const backward = to.column < from.column;
  const x = from.x + (backward ? 0 : WIDTH);
  const far = to.x + (forward ? 0 : WIDTH);
  const [bend, farBend] = [x + (backward ? -GAP : GAP) * 0.7, far + (forward ? -GAP : GAP) * 0.7];
  return [
    draw("path", { d: `M ${x} ${start} C ${bend} ${start}, ${farBend} ${end}, ${far} ${end}` }),
    draw("circle", { cx: far, cy: end, r: 3.5 }), // the end that is referred to
  ];
}

function drawnBox({ table, rows, x, y, height }) {
  const group = draw("g", {});
  const columns = rows.map((name, row) => {
    const style = table.primary_key.includes(name) ? "key" : "";
    return draw("text", { x: x + 8, y: y + HEAD + LINE * (row + 0.75), class: style }, shortened(name, LETTERS));
  });
  const name = draw("text", { x: x + 8, y: y + 17, class: "name" }, shortened(table.name, LETTERS));
  group.append(draw("title", {}, table.name), draw("rect", { x, y, width: WIDTH, height, rx: 6 }), name, ...columns);
  return group;
}
