"use strict";
// Lists the questions of a report: filters, then fifty at a time. Text is never read as markup.
(() => {
  const source = document.getElementById("questions");
  if (!source) return;
  const { runs, questions } = JSON.parse(source.textContent);
  const PART = 50;
  const list = document.getElementById("list");
  const more = document.getElementById("more");
  const count = document.getElementById("count");
  const filters = [...document.querySelectorAll("[data-filter]")];
  let shown = [], next = 0;

  const make = (name, content, kind) => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    for (const part of [content ?? ""].flat()) element.append(part);
    return element;
  };
  const mark = (run) => run.correct === null ? make("span", "– ") :
    make("span", run.correct ? "✓ " : "✗ ", run.correct ? "right" : "wrong");

  const result = (found) => {
    if (!found) return make("p", "not shown", "about");
    if (found.status !== "ok") return make("p", `${found.status}: ${found.error}`, "wrong");
    const body = found.rows.map((row) => make("tr", row.map((v) => make("td", v === null ? "NULL" : String(v)))));
    const head = make("tr", found.columns.map((name) => make("th", name)));
    const more = found.row_count - found.rows.length;
    const note = `${found.row_count} row${found.row_count === 1 ? "" : "s"}` + (more > 0 ? `, the first ${found.rows.length} shown` : "");
    return make("div", [make("table", [head, ...body]), make("small", note)], "scroll");
  };
  const side = (title, sql, found) => make("div", [make("h3", title), make("pre", sql || "(no SQL)"), result(found)]);
  const groups = (run) => !run.groups ? [] : [make("h3", `Candidates: ${run.groups.length} groups`),
    ...run.groups.map((g) => make("p", [mark(g), `${g.votes} vote${g.votes === 1 ? "" : "s"} (${g.status}): `, make("code", g.sql || "(no SQL)")]))];

  const open = (q) => [
    q.evidence ? make("p", `Evidence: ${q.evidence}`, "about") : "",
    make("div", [side("Gold", q.gold_sql, q.gold),
      ...q.runs.map((run, i) => side(runs.length > 1 ? runs[i] : "Prediction", run.sql, run.result))], "sides"),
    ...q.runs.flatMap(groups)];
  const entry = (q) => {
    const errors = [...new Set(q.runs.map((run) => run.error_class).filter(Boolean))].join(", ");
    const meta = [q.id, q.db_id, q.difficulty, errors].filter(Boolean).join(" · ");
    const details = make("details", make("summary", [...q.runs.map(mark), q.question + " ", make("span", meta, "meta")]));
    details.addEventListener("toggle", () => { if (details.children.length === 1) details.append(...open(q)); }, { once: true });
    return details;
  };

  const VERDICTS = {
    wrong: (q) => q.runs.some((run) => run.correct === false),
    right: (q) => q.runs.every((run) => run.correct === true),
    gained: (q) => q.runs[0].correct === false && q.runs.at(-1).correct === true,
    lost: (q) => q.runs[0].correct === true && q.runs.at(-1).correct === false,
    left_out: (q) => q.runs.some((run) => run.correct === null),
  };
  const TESTS = {
    verdict: (q, value) => VERDICTS[value](q),
    error: (q, value) => q.runs.some((run) => run.error_class === value),
    db: (q, value) => q.db_id === value,
    difficulty: (q, value) => q.difficulty === value,
    text: (q, value) => [q.id, q.question, q.gold_sql, ...q.runs.map((run) => run.sql)]
      .some((part) => (part || "").toLowerCase().includes(value.toLowerCase())),
  };
  const extend = () => {
    list.append(...shown.slice(next, next + PART).map(entry));
    next += PART;
    more.hidden = next >= shown.length;
  };
  const update = () => {
    const active = filters.filter((f) => f.value !== "");
    shown = questions.filter((q) => active.every((f) => TESTS[f.dataset.filter](q, f.value)));
    count.textContent = `${shown.length} of ${questions.length} questions`;
    list.replaceChildren();
    next = 0;
    extend();
  };
  filters.forEach((f) => f.addEventListener("input", update));
  more.addEventListener("click", extend);
  update();
})();
