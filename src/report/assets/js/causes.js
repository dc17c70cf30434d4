// The cards of causes: rows that carry them, where these lie, and decisions about all their rows at once.

import { button, el, plural } from './dom.js';
import { commonLabel } from './beside.js';
import { excerpt, longText, marked, pictureOf } from './sample.js';

const THUMBS = 8;
const THUMB_SIDE = 96;
const EXCERPTS = 3;

async function examples(rows, places, open) {
  const pictures = await rows.pictures();
  const seen = places.filter((i) => pictures[i]).slice(0, THUMBS);
  if (seen.length > 0) {
    return seen.map((i) => button('', () => open(i), { class: 'thumb', 'aria-label': `Open row ${rows.row[i]}` })).map((node, at) => {
      node.append(pictureOf(rows, seen[at], pictures[seen[at]], THUMB_SIDE), el('span', { class: 'caption' }, `row ${rows.row[seen[at]]}`));
      return node;
    });
  }
  const told = places.filter((i) => longText(rows, i) !== null && (rows.marks[i]?.words ?? []).length > 0).slice(0, EXCERPTS);
  return told.map((i) => {
    const { words } = rows.marks[i];
    const node = button('', () => open(i), { class: 'excerpt' });
    node.append(el('span', { class: 'caption' }, `row ${rows.row[i]}`), el('span', {}, ...marked(excerpt(longText(rows, i), words, 150), words)));
    return node;
  });
}

/// Fills the cards; gives what redraws them after a decision.
export function dressCauses(head, rows, desk, beside, { decide, open, filter }) {
  const redraws = head.causes.map((cause, at) => {
    const places = rows.ofCause(cause.fingerprint);
    const gallery = document.querySelector(`.examples-of[data-cause="${at}"]`);
    const controls = document.querySelector(`.decide-cause[data-cause="${at}"]`);
    if (places.length === 0 || !controls) return () => {};
    Promise.all([examples(rows, places, open), beside]).then(([nodes, atlas]) => {
      const map = atlas?.map(new Set(places), commonLabel(rows, places));
      gallery.replaceChildren(...nodes, ...(map ? [map] : []));
      if (nodes.length > 0) gallery.parentElement.classList.add('shown');
    });
    const said = el('span', { class: 'counts', role: 'status' });
    const act = (ruling, text) => button(text, () => decide({ cause: cause.fingerprint }, ruling), { class: ruling, 'aria-label': `${text}: all rows of ${cause.title}` });
    const back = act('undo', 'Reopen');
    controls.replaceChildren(
      el('div', { class: 'acts' }, act('confirm', `Confirm ${plural(places.length, 'row', 'rows')}`), act('dismiss', 'Dismiss'), back, button('Show its rows', () => filter(cause.fingerprint), { class: 'quiet' })),
      said,
    );
    return () => {
      const counts = {};
      for (const i of places) counts[desk.log.stateOf(i)] = (counts[desk.log.stateOf(i)] ?? 0) + 1;
      back.disabled = counts.open === places.length;
      said.textContent = counts.open === places.length ? '' : Object.entries(counts).map(([state, n]) => `${n} ${state}`).join(' · ');
    };
  });
  return () => redraws.forEach((redraw) => redraw());
}
