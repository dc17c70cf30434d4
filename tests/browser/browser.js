// A browser for the tests, which tells of everything that a sound page never does.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const HANG = 30000;
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/// The folder with the reports that the tests are about.
export const FIXTURES = process.env.FORETASTE_FIXTURES;

const browser = await chromium.launch({
  executablePath: process.env.FORETASTE_CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});

/// Closes the browser.
export function close() {
  return browser.close();
}

/// The address of a report's page.
export function pageOf(report) {
  return pathToFileURL(join(FIXTURES, report, 'report.html')).href;
}

/// Opens a page, waits for it and gives it to a test; fails where the page complained of anything.
export async function visit(address, test, { ready = true, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, ...options });
  context.setDefaultTimeout(HANG);
  const page = await context.newPage();
  const wrong = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && wrong.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => wrong.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on('request', (request) => {
    const url = request.url();
    const own = url === address || url.startsWith('data:image/png') || url.startsWith('blob:') || (address.startsWith('http') && url.startsWith(address));
    if (!own) wrong.push(`request: ${url}`);
  });
  if (options.javaScriptEnabled !== false) {
    await page.addInitScript(() => {
      window.violations = [];
      document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
    });
  }
  await page.goto(address);
  if (ready) await page.waitForSelector('html[data-ready]', { state: 'attached' });
  await test(page);
  if (options.javaScriptEnabled !== false) assert.deepEqual(await page.evaluate(() => window.violations), []);
  assert.deepEqual(wrong, []);
  await context.close();
}

/// What axe-core finds against WCAG 2.2 AA and its own good practice.
export async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
}

/// The text of what a click downloads.
export async function downloaded(page, click) {
  const [download] = await Promise.all([page.waitForEvent('download'), click()]);
  const path = join(mkdtempSync(join(tmpdir(), 'foretaste-')), 'file');
  await download.saveAs(path);
  return readFileSync(path, 'utf8');
}

/// The rows that the table says it shows.
export async function found(page) {
  return Number((await page.locator('.found').textContent()).split(' ')[0].replaceAll(',', ''));
}

/// The figures of the review: state to rows.
export async function figures(page) {
  const text = await page.locator('.tally').textContent();
  return Object.fromEntries(text.split(' · ').map((part) => part.split(' ').reverse()).map(([state, n]) => [state, Number(n.replaceAll(',', ''))]));
}
