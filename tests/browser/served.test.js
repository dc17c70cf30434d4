// The same page from `foretaste review`: decisions are in the ledger as they are made.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { FIXTURES, figures, violations, visit } from './browser.js';
import { ledgerEntries, ledgerText } from '../../src/report/assets/js/ledger.js';

async function served(report, use) {
  const server = spawn(process.env.FORETASTE_BINARY, ['review', report, '--by', 'bob'], { cwd: FIXTURES, stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    for await (const line of createInterface({ input: server.stdout })) {
      await use(line);
      break;
    }
  } finally {
    server.kill();
  }
}

test('decisions are saved as they are made, and undone', () =>
  served('served', (address) =>
    visit(address, async (page) => {
      const path = join(FIXTURES, 'served', 'decisions.jsonl');
      const saved = () => ledgerEntries(readFileSync(path, 'utf8'));
      await page.getByText('Decisions are saved beside the report').waitFor();
      await page.locator('.grid').focus();
      await page.keyboard.press('c');
      await page.getByText('1 row confirmed').waitFor();
      assert.deepEqual(saved().map(({ by, ruling }) => [by, ruling]), [['bob', 'confirm']]);
      await page.locator('#cause-0').getByRole('button', { name: /^Dismiss: all rows/ }).click();
      await page.waitForFunction(() => document.querySelector('.tally').textContent.includes('dismissed'));
      assert.equal(saved().length, 2);
      assert.equal(typeof saved()[1].cause, 'string');
      await page.getByRole('button', { name: 'Undo last' }).click();
      await page.getByText('Taken back').waitFor();
      assert.equal(saved().at(-1).ruling, 'undo');
      const before = await figures(page);
      await page.reload();
      await page.waitForSelector('html[data-ready]', { state: 'attached' });
      assert.deepEqual(await figures(page), before);
      const row = saved()[0].row;
      const eve = { at: '2026-01-02T03:04:05Z', by: 'eve', row, ruling: 'dismiss' };
      const merge = (text) => page.locator('input[type=file]').setInputFiles({ name: 'eve.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(text) });
      await merge(ledgerText([eve]));
      await page.getByText('in 1 row the two disagree').waitFor();
      assert.equal((await figures(page)).conflict, 1);
      assert.ok(saved().every((entry) => entry.by === 'bob'));
      assert.deepEqual(await violations(page), []);
    }),
  ));
