// A hundred thousand listed rows.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { FIXTURES, found, pageOf, visit } from './browser.js';

test('a hundred thousand rows stay fluid', () =>
  visit(pageOf('many'), async (page) => {
    assert.equal(await found(page), 100000);
    const ready = await page.evaluate(() => performance.getEntriesByName('ready')[0].startTime);
    const time = (work) => page.evaluate(`(async () => { const t = performance.now(); ${work}; await new Promise((r) => requestAnimationFrame(() => setTimeout(r))); return performance.now() - t; })()`);
    const change = (name, value) => `const c = document.querySelector('.filters [name=${name}]'); c.value = '${value}'; c.dispatchEvent(new Event('change', { bubbles: true }))`;
    const filter = await time(change('code', 'trigger.patch'));
    const shown = await found(page);
    assert.ok(shown > 10000 && shown < 100000, `${shown} rows`);
    await time(change('code', ''));
    const scrolls = [];
    for (const part of [0.1, 0.5, 0.9, 1]) scrolls.push(await time(`const g = document.querySelector('.grid'); g.scrollTop = ${part} * g.scrollHeight`));
    await page.waitForFunction(() => Number(document.querySelector('.lines .line:last-child').getAttribute('aria-rowindex')) === 100001);
    assert.ok((await page.locator('.lines .line').count()) < 60);
    const sort = await time(`[...document.querySelectorAll('.head button')].find((b) => b.textContent.startsWith('label')).click()`);
    await page.getByLabel('reviewer').fill('ada');
    await page.getByLabel('reviewer').blur();
    const decide = await time(`[...document.querySelectorAll('.bulk button')].find((b) => b.textContent === 'Dismiss all').click()`);
    await page.getByText('100,000 rows dismissed').waitFor();
    const size = statSync(join(FIXTURES, 'many', 'report.html')).size / 2 ** 20;
    const ms = (t) => `${t.toFixed(0)} ms`;
    console.log(`100,000 listed rows, ${size.toFixed(1)} MiB: first interaction ${ms(ready)}, filter ${ms(filter)}, sort ${ms(sort)}, scroll ${ms(Math.max(...scrolls))}, decide about all ${ms(decide)}`);
  }));
