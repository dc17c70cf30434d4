// Brings the page to life: without this it is a document to read.

import { count, el, plural, visible } from './dom.js';
import { Rows, readHead } from './data.js';
import { Desk } from './desk.js';
import { NO_FILTER, shown, sorted } from './filter.js';
import { Beside } from './beside.js';
import { Grid } from './grid.js';
import { Panel } from './panel.js';
import { dressCauses } from './causes.js';
import { Review } from './review.js';

const VERBS = { confirm: 'confirmed', dismiss: 'dismissed', relabel: 'relabelled', undo: 'open again', note: 'noted' };

// What the page does not hold of its rows.
function share(rows, pictures) {
  const [cells, seen] = [Object.keys(rows.cells).length, Object.keys(pictures).length];
  const parts = [];
  if (cells > 0 && cells < rows.length) parts.push(`the content of ${count(cells)}`);
  if (seen > 0 && seen < rows.length) parts.push(`the pictures of ${count(seen)}`);
  return parts.length > 0 ? `To stay small, the page holds ${parts.join(' and ')} of ${count(rows.length)} rows, evenly spread.` : '';
}

async function start() {
  const place = document.getElementById('desk');
  if (!place) return;
  const head = readHead();
  const rows = await Rows.read(head);
  if (rows.length === 0) return;
  const desk = await Desk.open(head, rows);
  const beside = Beside.read(rows);
  let filter = { ...NO_FILTER };
  let order = { key: 'row', down: false };
  let places = [];

  const look = () => {
    places = sorted(rows, desk.log, shown(rows, desk.log, filter), order);
    grid.show(places, order);
    review.redraw(places, filter);
  };
  const redraw = () => {
    grid.draw();
    panel.refresh();
    causes();
    review.redraw(places, filter);
  };
  const trying = async (work) => {
    try {
      review.say(await work());
    } catch (error) {
      review.say(`Not saved: ${error.message}`, true);
    }
    redraw();
  };
  const decide = (about, ruling, more = {}) => {
    if (desk.keeper.names && desk.by === '') {
      review.by.focus();
      review.say('Say first who you are: a ledger names its reviewers.', true);
      return;
    }
    trying(async () => `${plural(await desk.decide(about, ruling, more), 'row', 'rows')} ${VERBS[ruling]}${more.label === undefined ? '' : ` to ${visible(more.label)}`}`);
  };
  const undo = () => trying(async () => `Taken back for ${plural(await desk.undo(), 'row', 'rows')}`);
  const change = (part) => {
    filter = part === null ? { ...NO_FILTER } : { ...filter, ...part };
    review.show(filter);
    look();
  };
  const open = (i, focus) => {
    if (i === undefined || (focus === null && !panel.isOpen)) return;
    panel.open(i, focus === true);
  };
  const act = (i, ruling) => {
    if (ruling !== 'relabel') return decide({ places: [i] }, ruling);
    return panel.open(i, true).then(() => panel.relabel());
  };
  const step = (by) => {
    grid.go(grid.current + by);
    panel.open(places[grid.current], false);
  };
  const merge = (text) =>
    trying(async () => {
      const { taken, conflicts } = await desk.merge(text);
      if (conflicts > 0) change({ state: 'conflict' });
      const clash = conflicts > 0 ? `; in ${plural(conflicts, 'row', 'rows')} the two disagree: they are shown, decide them anew or leave them` : '';
      return `${plural(taken, 'decision', 'decisions')} taken over${clash}`;
    });

  const grid = new Grid(rows, desk.log, { open, act, sort: (by) => { order = by; look(); } });
  const panel = new Panel(head, rows, desk.log, beside, {
    decide: (which, ruling, more) => decide({ places: which }, ruling, more),
    act,
    close: () => { document.body.classList.remove('with-panel'); grid.node.focus(); },
    step,
  });
  const review = new Review(head, rows, desk, { change, decide: (ruling, more) => decide({ places }, ruling, more), undo, merge });
  const causes = dressCauses(head, rows, desk, beside, {
    decide,
    open: (i) => { change(null); grid.go(places.indexOf(i)); panel.open(i, true); place.scrollIntoView(); },
    filter: (cause) => { change({ ...NO_FILTER, cause }); place.scrollIntoView(); },
  });
  const keys = el('p', { class: 'keys' }, '↑ ↓ move · Enter open · C confirm · D dismiss · R relabel · U reopen · Ctrl+Z undo · Esc close');
  const sampled = el('p', { class: 'sampled' });
  place.replaceChildren(review.node, el('div', { class: 'sheet' }, grid.node, panel.node), keys, sampled);
  place.hidden = false;
  document.documentElement.classList.add('live');
  document.addEventListener('keydown', (event) => {
    const typing = ['INPUT', 'SELECT', 'TEXTAREA'].includes(event.target.tagName);
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !typing && desk.past.length > 0) {
      event.preventDefault();
      undo();
    }
  });
  look();
  causes();
  document.documentElement.dataset.ready = 'true';
  performance.mark('ready');
  sampled.textContent = share(rows, await rows.pictures());
  const map = (await beside)?.map(null, null);
  if (map) document.getElementById('map').replaceChildren(el('h3', {}, 'among all rows'), map);
}

start().catch((error) => {
  const place = document.getElementById('desk');
  place.hidden = false;
  place.replaceChildren(el('p', { class: 'status wrong' }, `The rows cannot be searched here: ${error.message}. The table below holds the first of them.`));
});
