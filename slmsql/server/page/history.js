// Earlier questions, in this browser alone.
const [KEY, MOST] = ["history", 50];

export const earlier = () => JSON.parse(localStorage.getItem(KEY) || "[]");

// Puts a question first; the same question on the same database stands there once.
export function remember(asked) {
  const same = (other) => other.database === asked.database && other.question === asked.question;
  const others = earlier().filter((other) => !same(other));
  localStorage.setItem(KEY, JSON.stringify([asked, ...others].slice(0, MOST)));
}

export const forget = () => localStorage.removeItem(KEY);
