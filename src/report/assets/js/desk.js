// Where decisions are kept: in this browser, or by `foretaste review`, which this page then comes from.

import { ledgerEntries, ledgerText } from './ledger.js';
import { Log, actionsOf } from './log.js';

const NAME_KEY = 'foretaste.reviewer';
const UNDOS = 200;

class BrowserKeeper {
  constructor(head) {
    this.key = `foretaste.decisions.${head.id}`;
    this.saved = true;
    this.names = true;
  }

  async load() {
    try {
      return { by: localStorage.getItem(NAME_KEY) ?? '', actions: JSON.parse(localStorage.getItem(this.key) ?? '[]') };
    } catch {
      this.saved = false;
      return { by: '', actions: [] };
    }
  }

  rename(by) {
    try {
      localStorage.setItem(NAME_KEY, by);
    } catch {
      this.saved = false;
    }
  }

  async keep(actions, log) {
    const at = new Date().toISOString();
    const kept = actions.map((action) => ({ at, ...action }));
    try {
      localStorage.setItem(this.key, JSON.stringify([...log.actions, ...kept]));
      this.saved = true;
    } catch {
      this.saved = false;
    }
    return kept;
  }

  async merge(text, log) {
    const merged = log.merge(ledgerEntries(text));
    await this.keep([], log);
    return merged;
  }

  said() {
    return this.saved
      ? 'Decisions are kept in this browser. Export the ledger to act on them.'
      : 'This browser keeps nothing for this page: export the ledger before you close it.';
  }
}

class ServerKeeper {
  constructor(head) {
    this.by = head.by;
    this.names = false;
  }

  async ask(path, options) {
    const answer = await fetch(path, options);
    const text = await answer.text();
    if (!answer.ok) throw new Error(text);
    return text;
  }

  async load() {
    return { by: this.by, actions: actionsOf(ledgerEntries(await this.ask('decisions.jsonl'))) };
  }

  async post(path, body, type) {
    return JSON.parse(await this.ask(path, { method: 'POST', body, headers: { 'Content-Type': type } }));
  }

  async keep(actions) {
    const orders = actions.map(({ rows, cause, ruling, label, note }) => ({ rows, cause, ruling, label, note }));
    const { at } = await this.post('decide', JSON.stringify(orders), 'application/json');
    return actions.map((action) => ({ ...action, at }));
  }

  // The server takes over the same rows as the page does, and writes them down.
  async merge(text, log) {
    const { taken } = await this.post('merge', text, 'application/jsonl');
    const merged = log.merge(ledgerEntries(text));
    if (merged.taken !== taken) throw new Error('the page and the server disagree: reload the page');
    return merged;
  }

  said() {
    return 'Decisions are saved beside the report as they are made.';
  }
}

export class Desk {
  constructor(rows, keeper) {
    this.rows = rows;
    this.log = new Log(rows);
    this.keeper = keeper;
    this.by = '';
    this.past = [];
    this.listeners = [];
  }

  static async open(head, rows) {
    const keeper = head.desk === 'server' ? new ServerKeeper(head) : new BrowserKeeper(head);
    const desk = new Desk(rows, keeper);
    const { by, actions } = await keeper.load();
    desk.by = by;
    for (const action of actions) desk.log.add(action);
    return desk;
  }

  listen(call) {
    this.listeners.push(call);
  }

  changed(said) {
    for (const call of this.listeners) call(said);
  }

  rename(by) {
    this.by = by.trim();
    this.keeper.rename(this.by);
  }

  /// Records a decision about rows, given by their places in the list, or about a cause.
  async decide({ places, cause }, ruling, { label, note } = {}) {
    const about = cause === undefined ? { rows: places.map((i) => this.rows.row[i]) } : { cause };
    const action = { ...about, by: this.by || 'unnamed', ruling, label, note: note || undefined };
    const before = this.log.about(action).map((i) => this.log.said[i]);
    const [kept] = await this.keeper.keep([action], this.log);
    this.log.add(kept);
    if (ruling !== 'note') this.past = [...this.past, { action: kept, before }].slice(-UNDOS);
    return before.length;
  }

  /// Takes back the last decision of this visit; gives how many rows it was about.
  async undo() {
    const last = this.past.pop();
    if (!last) return 0;
    const back = this.log.reversal(last.action, last.before).map((action) => ({ ...action, by: this.by || 'unnamed' }));
    for (const action of await this.keeper.keep(back, this.log)) this.log.add(action);
    return last.before.length;
  }

  async merge(text) {
    return this.keeper.merge(text, this.log);
  }

  ledger() {
    return ledgerText(this.log.entries());
  }
}
