// Elements, made without markup: every text becomes a text node, whatever it holds.

/// An element with properties and children; a property that is a function listens to the event of its name.
export function el(name, props = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === 'function') node.addEventListener(key, value);
    else if (key === 'value') node.value = value;
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/// An element of a drawing.
export function svg(name, props = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

/// A count with its digits in threes.
export function count(n) {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ',');
}

/// A count with its noun.
export function plural(n, one, many) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0]/gu;

/// A text of somebody's as one line that hides nothing, as src/report/escape.rs has it: what the page holds went through there, what a
/// ledger or an input brings has not.
export function visible(text, limit = 200) {
  const shown = text.replace(HIDDEN, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}⟩`);
  return shown.length > limit ? `${shown.slice(0, limit)}…` : shown;
}

/// A button with a text.
export function button(text, click, props = {}) {
  return el('button', { type: 'button', click, ...props }, text);
}

/// A field with its label, the label before it.
export function field(label, control) {
  return el('label', { class: 'field' }, el('span', {}, label), control);
}

/// A list to choose from; choices are pairs of value and text.
export function choice(choices, props = {}) {
  return el('select', props, ...choices.map(([value, text]) => el('option', { value }, text)));
}

/// Puts a text into a file that the browser saves.
export function save(name, text, type) {
  const link = el('a', { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/// Waits for a pause in calls.
export function settled(wait, call) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(call, wait);
  };
}
