// Where listed rows lie among others, and the rows that they are most like.

import { button, count, el, svg } from './dom.js';
import { readBeside } from './data.js';
import { LONG_TEXT, excerpt, framed } from './sample.js';

const MAP_SIDE = 1000;
const NEAR_SIDE = 64;
const SHORT_TEXT = 140;
const FEW_CELLS = 6;

/// The rows on the map; nothing where the page has none.
export class Beside {
  constructor(block, rows) {
    Object.assign(this, block);
    this.at = new Map(block.row.map((row, i) => [row, i]));
    this.rows = rows;
  }

  static async read(rows) {
    const block = await readBeside();
    return block === null ? null : new Beside(block, rows);
  }

  named(label) {
    return label === 0 ? null : this.labels[label - 1];
  }

  /// What a row that is near holds: its picture, or its text, or its first cells.
  held(j) {
    if (this.pictures[j]) return framed(this.pictures[j], NEAR_SIDE, this.near[j]);
    const cells = this.cells[j] ?? [];
    const text = this.columns.findIndex(({ role }, at) => LONG_TEXT.includes(role) && cells[at]);
    if (text >= 0) return el('span', { class: 'held' }, excerpt(cells[text], [], SHORT_TEXT));
    const few = this.columns.flatMap(({ name, role }, at) => (['numeric', 'categorical'].includes(role) && cells[at] ? [`${name} ${cells[at]}`] : []));
    return el('span', { class: 'held' }, few.slice(0, FEW_CELLS).join(' · '));
  }

  /// The rows that a listed row is most like; `open` opens those that are listed themselves.
  nearestOf(i, open) {
    const at = this.at.get(this.rows.row[i]);
    const nearest = at === undefined ? undefined : this.nearest[at];
    if (nearest === undefined) return null;
    const own = this.rows.labelOf(i);
    const items = nearest.map((j) => {
      const label = this.named(this.label[j]);
      const listed = this.rows.at.get(this.near[j]);
      const name = `row ${count(this.near[j])}`;
      const caption = listed === undefined ? el('span', { class: 'caption' }, name) : button(name, () => open(listed), { class: 'quiet', 'aria-label': `Open ${name}, which is listed too` });
      const said = label === null ? null : el('span', { class: label === own ? 'label same' : 'label other' }, label);
      return el('li', {}, this.held(j), said, caption);
    });
    return el('div', { class: 'nearest' }, el('h4', {}, 'Most like it'), el('ul', {}, ...items));
  }

  /// A map with some listed rows on it, all if there is no choice; `label` is theirs.
  map(chosen, label) {
    const found = this.row.map((row) => this.rows.at.get(row));
    const drawn = this.places.filter((_, at) => found[at] !== undefined && (chosen === null || chosen.has(found[at])));
    if (drawn.length === 0) return null;
    const kin = label === null ? -1 : this.labels.indexOf(label) + 1;
    const dots = (places, kind) => svg('path', { class: kind, d: places.map(([x, y]) => `M${x} ${MAP_SIDE - y}h0`).join('') });
    const others = (isKin) => this.ground.filter((_, at) => (kin > 0 && this.class[at] === kin) === isKin);
    const layers = [dots(others(false), 'ground'), dots(others(true), 'kin'), dots(drawn, 'listed')];
    const said = `${count(drawn.length)} listed rows on a map of what rows hold`;
    const key = (kind, text) => [el('span', { class: `key ${kind}` }), text];
    const legend = [...key('listed', `${count(drawn.length)} listed `), ...(kin > 0 ? key('kin', `labelled ${label} `) : []), ...key('ground', kin > 0 ? 'other labels' : 'other rows')];
    return el('figure', { class: 'map' }, svg('svg', { viewBox: `-20 -20 ${MAP_SIDE + 40} ${MAP_SIDE + 40}`, role: 'img', 'aria-label': said }, ...layers), el('figcaption', {}, ...legend));
  }
}

/// The label that most of these rows have; nothing where they differ too much to say.
export function commonLabel(rows, places) {
  const counts = new Map();
  for (const i of places) counts.set(rows.label[i], (counts.get(rows.label[i]) ?? 0) + 1);
  const [label, n] = [...counts].reduce((most, next) => (next[1] > most[1] ? next : most), [null, 0]);
  return 2 * n > places.length ? rows.labels[label] : null;
}
