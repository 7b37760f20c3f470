"use strict";
// Whatever the server sends is set as text, never as HTML: it may come from anybody's database.
const at = (id) => document.getElementById(id);
let databases = [];

function element(name, text, kind) {
  const made = document.createElement(name);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

async function call(path, body) {
  const headers = { "Content-Type": "application/json" };
  const key = sessionStorage.getItem("key");
  if (key) headers.Authorization = "Bearer " + key;
  const method = body ? "POST" : "GET";
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const content = await response.json().catch(() => ({}));
  if (response.status === 401) at("key-row").hidden = false;
  if (!response.ok) throw new Error(reason(content.detail, response.status));
  return content;
}

function reason(detail, status) {
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map((one) => one.msg).join("; ");
  return "the server answered with status " + status;
}

function fail(message) {
  at("error").textContent = message;
  at("error").hidden = !message;
}

function showTables() {
  const chosen = databases.find((one) => one.name === at("database").value);
  at("tables").replaceChildren(
    ...(chosen ? chosen.tables : []).map((table) => {
      const item = element("li", "");
      item.append(element("strong", table.name), " (" + table.columns.join(", ") + ")");
      return item;
    })
  );
}

async function load() {
  try {
    databases = await call("/api/databases");
    at("database").replaceChildren(...databases.map((one) => element("option", one.name)));
    prefill(new URLSearchParams(location.search));
    showTables();
    fail("");
  } catch (error) {
    fail(error.message);
  }
}

// A link may carry a database and a question; the person still presses the button.
function prefill(query) {
  const known = databases.some((one) => one.name === query.get("database"));
  if (known) at("database").value = query.get("database");
  if (query.get("question")) at("question").value = query.get("question");
}

function cell(value) {
  if (value === null) return element("td", "NULL", "null");
  return element("td", String(value), typeof value === "number" ? "number" : "");
}

function row(cells) {
  const made = document.createElement("tr");
  made.append(...cells);
  return made;
}

function showRows(answer) {
  const more = answer.row_count > answer.rows.length;
  at("count").textContent =
    more ? `first ${answer.rows.length} of ${answer.row_count}`
    : String(answer.row_count);
  const head = row(answer.columns.map((name) => element("th", name)));
  at("rows").replaceChildren(head, ...answer.rows.map((values) => row(values.map(cell))));
}

function showGroups(answer) {
  const all = answer.candidates.length;
  at("groups").replaceChildren(
    ...answer.groups.map((group) => {
      const rows = group.row_count === 1 ? "1 row" : `${group.row_count} rows`;
      const item = element("li", `${group.votes} of ${all} candidates, ${rows}`);
      const bar = element("span", "", "bar");
      bar.style.width = Math.max(2, (100 * group.votes) / all) + "%";
      item.append(bar, element("code", group.sql));
      return item;
    })
  );
  const failed = answer.candidates.filter((one) => one.status !== "ok");
  at("failed").hidden = !failed.length;
  at("failed").querySelector("summary").textContent = `${failed.length} did not run`;
  at("failed").querySelector("ul").replaceChildren(
    ...failed.map((one) => {
      const item = element("li", "");
      item.append(element("code", one.sql || "(no SQL)"), " — " + (one.error || one.status));
      return item;
    })
  );
}

function show(answer) {
  at("answer").hidden = false;
  at("sql").textContent = answer.sql || "(no SQL)";
  at("how").textContent = `Decided: ${answer.explanation}. ${answer.seconds.toFixed(1)} s.`;
  if (answer.status !== "ok") fail("This question has no answer: " + (answer.error || answer.status));
  at("result").hidden = answer.status !== "ok";
  showRows(answer);
  showGroups(answer);
}

at("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (at("key").value) {
    sessionStorage.setItem("key", at("key").value);
    if (!databases.length) await load();
  }
  fail("");
  at("answer").hidden = true;
  at("ask").disabled = true;
  at("state").textContent = "Thinking…";
  try {
    const [database, question] = [at("database").value, at("question").value];
    show(await call("/api/ask", { database, question, evidence: at("evidence").value }));
  } catch (error) {
    fail(error.message);
  } finally {
    at("ask").disabled = false;
    at("state").textContent = "";
  }
});
at("database").addEventListener("change", showTables);
at("copy").addEventListener("click", () => navigator.clipboard.writeText(at("sql").textContent));
load();
