// What a row holds: its picture with the cause outlined, its texts with the cause marked, its cells with the odd ones marked.

import { el, svg } from './dom.js';
import { pictureAddress } from './data.js';

/// Roles whose cells are texts to read.
export const LONG_TEXT = ['text', 'response'];

/// Places of a row's causes in its picture, in pixels.
export function outlines(rows, i, width) {
  const causes = rows.causesOf(i).map((fingerprint) => rows.causeOf.get(fingerprint));
  return causes.flatMap((cause) => {
    if (!cause?.place) return [];
    const { x, y, width: w, height: h, of } = cause.place;
    const scale = of ? width / of : 1;
    return [{ x: x * scale, y: y * scale, width: w * scale, height: h * scale }];
  });
}

/// A picture of a row, `side` pixels large, with what is drawn over it.
export function framed([base64, width, height], side, row, over = null) {
  const scale = side / Math.max(width, height, 1);
  const size = { width: Math.round(width * scale), height: Math.round(height * scale) };
  const image = el('img', { src: pictureAddress(base64), alt: `Picture of row ${row}`, ...size });
  return el('span', { class: scale > 1.5 ? 'picture crisp' : 'picture' }, image, over);
}

/// A listed row's picture, `side` pixels large, with its causes outlined.
export function pictureOf(rows, i, picture, side) {
  const [, width, height] = picture;
  const boxes = outlines(rows, i, width).map((box) => svg('rect', { ...box, 'vector-effect': 'non-scaling-stroke' }));
  const frame = boxes.length > 0 ? svg('svg', { viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' }, ...boxes) : null;
  return framed(picture, side, rows.row[i], frame);
}

/// A text with the words marked, whole words where a word begins and ends with a letter.
export function marked(text, words) {
  const escaped = words.filter(Boolean).map((word) => {
    const plain = word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const edge = (c, before) => (/[\p{L}\p{N}]/u.test(c) ? (before ? '(?<![\\p{L}\\p{N}])' : '(?![\\p{L}\\p{N}])') : '');
    return `${edge(word[0], true)}${plain}${edge(word.at(-1), false)}`;
  });
  if (escaped.length === 0) return [text];
  const parts = text.split(new RegExp(`(${escaped.join('|')})`, 'giu'));
  return parts.map((part, at) => (at % 2 === 1 ? el('mark', {}, part) : part));
}

/// A text around the first of the words, about `length` characters.
export function excerpt(text, words, length) {
  const places = words.map((word) => text.toLowerCase().indexOf(word.toLowerCase())).filter((at) => at >= 0);
  const start = Math.max(0, Math.min(...(places.length ? places : [0])) - Math.floor(length / 3));
  const end = start + length;
  return `${start > 0 ? '…' : ''}${text.slice(start, end)}${end < text.length ? '…' : ''}`;
}

function line(name, value, odd) {
  return el('div', { class: odd ? 'odd' : false }, el('dt', {}, name), el('dd', {}, ...value));
}

/// The texts of a row, with the words marked.
export function textsOf(rows, i) {
  const { words = [] } = rows.marks[i] ?? {};
  const lines = rows.columns.flatMap(({ name, role }, at) => {
    const text = LONG_TEXT.includes(role) ? rows.cells[i]?.[at] : null;
    return text === null || text === undefined ? [] : [el('div', {}, el('dt', {}, name), el('dd', {}, ...marked(text, words)))];
  });
  return el('dl', { class: 'texts' }, ...lines);
}

/// The cells of a row, odd ones first.
export function cellsOf(rows, i) {
  const { cells: odd = [] } = rows.marks[i] ?? {};
  const cells = rows.cells[i];
  const named = new Map(odd.map((cell) => [cell.column, cell]));
  const usual = (cell) => (cell.usual ? [el('span', { class: 'usual' }, ` usual: ${cell.usual}`)] : []);
  const lines = odd.map((cell) => line(cell.column, [el('mark', {}, cell.value || '–'), ...usual(cell)], true));
  if (!cells) {
    const said = 'The rest of this row is not in the page, which holds the content of evenly spread rows.';
    return el('div', {}, el('dl', { class: 'content' }, ...lines), el('p', { class: 'missing' }, said));
  }
  rows.columns.forEach(({ name, role }, at) => {
    const isShown = LONG_TEXT.includes(role) && cells[at] !== null;
    if (!isShown && !named.has(name)) lines.push(line(name, [cells[at] ?? el('i', {}, 'null')], false));
  });
  return el('dl', { class: 'content' }, ...lines);
}

/// The first long text of a row, if it has one.
export function longText(rows, i) {
  const at = rows.columns.findIndex(({ role }) => LONG_TEXT.includes(role));
  return at < 0 ? null : (rows.cells[i]?.[at] ?? null);
}
