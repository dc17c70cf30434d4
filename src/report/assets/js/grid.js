// The table of listed rows. Only the rows in sight are in the document, so that its size does not matter.

import { count, el, visible } from './dom.js';

const GRID_COLUMNS = [
  ['state', 'decision'],
  ['row', 'row'],
  ['label', 'label'],
  ['code', 'found by'],
  ['reason', 'why'],
];
const BEYOND = 6;

/// What a key says of a row, in the table and in the panel.
export const ACTS = { c: 'confirm', d: 'dismiss', u: 'undo', r: 'relabel' };

export class Grid {
  constructor(rows, log, { open, act, sort }) {
    this.rows = rows;
    this.log = log;
    this.calls = { open, act, sort };
    this.places = [];
    this.current = 0;
    this.order = { key: 'row', down: false };
    this.height = 0;
    this.lines = el('div', { class: 'lines', role: 'rowgroup' });
    this.space = el('div', { class: 'space', role: 'presentation' }, this.lines);
    this.head = el('div', { class: 'line head', role: 'row', 'aria-rowindex': 1 });
    this.headGroup = el('div', { role: 'rowgroup', class: 'head-group' }, this.head);
    this.node = el(
      'div',
      { class: 'grid', role: 'grid', tabindex: 0, 'aria-label': 'Listed rows', 'aria-colcount': GRID_COLUMNS.length, keydown: (e) => this.key(e) },
      this.headGroup,
      this.space,
    );
    this.node.addEventListener('scroll', () => this.draw(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(this.node);
    this.drawHead();
  }

  drawHead() {
    const cell = ([key, text], at) => {
      const isKey = this.order.key === key;
      const arrow = isKey ? (this.order.down ? ' ↓' : ' ↑') : '';
      const sort = () => this.calls.sort({ key, down: isKey && !this.order.down });
      const inside = el('button', { type: 'button', tabindex: -1, click: sort }, `${text}${arrow}`);
      const direction = isKey ? (this.order.down ? 'descending' : 'ascending') : 'none';
      return el('div', { role: 'columnheader', class: `cell ${key}`, 'aria-sort': direction, 'aria-colindex': at + 1 }, inside);
    };
    this.head.replaceChildren(...GRID_COLUMNS.map(cell));
  }

  show(places, order) {
    const row = this.places[this.current];
    this.places = places;
    this.order = order;
    this.current = Math.max(0, places.indexOf(row));
    this.node.setAttribute('aria-rowcount', places.length + 1);
    this.drawHead();
    this.measure();
  }

  // The height of a line is the style's: it differs between a phone and a desk.
  measure() {
    const probe = this.line(this.places[0] ?? 0, 0);
    if (this.rows.length === 0) return;
    this.lines.replaceChildren(probe);
    this.height = probe.getBoundingClientRect().height || 44;
    this.space.style.height = `${this.height * Math.max(1, this.places.length)}px`;
    this.draw();
  }

  draw() {
    const view = this.node.clientHeight - this.headGroup.offsetHeight;
    const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - BEYOND);
    const last = Math.min(this.places.length, Math.ceil((this.node.scrollTop + view) / this.height) + BEYOND);
    const lines = this.places.slice(first, last).map((i, at) => this.line(i, first + at));
    if (lines.length === 0) lines.push(el('p', { class: 'empty' }, 'No row matches.'));
    this.lines.style.transform = `translateY(${first * this.height}px)`;
    this.lines.replaceChildren(...lines);
    const inSight = this.current >= first && this.current < last;
    if (inSight) this.node.setAttribute('aria-activedescendant', `line-${this.current}`);
    else this.node.removeAttribute('aria-activedescendant');
  }

  line(i, at) {
    const { rows } = this;
    const state = this.log.stateOf(i);
    const said = this.log.said[i];
    const suggested = rows.suggestedOf(i);
    const label = el('span', { class: 'given' }, rows.labelOf(i) || '–');
    const other = said?.ruling === 'relabel' ? el('span', { class: 'to' }, ` → ${visible(said.label)}`) : suggested === null ? null : el('span', { class: 'to' }, ` → ${suggested}?`);
    const cell = (key, ...inside) => el('div', { role: 'gridcell', class: `cell ${key}` }, ...inside);
    return el(
      'div',
      {
        role: 'row',
        id: `line-${at}`,
        class: `line ${state}${at === this.current ? ' current' : ''}`,
        'aria-rowindex': at + 2,
        'aria-selected': at === this.current ? 'true' : 'false',
        click: () => {
          this.go(at);
          this.calls.open(i, false);
        },
      },
      cell('state', el('span', { class: `tag ${state}` }, state)),
      cell('row', count(rows.row[i])),
      cell('label', label, other),
      cell('code', ...rows.codesOf(i).map((code) => el('span', { class: 'code' }, code))),
      cell('reason', rows.reason[i]),
    );
  }

  /// Makes a line the current one and brings it into sight.
  go(at) {
    this.current = Math.max(0, Math.min(this.places.length - 1, at));
    const head = this.headGroup.offsetHeight;
    const top = this.current * this.height;
    const view = this.node.clientHeight - head;
    if (top < this.node.scrollTop) this.node.scrollTop = top;
    else if (top + this.height > this.node.scrollTop + view) this.node.scrollTop = top + this.height - view;
    this.draw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.node || this.places.length === 0) return;
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.height) - 2);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key in moves) {
      this.go(Math.max(-1, Math.min(this.places.length, this.current + moves[event.key])));
      this.calls.open(this.places[this.current], null);
    } else if (event.key === 'Enter') this.calls.open(this.places[this.current], true);
    else if (event.key in ACTS) this.calls.act(this.places[this.current], ACTS[event.key]);
    else return;
    event.preventDefault();
  }
}
