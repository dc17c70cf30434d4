// A set that wants to run in the page: names of columns, classes, files and sources, and texts.

import assert from 'node:assert/strict';
import test from 'node:test';
import { found, pageOf, violations, visit } from './browser.js';
import { ledgerText } from '../../src/report/assets/js/ledger.js';

test('nothing of the data runs or becomes markup', () =>
  visit(pageOf('hostile'), async (page) => {
    assert.ok((await found(page)) > 40);
    for (const option of await page.locator('.filters select[name=label] option').all()) {
      await page.locator('.filters select[name=label]').selectOption(await option.getAttribute('value'));
    }
    await page.getByRole('button', { name: 'Reset' }).click();
    for (let i = 0; i < 12; i += 1) {
      await page.locator('.grid').focus();
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.locator('.panel .content').waitFor();
    }
    assert.ok((await page.locator('.panel').textContent()).includes('<script>'), 'hostile text is shown as it is');
    assert.deepEqual(await violations(page), []);
    await page.getByLabel('search').fill('<img src=x');
    await page.waitForTimeout(300);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    const markup = await page.evaluate(() => ({
      scripts: document.scripts.length,
      images: [...document.images].filter((image) => !image.src.startsWith('data:image/png;base64,')).length,
      frames: document.querySelectorAll('iframe, object, embed, link, base, form[action], svg script, foreignObject').length,
      handlers: [...document.querySelectorAll('*')].filter((node) => [...node.attributes].some(({ name }) => name.startsWith('on'))).length,
      links: [...document.querySelectorAll('a[href]')].filter((a) => !/^(#|https:\/\/www\.etsi\.org\/)/.test(a.getAttribute('href'))).length,
    }));
    assert.deepEqual(markup, { scripts: 5, images: 0, frames: 0, handlers: 0, links: 0 });
    await page.getByRole('button', { name: 'Reset' }).click();
    const row = Number((await page.locator('.lines .cell.row').first().textContent()).replaceAll(',', ''));
    const evil = '\u202e</script><img src=x onerror=window.pwned=1>\u200b';
    const ledger = ledgerText([{ at: '2026-01-02T03:04:05Z', by: evil, row, ruling: 'relabel', label: evil, note: evil }]);
    await page.locator('input[type=file]').setInputFiles({ name: 'evil.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(ledger) });
    await page.getByText('1 decision taken over').waitFor();
    await page.locator('.lines .line').first().click();
    await page.getByRole('dialog').getByText('notes:').waitFor();
    const hidden = await page.evaluate(() => /[\u202a-\u202e\u2066-\u2069\u200b\u0000-\u0008\u001b]/.test(document.body.innerText));
    assert.equal(hidden, false, 'hidden characters are made visible');
    await page.getByLabel('reviewer').fill('<img src=x onerror="window.pwned=1">');
    await page.getByLabel('reviewer').blur();
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.locator('.lines .line').first().click();
    await page.getByRole('dialog').getByRole('button', { name: 'Dismiss' }).click();
    await page.getByText('1 row dismissed').waitFor();
    assert.equal(await page.evaluate(() => window.pwned), undefined);
  }));
