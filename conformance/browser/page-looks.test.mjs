// The looks of the page of `ropeway serve`: at sizes from a telephone with its keyboard to a desktop, in light and dark colours,
// with forced colours, and with enough contrast to be read.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { serve } from '../interop/ropeway.mjs';
import { DEADLINE, launch, visit } from './browser.mjs';
import { entry, say, state } from './page.mjs';

const options = { timeout: DEADLINE };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
let server;
let browser;

before(async () => { [server, browser] = await Promise.all([serve(), launch()]); });

test('counters of six digits and more are whole', options, async () => {
  for (const viewport of [{ width: 1280, height: 800 }, { width: 390, height: 844 }, { width: 640, height: 400 }]) {
    const { page, leave } = await visit(browser, server.http, { viewport });
    await page.evaluate(() => {
      for (const way of ['in', 'out']) [totals[way][0], totals[way][1]] = [88_888_888, 888_800_000];
      paintCounters();
    });
    const cut = await page.locator('.counters dd, .counters b, .counters small').evaluateAll((all) =>
      all.filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0
        || element.getBoundingClientRect().right > element.closest('div').getBoundingClientRect().right + 0.5).map((element) => element.outerHTML));
    assert.deepEqual(cut, [], `${viewport.width} wide`);
    await leave();
  }
});

const SIZES = [[390, 450], [640, 400], [320, 568], [390, 844], [844, 390], [821, 700], [850, 700], [880, 600], [1280, 800]];
for (const [width, height] of SIZES) {
  test(`at ${width} × ${height} nothing covers the newest message, and no button is cut`, options, async () => {
    const { page, screenshot, leave } = await visit(browser, server.http, { viewport: { width, height } });
    const check = async (when) => {
      // Painted once more, so that the list has come to rest at its end.
      await page.evaluate(() => new Promise((resume) => requestAnimationFrame(() => requestAnimationFrame(resume))));
      const wrong = await page.evaluate(() => {
        const found = [];
        const { scrollWidth, clientWidth, scrollHeight, clientHeight } = document.documentElement;
        if (scrollWidth > clientWidth || scrollHeight > clientHeight) found.push(`the page is ${scrollWidth} × ${scrollHeight}`);
        // At the middle of the newest entry's last line, that entry must be on top.
        const newest = [...document.querySelectorAll('#log .entry:not([hidden])')].at(-1);
        if (newest) {
          const { left, width, bottom } = newest.getBoundingClientRect();
          const drawn = document.elementFromPoint(left + width / 2, bottom - 4);
          if (!newest.contains(drawn)) found.push(`over the newest message lies ${drawn?.outerHTML.slice(0, 80)}`);
        }
        for (const button of document.querySelectorAll('.tools button, #send, .side, .segments label, #connect')) {
          const { left, right, width } = button.getBoundingClientRect();
          if (width && (left < -0.5 || right > innerWidth + 0.5)) found.push(`${button.id || button.textContent} ends at ${right}`);
        }
        const shown = [...document.querySelectorAll('.segments label, .tools button, #connect, #send')].map((element) => [element, element.getBoundingClientRect()]).filter(([, box]) => box.width);
        for (const [one, a] of shown) {
          if (one.scrollWidth > one.clientWidth + 1) found.push(`${one.id || one.textContent} is cut`);
          for (const [other, b] of shown) {
            if (one !== other && a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1) found.push(`${one.id || one.textContent} lies over ${other.id || other.textContent}`);
          }
        }
        const { scrollWidth: inside, clientWidth: side } = document.querySelector('.side');
        if (inside > side) found.push(`the side is ${inside} wide in ${side}`);
        const send = document.getElementById('send').getBoundingClientRect();
        if (send.bottom > innerHeight || send.height < 24) found.push(`Send ends at ${send.bottom}`);
        return found;
      });
      assert.deepEqual(wrong, [], when);
    };
    await check('before connecting');
    for (const text of ['first', 'words that wrap '.repeat(30), 'newest']) {
      await say(page, text);
      await entry(page, 'in', text);
    }
    await check('with messages');
    await page.click('summary');
    await check('with More open');
    await page.fill('#reason', 'is reached');
    await page.click('summary');
    await page.click('#auto-toggle');
    await page.fill('#every', '1000');
    await page.click('#auto-toggle');
    await page.check('[name=path][value="/chat"]', { force: true });
    await page.click('#switch');
    await entry(page, 'aside', 'joined');
    await check('in the chat');
    await screenshot(`page-${width}x${height}`);
    await leave();
  });
}

