// Small helpers. Everything shown is text or an attribute, never markup.

export const $ = (id) => document.getElementById(id);

export function text(name, content, className = "") {
  const element = Object.assign(document.createElement(name), { textContent: content });
  if (className) element.className = className;
  return element;
}

/** Changes a text only if it is another one: a selection survives a refresh. */
export function put(element, content) {
  if (element.textContent !== content) element.textContent = content;
}

/** Gives `parent` these children; one that is where it belongs is not touched, and keeps the focus. */
export function hold(parent, children) {
  for (const child of [...parent.children]) if (!children.includes(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
}

/** Gives `parent` this one child, unless it has one that says the same: a selection survives a refresh. */
export function fill(parent, child) {
  if (!parent.firstElementChild?.isEqualNode(child)) parent.replaceChildren(child);
}

/** A copy of the template with this id. */
export const copyOf = (id) => $(id).content.firstElementChild.cloneNode(true);

/** Groups of a list of figures: each of `rows` is a term, a value, and a class. */
export const figures = (rows) => rows.map(([term, value, className]) => {
  const group = document.createElement("div");
  group.className = className;
  group.append(text("dt", `${term} `), text("dd", value));
  return group;
});

/** A table; `columns` are names by id, those in `words` hold words and not numbers. */
export function table(caption, columns, words, rows) {
  const element = document.createElement("table");
  element.createCaption().textContent = caption;
  const ids = Object.keys(columns);
  const word = (id) => (words.includes(id) ? "word" : "");
  element.createTHead().insertRow().append(...ids.map((id) => Object.assign(text("th", columns[id], word(id)), { scope: "col" })));
  const body = element.createTBody();
  for (const row of rows) body.insertRow().append(...ids.map((id) => text("td", row[id], word(id))));
  return element;
}
