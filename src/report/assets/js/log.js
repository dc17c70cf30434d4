// Decisions in order, and what holds for each row now: the last word about a row or one of its causes, as src/review has it.

/// States that a row can be in.
export const STATES = { confirm: 'confirmed', dismiss: 'dismissed', relabel: 'relabelled' };

export class Log {
  constructor(rows) {
    this.rows = rows;
    this.actions = [];
    this.said = new Array(rows.length).fill(null);
    this.notes = new Map();
    this.conflicts = new Map();
  }

  /// The listed rows that an action is about.
  about(action) {
    if (action.cause !== undefined) return this.rows.ofCause(action.cause);
    return action.rows.map((row) => this.rows.at.get(row)).filter((i) => i !== undefined);
  }

  add(action) {
    this.actions.push(action);
    for (const i of this.about(action)) {
      if (action.note) this.notes.set(i, [...(this.notes.get(i) ?? []), action]);
      if (action.ruling === 'note') continue;
      this.said[i] = action.ruling === 'undo' ? null : action;
      const conflict = this.conflicts.get(i);
      if (conflict && same(conflict.theirs, this.said[i])) this.conflicts.delete(i);
    }
  }

  /// `open`, `confirmed`, `dismissed`, `relabelled` or `conflict`.
  stateOf(i) {
    if (this.conflicts.has(i)) return 'conflict';
    return this.said[i] ? STATES[this.said[i].ruling] : 'open';
  }

  counts() {
    const counts = { open: 0, confirmed: 0, dismissed: 0, relabelled: 0, conflict: 0 };
    for (let i = 0; i < this.rows.length; i += 1) counts[this.stateOf(i)] += 1;
    return counts;
  }

  /// The actions that bring back what held before an action: `before` is what was said of the rows that it is about.
  reversal(action, before) {
    const back = [];
    if (action.cause !== undefined) back.push({ cause: action.cause, ruling: 'undo' });
    const groups = new Map();
    this.about(action).forEach((i, at) => {
      const said = before[at];
      if (action.cause !== undefined && said === null) return;
      const key = said ? JSON.stringify([said.ruling, said.label]) : 'undo';
      const group = groups.get(key) ?? { rows: [], ruling: said?.ruling ?? 'undo', label: said?.label };
      group.rows.push(this.rows.row[i]);
      groups.set(key, group);
    });
    return [...back, ...groups.values()];
  }

  /// Takes over what another ledger says of rows that nothing is said of here; where both speak and differ, neither is taken.
  merge(entries) {
    const other = new Log(this.rows);
    for (const action of actionsOf(entries)) other.add(action);
    const taken = [];
    this.conflicts.clear();
    other.said.forEach((theirs, i) => {
      if (theirs === null || same(theirs, this.said[i])) return;
      if (this.said[i] === null) taken.push({ ...theirs, cause: undefined, rows: [this.rows.row[i]] });
      else this.conflicts.set(i, { theirs });
    });
    const actions = joined(taken);
    for (const action of actions) this.add(action);
    return { taken: taken.length, actions, conflicts: this.conflicts.size };
  }

  /// All decisions as entries of a ledger.
  entries() {
    return this.actions.flatMap(({ at, by, cause, rows, ruling, label, note }) => {
      const rest = { ruling, ...(label === undefined ? {} : { label }), ...(note ? { note } : {}) };
      if (cause !== undefined) return [{ at, by, cause, ...rest }];
      return rows.map((row) => ({ at, by, row, ...rest }));
    });
  }
}

function same(one, other) {
  return one !== null && other !== null && one.ruling === other.ruling && one.label === other.label;
}

// Actions about rows that differ in nothing else become one.
function joined(actions) {
  const out = [];
  for (const action of actions) {
    const last = out.at(-1);
    const alike = last?.rows && action.rows && ['at', 'by', 'ruling', 'label', 'note'].every((key) => last[key] === action[key]);
    if (alike) last.rows.push(...action.rows);
    else out.push(action.rows ? { ...action, rows: [...action.rows] } : action);
  }
  return out;
}

/// Entries of a ledger as actions: neighbours that differ in their row alone are one.
export function actionsOf(entries) {
  return joined(
    entries.map(({ at, by, row, cause, ruling, label, note }) =>
      cause === undefined ? { at, by, rows: [row], ruling, label, note } : { at, by, cause, ruling, label, note },
    ),
  );
}