// The WCAG 2 contrast of each visible text with its background. `on` returns the colours of pictures behind a text.
const contrasts = () => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
  const contrast = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const root = getComputedStyle(document.documentElement);
  const grounds = (element) => {
    if (element.closest('.scene') && !element.closest('.pill')) return ['--sky-1', '--sky-2', '--ground'].map((name) => rgba(root.getPropertyValue(name)));
    for (let at = element; at; at = at.parentElement) {
      const ground = rgba(getComputedStyle(at).backgroundColor);
      if (ground[3] > 0.99) return [ground];
    }
    return [[255, 255, 255]];
  };
  const seen = [];
  for (const element of document.querySelectorAll('body *')) {
    const said = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!said || !element.checkVisibility({ visibilityProperty: true }) || element.closest('script, style, .unseen, :disabled')) continue;
    const style = getComputedStyle(element);
    const ink = rgba(element instanceof SVGElement ? style.fill : style.color);
    for (const ground of grounds(element)) seen.push([contrast(ink, ground), element.className || element.id || element.tagName, element.textContent.slice(0, 30)]);
  }
  for (const field of document.querySelectorAll('input[type=text], input[type=search], textarea')) {
    seen.push([contrast(rgba(getComputedStyle(field, '::placeholder').color), grounds(field)[0]), 'placeholder', field.id]);
  }
  // Names in the chat have many colours, all on a bubble's background.
  const sunk = rgba(root.getPropertyValue('--sunk'));
  const sample = document.body.appendChild(document.createElement('i'));
  for (let at = 0; at < 400; at++) {
    sample.style.color = shade(`name ${at}`);
    seen.push([contrast(rgba(getComputedStyle(sample).color), sunk), 'name', sample.style.color]);
  }
  sample.remove();
  return seen.filter(([ratio]) => ratio < 4.5).map(([ratio, ...what]) => [ratio.toFixed(2), ...what].join(' '));
};

for (const colorScheme of ['light', 'dark']) {
  test(`in ${colorScheme} colours every text has a contrast of 4.5`, options, async () => {
    const ending = await serve();
    const { page, leave } = await visit(browser, ending.http, { colorScheme, reducedMotion: 'reduce' });
    assert.deepEqual(await page.evaluate(contrasts), [], 'before connecting');
    for (const text of ['one', '[1, 2]']) {
      await say(page, text);
      await entry(page, 'in', text);
    }
    await page.click('summary');
    await page.click('#auto-toggle');
    await page.click('#pause');
    await say(page, 'two');
    await page.locator('#held', { hasText: /^2$/ }).waitFor();
    assert.deepEqual(await page.evaluate(contrasts), [], 'open');
    await page.click('#pause');
    await page.check('[name=path][value="/chat"]', { force: true });
    assert.deepEqual(await page.evaluate(contrasts), [], 'with another address');
    await page.click('#switch');
    await say(page, 'three');
    await entry(page, 'mine', 'three');
    assert.deepEqual(await page.evaluate(contrasts), [], 'in the chat');
    ending.kill();
    await entry(page, 'closed', '1006');
    await page.fill('#filter', 'zzz');
    await page.locator('#unmatched', { hasText: 'No match' }).waitFor();
    assert.deepEqual(await page.evaluate(contrasts), [], 'closed, nothing found');
    await page.fill('#filter', '');
    await page.click('#keys');
    assert.deepEqual(await page.evaluate(contrasts), [], 'with the keys');
    await leave();
  });
}

// The most frequent colour of a drawn element, and the number of colour changes along its row with the most changes.
async function drawn(page, selector) {
  const png = await page.locator(selector).first().screenshot();
  return page.evaluate(async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
    const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const times = new Map();
    for (const pixel of pixels) times.set(pixel, (times.get(pixel) ?? 0) + 1);
    const [[ground]] = [...times].sort((one, other) => other[1] - one[1]);
    const changes = Array.from({ length: image.height }, (_, y) => {
      const row = pixels.subarray(y * image.width, (y + 1) * image.width);
      return row.filter((pixel, x) => x > 0 && pixel !== row[x - 1]).length;
    });
    return { ground, changes: Math.max(...changes) };
  }, png.toString('base64'));
}

for (const colorScheme of ['light', 'dark']) {
  test(`with forced colours, ${colorScheme}, what is chosen is told apart, and every button is read`, options, async () => {
    const { page, screenshot, leave } = await visit(browser, server.http, { forcedColors: 'active', colorScheme });
    await say(page, 'hello');
    await entry(page, 'in', 'hello');
    for (const [chosen, other] of [['#paths label:has(:checked)', '#paths label:not(:has(:checked))'], ['.row label:has(:checked)', '.row label:not(:has(:checked))']]) {
      assert.notEqual((await drawn(page, chosen)).ground, (await drawn(page, other)).ground, chosen);
    }
    const released = await drawn(page, '#pause');
    await page.click('#pause');
    assert.notEqual((await drawn(page, '#pause')).ground, released.ground, 'a button that stays down');
    for (const button of ['#send', '#connect', '#paths label:has(:checked)', '#pause']) {
      const { changes } = await drawn(page, button);
      assert.ok(changes > 10, `no letters are seen on ${button}: ${changes} changes`);
    }
    await screenshot(`page-forced-colours-${colorScheme}`);
    await leave();
  });
}

test('on a phone nothing scrolls sideways', options, async () => {
  const { page, screenshot, leave } = await visit(browser, server.http, PHONE);
  const overhang = () => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(await overhang(), 0, 'before connecting');
  await page.tap('#connect');
  await state(page, 'OPEN');
  for (const text of ['short', 'w'.repeat(2000), 'words that wrap '.repeat(50), '[1,2,{"a":"' + 'x'.repeat(300) + '"}]']) {
    await say(page, text);
    await entry(page, 'in', text);
    assert.equal(await overhang(), 0, `after ${text.slice(0, 20)}`);
  }
  await screenshot('page-phone');
  await leave();
});

test('in the dark it is dark', options, async () => {
  const { page, screenshot, leave } = await visit(browser, server.http, { colorScheme: 'dark' });
  const [red, green, blue] = (await page.evaluate(() => getComputedStyle(document.body).backgroundColor)).match(/\d+/g).map(Number);
  assert.ok(red + green + blue < 3 * 64, 'the ground is dark');
  await screenshot('page-dark');
  await leave();
});
