// Headless Chromium, driven by playwright-core. CHROMIUM names the binary; SCREENS a directory for screenshots.

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { chromium } from 'playwright-core';

// On an idle machine nothing here takes a second. A test that reaches this limit has found a hang.
export const DEADLINE = 60_000;

// A browser that is left would keep this process alive.
const launched = [];
after(async () => { for (const browser of await Promise.allSettled(launched)) await browser.value?.close(); });

export function launch() {
  const browser = chromium.launch({
    executablePath: process.env.CHROMIUM ?? 'chromium',
    // The sandbox needs a user other than root, and CI runs as root; the pages are our own. The other options keep a
    // newly installed browser from doing things that the test does not ask for.
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  launched.push(browser);
  return browser;
}

// Opens `url` in a browser context of its own. `faults` collects the errors of its scripts and its requests to other hosts.
export async function visit(browser, url, settings = {}) {
  const context = await browser.newContext(settings);
  const page = await context.newPage();
  const faults = [];
  page.on('pageerror', (error) => faults.push(`script: ${error.message}`));
  page.on('console', (message) => { if (message.type() === 'error') faults.push(`console: ${message.text()}`); });
  page.on('request', (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== 'data:' && host !== new URL(url).host) faults.push(`request to ${request.url()}`);
  });
  await page.goto(url);
  return {
    page,
    faults,
    screenshot: (name) => page.screenshot({ path: join(process.env.SCREENS ?? tmpdir(), `${name}.png`) }),
    leave: () => context.close(),
  };
}
