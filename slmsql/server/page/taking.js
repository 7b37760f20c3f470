// Takes an answer elsewhere: to the clipboard, or into a CSV file.

// A spreadsheet runs text such as =HYPERLINK(...) as a formula; with a quotation mark before it, it stays text.
const FORMULA = /^[=+@\t\r-]/;

// A value as a spreadsheet should read it. Numbers stay as they are, NULL is empty.
function safe(value) {
  if (value === null) return "";
  return typeof value === "string" && FORMULA.test(value) ? "'" + value : String(value);
}

// Rows as CSV (RFC 4180).
export function csvOf(columns, rows) {
  const field = (text) => (/[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  return [columns, ...rows].map((row) => row.map(safe).map(field).join(",") + "\r\n").join("");
}

// Rows with tabs between the values, as one pastes them into a spreadsheet.
export function tabbed(columns, rows) {
  const cell = (value) => safe(value).replaceAll(/[\t\r\n]+/g, " ");
  return [columns, ...rows].map((row) => row.map(cell).join("\t")).join("\n");
}

// The clipboard's interface is missing where the page is not served over HTTPS or from this machine.
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(["\ufeff" + text], { type: "text/csv;charset=utf-8" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
