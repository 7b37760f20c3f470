// A chart for a result that is a series: a column of different labels and a column of numbers.
import { draw, picture, shortened } from "./elements.js";

const [MOST_BARS, BAR, LETTER] = [30, 24, 7]; // the last two in pixels
const DATE = /^\d{4}(-\d\d){0,2}\b/;
const IDENTIFIER = /(^|_| )ids?$|[a-z]I[dD]s?$/;

// The labels and numbers of a result, or null if it is no series. Labels that rise by themselves (years, dates,
// numbers) make a line, others bars.
export function seriesOf(columns, rows) {
  if (rows.length < 2 || columns.length < 2) return null;
  const isNumeric = (i) => rows.every((row) => typeof row[i] === "number");
  const value = columns.findIndex((name, i) => i > 0 && isNumeric(i) && !IDENTIFIER.test(name));
  const labels = rows.map((row) => row[0]);
  if (value < 0 || labels.includes(null) || new Set(labels).size < labels.length) return null;
  const isLine = rows.length > 2 && labels.every((label, i) => isPoint(label) && (i === 0 || labels[i - 1] < label));
  if (!isLine && rows.length > MOST_BARS) return null;
  const numbers = rows.map((row) => row[value]);
  return { isLine, labels: labels.map(String), numbers, label: columns[0], value: columns[value] };
}

const isPoint = (label) => typeof label === "number" || DATE.test(label);

// The chart, as wide as the place for it.
export function chartOf(series, width) {
  const [low, high] = [Math.min(...series.numbers), Math.max(...series.numbers)];
  const ends = [low, high].map((number) => `${shown(number)} (${series.labels[series.numbers.indexOf(number)]})`);
  const words = `${series.value} by ${series.label}, from ${ends[0]} to ${ends[1]}`;
  return series.isLine ? line(series, low, high, words, width) : bars(series, low, high, words, width);
}

const shown = (number) => (Number.isInteger(number) ? String(number) : String(Number(number.toPrecision(6))));

function bars(series, low, high, words, width) {
  const left = Math.min(190, width * 0.4);
  const drawing = picture(width, BAR * series.labels.length + 4, words);
  const [from, to] = [Math.min(0, low), Math.max(0, high)];
  const scale = (width - left - 80) / (to - from || 1);
  series.labels.forEach((label, i) => {
    const [number, y] = [series.numbers[i], BAR * i + 4];
    const x = left + (Math.min(0, number) - from) * scale;
    const length = Math.max(1, Math.abs(number) * scale);
    drawing.append(
      draw("text", { x: left - 8, y: y + 14, "text-anchor": "end" }, shortened(label, Math.floor(left / LETTER))),
      draw("rect", { x, y, width: length, height: BAR - 6, rx: 2 }),
      draw("text", { x: x + length + 6, y: y + 14, class: "quiet" }, shown(number)),
    );
  });
  return drawing;
}

function line(series, low, high, words, width) {
  const [left, right, height] = [80, width - 12, 240];
  const drawing = picture(width, height, words);
  const across = (i) => left + (i * (right - left)) / (series.labels.length - 1);
  const down = (number) => height - 28 - ((number - low) * (height - 48)) / (high - low || 1);
  const points = series.numbers.map((number, i) => [across(i), down(number)]);
  const ends = { y: height - 8, class: "quiet" };
  drawing.append(
    draw("line", { x1: left, x2: right, y1: height - 26, y2: height - 26 }),
    draw("text", { x: left - 8, y: down(high) + 4, class: "quiet", "text-anchor": "end" }, shown(high)),
    draw("text", { x: left - 8, y: down(low) + 4, class: "quiet", "text-anchor": "end" }, shown(low)),
    draw("text", { x: left, ...ends }, shortened(series.labels[0], 20)),
    draw("text", { x: right, "text-anchor": "end", ...ends }, shortened(series.labels.at(-1), 20)),
    draw("polyline", { points: points.map((point) => point.join(",")).join(" ") }),
    ...points.map(([cx, cy], i) => {
      const dot = draw("circle", { cx, cy, r: 3.5 });
      dot.append(draw("title", {}, `${series.labels[i]}: ${shown(series.numbers[i])}`));
      return dot;
    }),
  );
  return drawing;
}
