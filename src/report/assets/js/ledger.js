// Ledgers: JSON lines, each with the hash of the line before it. The same as src/ledger.rs writes and reads.

import { blake3 } from './blake3.js';

const LEDGER_START = 'foretaste.ledger/1';
const RULINGS = ['confirm', 'dismiss', 'relabel', 'note', 'undo'];

/// Entries as the text of a ledger.
export function ledgerText(entries) {
  let previous = blake3(LEDGER_START);
  const lines = [];
  for (const entry of entries) {
    const line = JSON.stringify({ previous, ...entry });
    previous = blake3(line);
    lines.push(`${line}\n`);
  }
  return lines.join('');
}

function isEntry(entry) {
  const about = Number.isSafeInteger(entry.row) ? entry.row >= 0 : typeof entry.cause === 'string';
  const labelled = entry.ruling === 'relabel' ? typeof entry.label === 'string' : true;
  return about && labelled && typeof entry.by === 'string' && typeof entry.at === 'string' && RULINGS.includes(entry.ruling);
}

/// The entries of a ledger; an error says which line is wrong.
export function ledgerEntries(text) {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end: the file was cut off');
  let previous = blake3(LEDGER_START);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line, i) => {
      let entry;
      try {
        entry = JSON.parse(line);
      } catch {
        entry = null;
      }
      if (entry === null || typeof entry !== 'object' || !isEntry(entry)) throw new Error(`line ${i + 1} is no decision`);
      if (entry.previous !== previous) throw new Error(`the chain is broken at line ${i + 1}: a line before it was changed, moved or taken out`);
      previous = blake3(line);
      const { previous: _, ...rest } = entry;
      return rest;
    });
}
