"use strict";
// Everything the server sends is set as text, never as HTML: it may come from anybody's database.
const at = (id) => document.getElementById(id);
let databases = [];

function make(name, text, style) {
  const element = document.createElement(name);
  element.textContent = text;
  if (style) element.className = style;
  return element;
}

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
  at("tables").replaceChildren(
    ...(database ? database.tables : []).map((table) => {
      const item = make("li", "");
      item.append(make("strong", table.name), " (" + table.columns.join(", ") + ")");
      return item;
    })
  );
}

async function loadDatabases() {
  try {
    databases = await call("/api/databases");
    at("database").replaceChildren(...databases.map((database) => make("option", database.name)));
    prefill(new URLSearchParams(location.search));
    showTables();
    showError("");
  } catch (error) {
    showError(error.message);
  }
}

// A link may name a database and a question (/?database=chinook&question=...). It only fills the form:
// the person presses Ask.
function prefill(query) {
  const name = query.get("database");
  if (databases.some((database) => database.name === name)) at("database").value = name;
  if (query.get("question")) at("question").value = query.get("question");
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

function showRows(answer) {
  const isCut = answer.row_count > answer.rows.length;
  at("count").textContent =
    isCut ? `first ${answer.rows.length} of ${answer.row_count}` : String(answer.row_count);
  const head = row(answer.columns.map((name) => make("th", name)));
  at("rows").replaceChildren(head, ...answer.rows.map((values) => row(values.map(cell))));
}

function showGroups(answer) {
  const total = answer.candidates.length;
  at("groups").replaceChildren(
    ...answer.groups.map((group) => {
      const rows = group.row_count === 1 ? "1 row" : `${group.row_count} rows`;
      const item = make("li", `${group.votes} of ${total} candidates, ${rows}`);
      const bar = make("span", "", "bar");
      bar.style.width = Math.max(2, (100 * group.votes) / total) + "%";
      item.append(bar, make("code", group.sql));
      return item;
    })
  );
}

function showFailures(answer) {
  const failed = answer.candidates.filter((candidate) => candidate.status !== "ok");
  at("failed").hidden = !failed.length;
  at("failed").querySelector("summary").textContent = `${failed.length} did not run`;
  at("failed").querySelector("ul").replaceChildren(
    ...failed.map((candidate) => {
      const item = make("li", "");
      const code = make("code", candidate.sql || "(no SQL)");
      item.append(code, " — " + (candidate.error || candidate.status));
      return item;
    })
  );
}

function showAnswer(answer) {
  at("answer").hidden = false;
  at("sql").textContent = answer.sql || "(no SQL)";
  at("how").textContent =
    `How it was chosen: ${answer.explanation}. It took ${answer.seconds.toFixed(1)} s.`;
  if (answer.status !== "ok") showError("This question has no answer: " + (answer.error || answer.status));
  at("result").hidden = answer.status !== "ok";
  showRows(answer);
  showGroups(answer);
  showFailures(answer);
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (at("key").value) {
    sessionStorage.setItem("key", at("key").value);
    if (!databases.length) await loadDatabases();
  }
  showError("");
  at("answer").hidden = true;
  at("ask").disabled = true;
  at("state").textContent = "Working…";
  try {
    const [database, question] = [at("database").value, at("question").value];
    showAnswer(await call("/api/ask", { database, question, evidence: at("evidence").value }));
  } catch (error) {
    showError(error.message);
  } finally {
    at("ask").disabled = false;
    at("state").textContent = "";
  }
});
at("database").addEventListener("change", showTables);
at("copy").addEventListener("click", () => navigator.clipboard.writeText(at("sql").textContent));
loadDatabases();
