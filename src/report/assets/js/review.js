// The bar above the table: search, filters, decisions about all rows shown, reviewer, ledger.

import { button, choice, count, el, field, plural, save, settled, visible } from './dom.js';
import { tally } from './filter.js';
import { labelChoices } from './panel.js';

const CHOICES = 500;

function filters(head, rows, change) {
  const list = (name, title, values) => {
    const of = ([value, n]) => [value, `${value === '' ? '–' : value} (${count(n)})`];
    const control = choice([['', 'all'], ...values.slice(0, CHOICES).map(of)], { name });
    control.addEventListener('change', () => change({ [name]: control.value }));
    return values.length > 1 ? field(title, control) : null;
  };
  const families = (codes) => new Set(codes.map((code) => code.split('.')[0]));
  const search = el('input', { type: 'search', name: 'text', autocomplete: 'off', placeholder: 'text, id or row' });
  search.addEventListener('input', settled(120, () => change({ text: search.value })));
  const states = ['open', 'confirmed', 'dismissed', 'relabelled', 'conflict'].map((state) => [state, state]);
  const state = choice([['', 'all'], ...states], { name: 'state' });
  state.addEventListener('change', () => change({ state: state.value }));
  return el(
    'form',
    { class: 'filters', role: 'search', 'aria-label': 'Filter listed rows', submit: (event) => event.preventDefault() },
    field('search', search),
    list('family', 'family', tally(rows.codes, rows.lists, families)),
    list('code', 'detector', tally(rows.codes, rows.lists, (codes) => codes)),
    list('label', 'label', tally(rows.label, rows.labels, (label) => [label])),
    list('source', 'source', tally(rows.source, rows.sources, (source) => [source])),
    field('decision', state),
    button('Reset', () => change(null), { class: 'quiet' }),
  );
}

/// The bar; `redraw` brings its figures up to date.
export class Review {
  constructor(head, rows, desk, { change, decide, undo, merge }) {
    Object.assign(this, { head, rows, desk });
    this.filters = filters(head, rows, change);
    this.status = el('p', { class: 'status', role: 'status', 'aria-live': 'polite' });
    this.found = el('p', { class: 'found', role: 'status' });
    this.progress = el('span', { class: 'fill' });
    this.figures = el('p', { class: 'tally' });
    const note = el('input', { maxlength: 2000, autocomplete: 'off' });
    const all = (ruling, text, more) => button(text, () => decide(ruling, { note: note.value.trim(), ...more }), { class: ruling });
    const parts = [all('confirm', 'Confirm all'), all('dismiss', 'Dismiss all'), all('undo', 'Reopen all')];
    if (head.label !== null && head.classes.length > 1) {
      const list = choice(labelChoices(head, []));
      list.addEventListener('change', () => {
        if (list.value !== '') decide('relabel', { label: list.value, note: note.value.trim() });
        list.value = '';
      });
      parts.push(field('relabel all to', list));
    }
    const bulk = el('details', { class: 'bulk' }, el('summary', {}, 'Decide about all rows shown'), el('div', { class: 'acts' }, ...parts, field('note', note)));
    this.undo = button('Undo last', undo, { class: 'quiet', title: 'Ctrl+Z' });
    const by = el('input', { name: 'by', autocomplete: 'name', value: desk.by, maxlength: 120, size: 14 });
    by.addEventListener('change', () => desk.rename(by.value));
    this.by = by;
    const file = el('input', { type: 'file', accept: '.jsonl,application/jsonl', class: 'file-of', tabindex: -1, 'aria-hidden': 'true' });
    file.addEventListener('change', async () => {
      if (file.files.length > 0) merge(await file.files[0].text());
      file.value = '';
    });
    const exported = () => save('decisions.jsonl', desk.ledger(), 'application/jsonl');
    const who = desk.keeper.names ? field('reviewer', by) : el('p', { class: 'who' }, 'reviewer ', el('b', {}, visible(desk.by)));
    this.kept = el('p', { class: 'kept' });
    this.node = el(
      'div',
      { class: 'review' },
      el('div', { class: 'desk-top' }, el('div', { class: 'progress' }, el('span', { class: 'rail', 'aria-hidden': 'true' }, this.progress), this.figures), who, this.undo, button('Export ledger', exported, { class: 'quiet' }), button('Merge a ledger', () => file.click(), { class: 'quiet' }), file),
      this.kept,
      this.filters,
      this.found,
      bulk,
      this.status,
    );
  }

  say(text, wrong = false) {
    this.status.textContent = text;
    this.status.classList.toggle('wrong', wrong);
  }

  /// Puts a filter into the controls.
  show(filter) {
    for (const control of this.filters.elements) if (control.name in filter) control.value = filter[control.name];
  }

  redraw(places, filter) {
    const counts = this.desk.log.counts();
    const done = this.rows.length - counts.open - counts.conflict;
    this.progress.style.width = `${(100 * done) / Math.max(1, this.rows.length)}%`;
    const parts = Object.entries(counts).filter(([state, n]) => n > 0 || state === 'open').map(([state, n]) => `${count(n)} ${state}`);
    this.figures.textContent = parts.join(' · ');
    const cause = filter.cause ? ' of one cause' : '';
    const kept = this.head.flagged > this.rows.length ? `; ${count(this.head.flagged - this.rows.length)} more are in rows.parquet alone` : '';
    this.found.textContent = `${count(places.length)} of ${plural(this.rows.length, 'row', 'rows')}${cause}${kept}`;
    this.undo.disabled = this.desk.past.length === 0;
    this.kept.textContent = this.desk.keeper.said();
  }
}
