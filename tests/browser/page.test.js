// The page as a file: read, searched, decided in, reloaded, exported.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { FIXTURES, downloaded, figures, found, pageOf, violations, visit } from './browser.js';
import { blake3 } from '../../src/report/assets/js/blake3.js';
import { ledgerEntries } from '../../src/report/assets/js/ledger.js';

const digits = pageOf('digits');
const named = async (page) => {
  await page.getByLabel('reviewer').fill('ada');
  await page.getByLabel('reviewer').blur();
};
const state = (page, row) => page.locator('.line:not(.head)', { has: page.locator(`.cell.row:text-is("${row}")`) }).locator('.tag').textContent();

test('the hash is BLAKE3', () => {
  assert.equal(blake3(''), 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262');
  assert.equal(blake3('abc'), '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85');
  const long = Array.from({ length: 31744 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('');
  assert.equal(blake3(long), process.env.FORETASTE_LONG_HASH);
});

test('the first screen says verdict, cause, rows and what to do', () =>
  visit(digits, async (page) => {
    for (const text of ['Poisoning found', '2×2 patch at (5,5) in 54 rows', 'rows listed', 'Do not train on this set yet']) {
      const box = await page.locator('main').getByText(text).first().boundingBox();
      assert.ok(box && box.y + box.height <= 800, `${text} is not on the first screen`);
    }
  }));

test('rows are filtered, searched and sorted', () =>
  visit(digits, async (page) => {
    const all = await found(page);
    assert.equal(all, Number(process.env.FORETASTE_DIGITS_ROWS));
    await page.locator('.filters [name=code]').selectOption('trigger.patch');
    const patch = await found(page);
    assert.ok(patch >= 50 && patch < all, `${patch} of ${all}`);
    await page.locator('.filters [name=code]').selectOption('');
    await page.locator('.filters [name=family]').selectOption('label');
    assert.equal(await found(page), all - patch);
    await page.getByRole('button', { name: 'Reset' }).click();
    await page.locator('.filters [name=text]').fill('CONTENT SAYS');
    await page.waitForFunction((n) => document.querySelector('.found').textContent.startsWith(`${n} of`), all - patch);
    await page.locator('.filters [name=text]').fill('no such text');
    await page.getByText('No row matches.').waitFor();
    await page.getByRole('button', { name: 'Reset' }).click();
    const first = () => page.locator('.lines .line .cell.row').first().textContent();
    const before = Number((await first()).replaceAll(',', ''));
    await page.locator('.grid [role=columnheader].row').getByRole('button').click();
    const after = Number((await first()).replaceAll(',', ''));
    assert.ok(after > before, `${before} then ${after}`);
    assert.equal(await page.locator('.grid [role=columnheader].row').getAttribute('aria-sort'), 'descending');
  }));

test('a row opens with its picture, the patch outlined', () =>
  visit(digits, async (page) => {
    await page.locator('.filters [name=code]').selectOption('trigger.patch');
    await page.locator('.lines .line').first().click();
    const panel = page.getByRole('dialog');
    const picture = panel.locator('.figure .picture');
    await picture.locator('img').waitFor();
    assert.equal(await picture.locator('img').evaluate((image) => image.naturalWidth), 8);
    assert.equal(await picture.locator('rect').first().getAttribute('x'), '5');
    assert.match(await panel.locator('.why').textContent(), /carries 2×2 patch at \(5,5\)/);
    await panel.getByRole('button', { name: 'Next row' }).click();
    await panel.getByRole('button', { name: 'Close' }).click();
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute('role')), 'grid');
  }));

test('a row shows the rows that it is most like, and causes where their rows lie', () =>
  visit(digits, async (page) => {
    await page.locator('.filters [name=family]').selectOption('label');
    await page.locator('.lines .line').first().click();
    const nearest = page.getByRole('dialog').locator('.nearest li');
    await nearest.first().locator('img').waitFor();
    assert.equal(await nearest.count(), 5);
    const suggested = await page.getByRole('dialog').locator('.facts-of div', { hasText: 'content suggests' }).locator('dd').textContent();
    const labels = await nearest.locator('.label').allTextContents();
    assert.ok(labels.filter((label) => label === suggested).length >= 3, `${labels} but ${suggested}`);
    const own = await page.getByRole('dialog').locator('.facts-of div:has(dt:text-is("label")) dd').textContent();
    assert.deepEqual(await nearest.locator('.other').allTextContents(), labels.filter((label) => label !== own));
    const map = page.locator('#cause-0 .map');
    await map.locator('path.listed').waitFor();
    assert.match(await map.locator('svg').getAttribute('aria-label'), /^54 listed rows on a map/);
    const drawn = async (kind) => ((await page.locator(`#map path.${kind}`).getAttribute('d')) ?? '').split('M').length - 1;
    assert.equal(await drawn('listed'), Number(process.env.FORETASTE_DIGITS_ROWS));
    assert.ok((await drawn('ground')) > 1000);
  }));

test('decisions survive a reload, can be taken back, and leave as a ledger', () =>
  visit(digits, async (page) => {
    await page.locator('.lines .line').first().click();
    await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
    await page.getByText('Say first who you are').waitFor();
    await named(page);
    const row = await page.locator('.lines .line .cell.row').first().textContent();
    await page.getByRole('dialog').getByLabel('note').fill('seen <b>twice</b>');
    await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
    await page.getByText('1 row confirmed').waitFor();
    assert.equal(await state(page, row), 'confirmed');
    await page.getByRole('dialog').getByLabel('relabel to').selectOption({ index: 2 });
    await page.getByText('1 row relabelled').waitFor();
    await page.reload();
    await page.waitForSelector('html[data-ready]', { state: 'attached' });
    assert.equal(await state(page, row), 'relabelled');

    const cause = page.locator('#cause-0');
    await cause.getByRole('button', { name: /^Confirm .*all rows/ }).click();
    const { confirmed } = await figures(page);
    assert.ok(confirmed >= 50, `${confirmed} confirmed`);
    await page.getByRole('button', { name: 'Undo last' }).click();
    assert.equal((await figures(page)).confirmed ?? 0, 0);
    assert.equal(await state(page, row), 'relabelled');
    await cause.getByRole('button', { name: /^Confirm .*all rows/ }).click();

    await page.locator('.filters [name=family]').selectOption('label');
    await page.getByText('Decide about all rows shown').click();
    await page.getByRole('button', { name: 'Dismiss all' }).click();
    const { dismissed, open } = await figures(page);
    assert.equal(dismissed, await found(page));
    assert.equal(open, 0);

    const text = await downloaded(page, () => page.getByRole('button', { name: 'Export ledger' }).click());
    const entries = ledgerEntries(text);
    assert.ok(entries.every((entry) => entry.by === 'ada'));
    assert.equal(entries[0].note, 'seen <b>twice</b>');
    assert.ok(entries.some((entry) => entry.ruling === 'relabel' && entry.label !== ''));
    assert.throws(() => ledgerEntries(text.replace('confirm', 'dismiss')), /the chain is broken at line 2/);
    writeFileSync(join(FIXTURES, 'exported.jsonl'), text);
    writeFileSync(join(FIXTURES, 'exported.json'), JSON.stringify({ confirmed, dismissed }));
  }));

test('another ledger is merged, and where two differ both are shown', () =>
  visit(digits, async (page) => {
    await named(page);
    await page.locator('.grid').focus();
    await page.keyboard.press('d');
    await page.getByText('1 row dismissed').waitFor();
    const other = await downloaded(page, () => page.getByRole('button', { name: 'Export ledger' }).click());
    await page.keyboard.press('Control+z');
    await page.getByText('Taken back').waitFor();
    await page.locator('.grid').focus();
    await page.keyboard.press('c');
    await page.getByText('1 row confirmed').waitFor();
    const merge = (text) => page.locator('input[type=file]').setInputFiles({ name: 'bob.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from(text) });
    await merge(other);
    await page.getByText('in 1 row the two disagree').waitFor();
    assert.deepEqual((await figures(page)).conflict, 1);
    await page.locator('.lines .line').first().click();
    await page.getByRole('dialog').getByText('Another ledger says: ada').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Dismiss' }).click();
    await page.waitForFunction(() => !document.querySelector('.tally').textContent.includes('conflict'));
    await merge(other.replace(/"previous":"./, '"previous":"x'));
    await page.getByText('Not saved').waitFor();
  }));

test('the keyboard alone is enough', () =>
  visit(digits, async (page) => {
    const active = () => page.evaluate(() => [document.activeElement.tagName, document.activeElement.getAttribute('role') ?? document.activeElement.name ?? '']);
    const tabTo = async (test) => {
      for (let i = 0; i < 80; i += 1) {
        await page.keyboard.press('Tab');
        if (test(await active())) return;
      }
      assert.fail('the keyboard does not get there');
    };
    await page.keyboard.press('Tab');
    assert.equal((await page.evaluate(() => document.activeElement.textContent)).trim(), 'Skip to the listed rows');
    await page.keyboard.press('Enter');
    await tabTo(([, name]) => name === 'by');
    await page.keyboard.type('ada');
    await tabTo(([, role]) => role === 'grid');
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp', 'End', 'PageUp', 'Home', 'ArrowDown']) await page.keyboard.press(key);
    const current = () => page.locator('.line.current .cell.row').textContent();
    const row = await current();
    await page.keyboard.press('c');
    await page.getByText('1 row confirmed').waitFor();
    await page.keyboard.press('Control+z');
    await page.getByText('Taken back for 1 row').waitFor();
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.activeElement.textContent.startsWith('Row '));
    assert.equal(await page.evaluate(() => document.activeElement.textContent), `Row ${row}`);
    for (const [key, said] of [['d', '1 row dismissed'], ['u', '1 row open again'], ['c', '1 row confirmed'], ['u', '1 row open again']]) {
      await page.keyboard.press(key);
      await page.getByText(said).waitFor();
      assert.equal(await page.evaluate(() => document.activeElement.textContent), `Row ${row}`);
    }
    await page.keyboard.press('r');
    await page.waitForFunction(() => document.activeElement.tagName === 'SELECT');
    await tabTo(([tag]) => tag === 'BUTTON');
    await page.keyboard.press('Escape');
    assert.deepEqual(await active(), ['DIV', 'grid']);
    await page.keyboard.press('r');
    await page.waitForFunction(() => document.activeElement.tagName === 'SELECT');
    await page.keyboard.press('Escape');
  }));

for (const colorScheme of ['light', 'dark']) {
  for (const [name, viewport] of [['desk', { width: 1280, height: 900 }], ['phone', { width: 390, height: 844 }]]) {
    test(`nothing is in the way of anyone: ${name}, ${colorScheme}`, () =>
      visit(
        digits,
        async (page) => {
          await named(page);
          await page.getByText('Decide about all rows shown').click();
          await page.locator('#cause-0 summary').click();
          assert.deepEqual(await violations(page), []);
          await page.locator('.lines .line').first().click();
          await page.getByRole('dialog').getByRole('button', { name: 'Confirm' }).click();
          await page.getByText('1 row confirmed').first().waitFor({ state: 'attached' });
          assert.deepEqual(await violations(page), []);
          const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.equal(wide, 0, 'the page is wider than the screen');
        },
        { viewport, colorScheme },
      ));
  }
}

test('without a script the page can be read', () =>
  visit(
    digits,
    async (page) => {
      assert.equal(await page.locator('table.rows tbody tr').first().isVisible(), true);
      assert.equal(await page.locator('#desk').isVisible(), false);
      assert.equal(await page.getByText('Poisoning found').first().isVisible(), true);
    },
    { javaScriptEnabled: false, ready: false },
  ));

test('paper shows the plain table', () =>
  visit(digits, async (page) => {
    await page.emulateMedia({ media: 'print' });
    assert.equal(await page.locator('table.rows').isVisible(), true);
    assert.equal(await page.locator('.grid').isVisible(), false);
  }));
