"use strict";
// Lists the questions of a report: filters, then fifty at a time. Everything shown is set as text,
// never as markup: it may come from anybody's database.
(() => {
  const data = document.getElementById("questions");
  if (!data) return;
  const { runs, questions } = JSON.parse(data.textContent);
  const PAGE = 50;
  const list = document.getElementById("list");
  const moreButton = document.getElementById("more");
  const count = document.getElementById("count");
  const filters = [...document.querySelectorAll("[data-filter]")];
  let matching = [], drawn = 0;

  // An element with text or elements inside, such as make("p", "no SQL", "about").
  const make = (name, content, style) => {
    const element = document.createElement(name);
    if (style) element.className = style;
    for (const part of [content ?? ""].flat()) element.append(part);
    return element;
  };
  const mark = (answer) => answer.correct === null ? make("span", "– ") :
    make("span", answer.correct ? "✓ " : "✗ ", answer.correct ? "right" : "wrong");
  const plural = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

  const grid = ({ columns, rows }) => make("table", [
    make("tr", columns.map((name) => make("th", name))),
    ...rows.map((row) => make("tr", row.map((value) => make("td", value === null ? "NULL" : String(value))))),
  ]);
  const resultTable = (result) => {
    if (!result) return make("p", "no result", "about");
    if (result.status !== "ok") return make("p", `${result.status}: ${result.error}`, "wrong");
    const cut = result.row_count > result.rows.length;
    const note = plural(result.row_count, "row") + (cut ? `, the first ${result.rows.length} shown` : "");
    const table = make("div", [grid(result), make("small", note)], "scroll");
    table.tabIndex = 0; // so that the keyboard can scroll it
    return table;
  };
  const query = (title, sql, result) =>
    make("div", [make("h3", title), make("pre", sql || "(no SQL)"), resultTable(result)]);
  const groups = (answer) => !answer.groups ? [] : [
    make("h3", `Candidates: ${plural(answer.groups.length, "group")}`),
    ...answer.groups.map((group) => make("p", [
      mark(group), `${plural(group.votes, "vote")} (${group.status}): `, make("code", group.sql || "(no SQL)"),
    ])),
  ];

  // Why a right answer was lucky: a small database on which it differs from the gold query.
  const rowsOf = (table) => {
    const rows = table.rows.length ? grid(table) : make("p", "no rows", "about");
    const part = make("div", [make("h3", table.name), rows], "scroll");
    part.tabIndex = 0;
    return part;
  };
  const witness = (answer) => !answer.coincidence ? [] : [
    make("h3", `Right by coincidence (${answer.coincidence.difference}): on other rows the results differ`),
    ...answer.coincidence.tables.map((table) => make("div", rowsOf(table), "sides")),
    make("div", [
      make("div", [make("h3", "Gold result"), resultTable(answer.coincidence.gold)]),
      make("div", [make("h3", "Predicted result"), resultTable(answer.coincidence.predicted)]),
    ], "sides"),
    make("details", [make("summary", "SQL that creates these rows"), make("pre", answer.coincidence.witness)]),
  ];

  const content = (question) => [
    question.evidence ? make("p", `Evidence: ${question.evidence}`, "about") : "",
    make("div", [
      query("Gold", question.gold_sql, question.gold),
      ...question.runs.map((answer, i) => query(runs.length > 1 ? runs[i] : "Prediction", answer.sql, answer.result)),
    ], "sides"),
    ...question.runs.flatMap(groups),
    ...question.runs.flatMap(witness),
  ];
  const entry = (question) => {
    const errors = [...new Set(question.runs.map((answer) => answer.error_class).filter(Boolean))];
    const meta = [question.id, question.db_id, question.difficulty, errors.join(", ")].filter(Boolean).join(" · ");
    const summary = make("summary", [...question.runs.map(mark), question.question + " ", make("span", meta, "meta")]);
    const details = make("details", summary);
    details.addEventListener("toggle", () => {
      if (details.children.length === 1) details.append(...content(question));
    }, { once: true });
    return details;
  };

  const VERDICTS = {
    wrong: (answers) => answers.some((answer) => answer.correct === false),
    right: (answers) => answers.every((answer) => answer.correct === true),
    gained: (answers) => answers[0].correct === false && answers.at(-1).correct === true,
    lost: (answers) => answers[0].correct === true && answers.at(-1).correct === false,
    lucky: (answers) => answers.some((answer) => answer.coincidence),
    left_out: (answers) => answers.some((answer) => answer.correct === null),
  };
  const MATCHES = {
    verdict: (question, value) => VERDICTS[value](question.runs),
    error: (question, value) => question.runs.some((answer) => answer.error_class === value),
    db: (question, value) => question.db_id === value,
    difficulty: (question, value) => question.difficulty === value,
    text: (question, value) => {
      const texts = [question.id, question.question, question.gold_sql, ...question.runs.map((answer) => answer.sql)];
      return texts.some((text) => (text || "").toLowerCase().includes(value.toLowerCase()));
    },
  };
  const drawMore = () => {
    list.append(...matching.slice(drawn, drawn + PAGE).map(entry));
    drawn += PAGE;
    moreButton.hidden = drawn >= matching.length;
  };
  const applyFilters = () => {
    const active = filters.filter((filter) => filter.value !== "");
    matching = questions.filter((question) =>
      active.every((filter) => MATCHES[filter.dataset.filter](question, filter.value)));
    count.textContent = `${matching.length} of ${plural(questions.length, "question")}`;
    list.replaceChildren();
    drawn = 0;
    drawMore();
  };
  filters.forEach((filter) => filter.addEventListener("input", applyFilters));
  moreButton.addEventListener("click", drawMore);
  applyFilters();
})();
