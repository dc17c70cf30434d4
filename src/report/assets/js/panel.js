// One row: what it holds, why it is listed, what it is like, what is decided about it.

import { button, choice, count, el, field, visible } from './dom.js';
import { ACTS } from './grid.js';
import { cellsOf, pictureOf, textsOf } from './sample.js';

const PICTURE_SIDE = 280;
const WIDE = matchMedia('(min-width: 70rem)');

/// Choices of a label: those that content suggests first.
export function labelChoices(head, first) {
  const shown = head.classes.map(({ value, shown: text }) => [value, text]);
  const ahead = shown.filter(([value]) => first.includes(value));
  return [['', 'choose a label'], ...ahead, ...shown.filter(([value]) => !first.includes(value))];
}

export class Panel {
  constructor(head, rows, log, beside, { decide, act, close, step }) {
    Object.assign(this, { head, rows, log, beside, decide, act, step, place: null });
    this.body = el('div', { class: 'panel-body' });
    this.node = el('dialog', { class: 'panel', 'aria-label': 'Row', close: () => this.closed(close) }, this.body);
    this.node.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && !this.modal) this.node.close();
      else this.key(event);
    });
  }

  get isOpen() {
    return this.node.open;
  }

  /// The keys of the table, but where they write or choose.
  key(event) {
    const typing = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey || typing || this.place === null || !(event.key in ACTS)) return;
    event.preventDefault();
    this.act(this.place, ACTS[event.key]);
  }

  closed(close) {
    // The event comes later: by then the next row may be open.
    if (this.node.open) return;
    this.place = null;
    close();
  }

  /// Opens a row; `focus` moves the reader there.
  async open(i, focus) {
    const another = this.place !== i;
    this.place = i;
    this.draw(i);
    if (another) this.node.scrollTop = 0;
    if (!this.node.open) {
      this.modal = !WIDE.matches;
      const before = document.activeElement;
      if (this.modal) this.node.showModal();
      else this.node.show();
      if (!focus && !this.modal) before?.focus?.();
    }
    if (focus || this.modal) this.title.focus();
    const [pictures, beside] = await Promise.all([this.rows.pictures(), this.beside]);
    if (this.place !== i) return;
    this.nearest.replaceChildren(...[beside?.nearestOf(i, (j) => this.open(j, true))].filter(Boolean));
    if (pictures[i]) this.figure.replaceChildren(pictureOf(this.rows, i, pictures[i], PICTURE_SIDE));
    else if (Object.keys(pictures).length > 0) this.figure.replaceChildren(el('p', { class: 'missing' }, 'The picture of this row is not in the page.'));
  }

  /// Draws the row again after a decision.
  refresh() {
    if (this.place === null) return;
    const focused = this.node.contains(document.activeElement) ? (document.activeElement.dataset.act ?? '') : null;
    const { figure, nearest } = this;
    this.draw(this.place);
    this.figure.replaceWith(figure);
    this.nearest.replaceWith(nearest);
    Object.assign(this, { figure, nearest });
    // What had the focus may be gone or disabled now; lost altogether, it would take the keys with it.
    if (focused !== null) (this.node.querySelector(`[data-act="${focused}"]:not(:disabled)`) ?? this.title).focus();
  }

  draw(i) {
    const { rows, log } = this;
    const state = log.stateOf(i);
    this.title = el('h3', { tabindex: -1 }, `Row ${count(rows.row[i])}`);
    this.figure = el('div', { class: 'figure' });
    this.nearest = el('div', {});
    const step = (by, text, name) => button(text, () => this.step(by), { 'aria-label': name, class: 'quiet', 'data-act': name });
    const top = el(
      'div',
      { class: 'panel-top' },
      this.title,
      el('span', { class: `tag ${state}` }, state),
      el('span', { class: 'steps-of' }, step(-1, '↑', 'Row before'), step(1, '↓', 'Next row'), button('✕', () => this.node.close(), { 'aria-label': 'Close', class: 'quiet' })),
    );
    const facts = [
      rows.id[i] === undefined ? null : ['id', rows.id[i]],
      rows.labelOf(i) === '' ? null : ['label', rows.labelOf(i)],
      rows.suggestedOf(i) === null ? null : ['content suggests', rows.suggestedOf(i)],
      rows.sourceOf(i) === null ? null : ['source', rows.sourceOf(i)],
      rows.files.length < 2 ? null : ['file', rows.fileOf(i)],
      ['strength', rows.alarm[i] ? 'alarm' : 'suspect'],
    ].filter(Boolean);
    const causes = rows.causesOf(i).map((fingerprint) => rows.causeOf.get(fingerprint)).filter(Boolean);
    this.body.replaceChildren(
      top,
      el('dl', { class: 'facts-of' }, ...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value)))),
      this.figure,
      textsOf(rows, i),
      el('p', { class: 'why' }, rows.reason[i]),
      this.nearest,
      ...(causes.length ? [el('ul', { class: 'causes-of' }, ...causes.map((cause) => el('li', {}, el('a', { href: `#cause-${cause.i}` }, cause.title))))] : []),
      this.controls(i),
      this.history(i),
      cellsOf(rows, i),
    );
  }

  controls(i) {
    const { rows, head, log } = this;
    const said = log.said[i];
    const note = el('input', { maxlength: 2000, autocomplete: 'off', 'data-act': 'note' });
    const act = (ruling, text) =>
      button(text, () => this.decide([i], ruling, { note: note.value.trim() }), {
        class: ruling,
        'aria-pressed': said?.ruling === ruling ? 'true' : 'false',
        'data-act': ruling,
      });
    const parts = [act('confirm', 'Confirm'), act('dismiss', 'Dismiss')];
    if (head.label !== null && head.classes.length > 1) {
      const suggested = rows.suggestedOf(i);
      const list = choice(labelChoices(head, suggested === null ? [] : [suggested]), { 'data-act': 'relabel' });
      list.value = said?.ruling === 'relabel' ? said.label : '';
      list.addEventListener('change', () => list.value !== '' && this.decide([i], 'relabel', { label: list.value, note: note.value.trim() }));
      parts.push(field('relabel to', list));
    }
    parts.push(button('Reopen', () => this.decide([i], 'undo', {}), { disabled: said === null, 'data-act': 'undo' }));
    const keep = () => note.value.trim() && this.decide([i], 'note', { note: note.value.trim() });
    note.addEventListener('keydown', (event) => event.key === 'Enter' && keep());
    const noted = el('div', { class: 'noted' }, field('note', note), button('Add note', keep));
    return el('div', { class: 'controls', role: 'group', 'aria-label': 'Decision' }, el('div', { class: 'acts' }, ...parts), noted);
  }

  /// Brings the reader to the list of labels.
  relabel() {
    this.node.querySelector('select[data-act="relabel"]')?.focus();
  }

  history(i) {
    const { log } = this;
    const lines = [];
    const when = ({ at }) => visible(at.slice(0, 16).replace('T', ' '));
    const told = (action) => `${visible(action.by)} · ${when(action)} · ${action.ruling}${action.label === undefined ? '' : ` to ${visible(action.label)}`}`;
    if (log.conflicts.has(i)) lines.push(el('li', { class: 'conflict' }, `Another ledger says: ${told(log.conflicts.get(i).theirs)}`));
    if (log.said[i]) lines.push(el('li', {}, told(log.said[i])));
    for (const action of log.notes.get(i) ?? []) lines.push(el('li', {}, `${visible(action.by)} notes: `, el('q', {}, visible(action.note, 2000))));
    return el('ul', { class: 'history' }, ...lines);
  }
}
