// The page: asks the server, and shows the answer with everything that led to it.
import { chartOf, seriesOf } from "./chart.js";
import { at, make, plural } from "./elements.js";
import { earlier, forget, remember } from "./history.js";
import { schemaPicture } from "./schema.js";
import { copy, csvOf, download, tabbed } from "./taking.js";

let databases = [];
let answer = null; // the one on the page

// GET, or POST with a body; returns the JSON of the response. Throws an Error that a person can read.
async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = "Bearer " + key;
  const method = body ? "POST" : "GET";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const content = await response.json().catch(() => ({}));
  if (response.status === 401) at("key-row").hidden = false;
  if (!response.ok) throw new Error(errorMessage(content.detail, response.status));
  return content;
}

function errorMessage(detail, status) {
  return typeof detail === "string" ? detail : `the server returned the error ${status}`;
}

function showError(message) {
  at("error").textContent = message;
  at("error").hidden = !message;
}

function showTables() {
  const database = databases.find((candidate) => candidate.name === at("database").value);
  const tables = database ? database.tables : [];
  at("picture").replaceChildren(...(tables.length ? [schemaPicture(database.name, tables)] : []));
  at("tables").replaceChildren(
    ...tables.map((table) => {
      const item = make("li", "");
      item.append(make("strong", table.name), " (" + table.columns.join(", ") + ")");
      const keys = table.foreign_keys.map((key) => `${key.columns.join(", ")} refers to ${key.parent}`);
      if (keys.length) item.append("; " + keys.join("; "));
      return item;
    })
  );
}

async function loadDatabases() {
  try {
    databases = await call("/api/databases");
    at("database").replaceChildren(...databases.map((database) => make("option", database.name)));
    prefill(Object.fromEntries(new URLSearchParams(location.search)));
    showError("");
  } catch (error) {
    showError(error.message);
  }
}

// Fills the form from a link (/?database=chinook&question=...) or an earlier question. The person presses Ask.
function prefill({ database, question, evidence }) {
  if (databases.some((candidate) => candidate.name === database)) at("database").value = database;
  if (question) at("question").value = question;
  at("evidence").value = evidence || "";
  showTables();
}

function showHistory() {
  const items = earlier().map((asked) => {
    const button = make("button", asked.question);
    button.type = "button";
    button.addEventListener("click", () => {
      prefill(asked);
      at("question").focus();
    });
    const item = make("li", "");
    item.append(button, make("small", ` on ${asked.database}`));
    return item;
  });
  at("earlier").replaceChildren(...items);
  at("history").hidden = !items.length;
}

function cell(value) {
  if (value === null) return make("td", "NULL", "null");
  return make("td", String(value), typeof value === "number" ? "number" : "");
}

function row(cells) {
  const element = document.createElement("tr");
  element.append(...cells);
  return element;
}

function heading(name) {
  const element = make("th", name);
  element.scope = "col";
  return element;
}

function showRows() {
  const isCut = answer.row_count > answer.rows.length;
  at("count").textContent = isCut ? `first ${answer.rows.length} of ${answer.row_count}` : String(answer.row_count);
  const head = row(answer.columns.map(heading));
  at("rows").replaceChildren(head, ...answer.rows.map((values) => row(values.map(cell))));
}

function showChart() {
  const isWhole = answer.row_count === answer.rows.length;
  const series = isWhole ? seriesOf(answer.columns, answer.rows) : null;
  at("chart").hidden = !series;
  at("chart").replaceChildren(...(series ? [chartOf(series, at("chart").clientWidth)] : []));
}

function showGroups() {
  const total = answer.candidates.length;
  at("agreement").textContent = answer.agreement;
  const groups = answer.groups.length > 1 ? answer.groups : []; // a single one has the SQL that is shown already
  at("groups").replaceChildren(
    ...groups.map((group) => {
      const item = make("li", `${group.votes} of ${plural(total, "candidate")}, ${plural(group.row_count, "row")}`);
      if (group.difference) item.append(`: ${group.difference}`);
      const bar = make("span", "", "share");
      bar.style.width = Math.max(2, (100 * group.votes) / total) + "%";
      item.append(bar, make("code", group.sql));
      return item;
    })
  );
}

function showFailures() {
  const failed = answer.candidates.filter((candidate) => candidate.status !== "ok");
  at("failed").hidden = !failed.length;
  at("failed").querySelector("summary").textContent = `${failed.length} did not run`;
  at("failed").querySelector("ul").replaceChildren(
    ...failed.map((candidate) => {
      const item = make("li", "");
      item.append(make("code", candidate.sql || "(no SQL)"), " — " + (candidate.error || candidate.status));
      return item;
    })
  );
}

function showAnswer() {
  at("answer").hidden = false;
  at("dialect").textContent = databases.find((database) => database.name === answer.database).dialect;
  at("sql").textContent = answer.sql || "(no SQL)";
  at("how").textContent = `How it was chosen: ${answer.explanation}. It took ${answer.seconds.toFixed(1)} s.`;
  if (answer.status !== "ok") showError("This question has no answer: " + (answer.error || answer.status));
  at("result").hidden = answer.status !== "ok";
  showRows();
  showChart();
  showGroups();
  showFailures();
}

async function ask() {
  const asked = { database: at("database").value, question: at("question").value, evidence: at("evidence").value };
  showError("");
  at("answer").hidden = true;
  at("ask").disabled = true;
  at("state").textContent = "Working…";
  try {
    answer = { ...(await call("/api/ask", asked)), database: asked.database };
    remember(asked);
    showHistory();
    showAnswer();
    at("state").textContent = answer.status === "ok" ? `Answered, ${plural(answer.row_count, "row")}.` : "";
  } catch (error) {
    showError(error.message);
    at("state").textContent = "";
  } finally {
    at("ask").disabled = false;
    if (document.activeElement === document.body) at("ask").focus(); // a disabled button loses the focus
  }
}

// Does something with the answer and says so, also to a screen reader.
function does(id, action, said) {
  at(id).addEventListener("click", async () => {
    await action();
    at("state").textContent = said;
  });
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (at("key").value) {
    sessionStorage.setItem("key", at("key").value);
    if (!databases.length) await loadDatabases();
  }
  await ask();
});
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    at("form").requestSubmit(at("ask"));
  }
  if (event.key === "ArrowUp" && !at("question").value && earlier().length) {
    event.preventDefault();
    prefill(earlier()[0]);
  }
});
at("database").addEventListener("change", showTables);
does("copy-sql", () => copy(at("sql").textContent), "The SQL is copied.");
does("copy-rows", () => copy(tabbed(answer.columns, answer.rows)), "The rows are copied.");
does("download", () => download(`${answer.database}.csv`, csvOf(answer.columns, answer.rows)), "The rows are saved.");
does("forget", () => { forget(); showHistory(); }, "The earlier questions are forgotten.");
window.addEventListener("resize", () => at("answer").hidden || showChart()); // it is as wide as the page
showHistory();
loadDatabases();
