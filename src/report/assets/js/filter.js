// Which rows are shown, and in what order.

export const NO_FILTER = { text: '', family: '', code: '', label: '', source: '', state: '', cause: '' };

/// Distinct values with their rows, most rows first: `places` of rows in a list, and the values of each of the list's items.
export function tally(places, items, valuesOf) {
  const of = items.map(() => 0);
  for (const place of places) of[place] += 1;
  const counts = new Map();
  items.forEach((item, place) => {
    if (of[place] > 0) for (const value of valuesOf(item)) counts.set(value, (counts.get(value) ?? 0) + of[place]);
  });
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

/// The places of the rows that a filter shows.
export function shown(rows, log, filter) {
  const has = (test) => rows.lists.map((list) => list.some(test));
  const family = filter.family ? has((code) => code.split('.')[0] === filter.family) : null;
  const code = filter.code ? has((other) => other === filter.code) : null;
  const cause = filter.cause ? has((other) => other === filter.cause) : null;
  const text = filter.text.trim().toLowerCase();
  const out = [];
  for (let i = 0; i < rows.length; i += 1) {
    if (family && !family[rows.codes[i]]) continue;
    if (code && !code[rows.codes[i]]) continue;
    if (cause && !cause[rows.causes[i]]) continue;
    if (filter.label && rows.labelOf(i) !== filter.label) continue;
    if (filter.source && rows.sourceOf(i) !== filter.source) continue;
    if (filter.state && log.stateOf(i) !== filter.state) continue;
    if (text && !rows.textOf(i).includes(text)) continue;
    out.push(i);
  }
  return out;
}

const SORT_KEYS = {
  label: (rows) => (i) => rows.labelOf(i),
  code: (rows) => (i) => rows.codesOf(i)[0] ?? '',
  q: (rows) => (i) => rows.q[i],
  reason: (rows) => (i) => rows.reason[i],
  state: (rows, log) => (i) => log.stateOf(i),
};

/// The places in order; numbers by size, texts by their characters, equal ones by position.
export function sorted(rows, log, places, { key, down }) {
  // Rows are listed by their position.
  if (key === 'row') return down ? [...places].reverse() : places;
  const of = SORT_KEYS[key](rows, log);
  const keys = new Map(places.map((i) => [i, of(i)]));
  const sign = down ? -1 : 1;
  return [...places].sort((a, b) => {
    const [x, y] = [keys.get(a), keys.get(b)];
    return x < y ? -sign : x > y ? sign : a - b;
  });
}
