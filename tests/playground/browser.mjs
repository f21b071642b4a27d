// A headless Chromium, driven through a pipe: what a page does, says and looks like.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const kModifiers = { Alt: 1, Control: 2, Meta: 4, Shift: 8 };

export class Browser {
  static async open(program, options = {}) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'playground-'));
    browser.process = spawn(program, [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars', '--remote-debugging-pipe',
      `--user-data-dir=${browser.profile}`, ...(options.arguments ?? []), 'about:blank',
    ], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
    browser.calls = new Map();
    browser.problems = []; // what the page wrote to its console as an error, or threw
    browser.requests = []; // what the page asked the network for
    browser.next = 0;
    let text = '';
    browser.process.stdio[4].setEncoding('utf8').on('data', data => {
      const messages = (text + data).split('\0');
      text = messages.pop();
      for (const message of messages) browser.receive(JSON.parse(message));
    });
    const { targetInfos } = await browser.call('Target.getTargets', {}, null);
    const { targetId } = targetInfos.find(target => target.type === 'page');
    browser.session = (await browser.call('Target.attachToTarget', { targetId, flatten: true }, null)).sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.call(`${domain}.enable`);
    return browser;
  }

  receive({ id, result, error, method, params }) {
    if (id !== undefined) {
      const { resolve, reject, name } = this.calls.get(id);
      this.calls.delete(id);
      if (error) reject(new Error(`${name}: ${error.message}`));
      else resolve(result);
    } else if (method === 'Runtime.exceptionThrown') {
      this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) {
      this.problems.push(params.args.map(argument => argument.value ?? argument.description).join(' '));
    } else if (method === 'Log.entryAdded' && params.entry.level === 'error') {
      this.problems.push(params.entry.text);
    } else if (method === 'Network.requestWillBeSent') {
      this.requests.push(params.request.url);
    } else if (method === 'Page.loadEventFired') {
      this.loaded?.();
    }
  }

  call(name, parameters = {}, session = this.session) {
    const id = ++this.next;
    this.process.stdio[3].write(`${JSON.stringify({ id, method: name, params: parameters, ...(session ? { sessionId: session } : {}) })}\0`);
    return new Promise((resolve, reject) => this.calls.set(id, { resolve, reject, name }));
  }

  async screen(width, height, colours) {
    await this.call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
    await this.call('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: colours }] });
  }

  async goto(address) {
    const loaded = new Promise(resolve => { this.loaded = resolve; });
    await this.call('Page.navigate', { url: address });
    await loaded;
  }

  // The value of a JavaScript expression in the page; of a promise, what the promise gives.
  async value(expression) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async until(expression, seconds = 60) {
    for (const end = Date.now() + 1000 * seconds; Date.now() < end; await new Promise(resolve => setTimeout(resolve, 50)))
      if (await this.value(expression)) return;
    throw new Error(`this did not happen in ${seconds} seconds: ${expression}`);
  }

  // The middle of the element that a JavaScript expression gives, scrolled into sight.
  async middle(element) {
    return this.value(`(() => { const e = ${element}; e.scrollIntoView({ block: 'center' }); const b = e.getBoundingClientRect();
      return { x: b.left + b.width / 2, y: b.top + b.height / 2 }; })()`);
  }

  async hover(element) {
    await this.call('Input.dispatchMouseEvent', { type: 'mouseMoved', ...await this.middle(element) });
  }

  async click(element) {
    const at = await this.middle(element);
    await this.call('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at });
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.call('Input.dispatchMouseEvent', { type, ...at, button: 'left', clickCount: 1 });
  }

  // A slider's thumb to one of its ends: pressed in the middle, moved on, and released.
  async dragTo(slider, end) {
    const { y } = await this.middle(slider);
    const [from, to] = await this.value(`(() => { const b = ${slider}.getBoundingClientRect();
      return [b.left + b.width / 2, ${end === 'right'} ? b.right - 1 : b.left + 1]; })()`);
    for (const [type, x] of [['mouseMoved', from], ['mousePressed', from], ['mouseMoved', (from + to) / 2], ['mouseMoved', to], ['mouseReleased', to]])
      await this.call('Input.dispatchMouseEvent', { type, x, y, ...(type === 'mouseMoved' ? {} : { clickCount: 1 }), button: 'left', buttons: 1 });
  }

  // A key by its name, such as Tab, ArrowLeft, Shift+Tab, 5 or +.
  async press(name) {
    const parts = name === '+' ? ['+'] : name.split('+'), key = parts.pop();
    const modifiers = parts.reduce((sum, part) => sum | kModifiers[part], 0);
    const codes = { Tab: 9, Enter: 13, ' ': 32, PageUp: 33, PageDown: 34, End: 35, Home: 36, ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40 };
    const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
    const windowsVirtualKeyCode = codes[key] ?? key.toUpperCase().charCodeAt(0);
    await this.call('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', key, text, modifiers, windowsVirtualKeyCode });
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', key, modifiers, windowsVirtualKeyCode });
  }

  async screenshot(path, whole = false) {
    const { data } = await this.call('Page.captureScreenshot', { format: 'png', captureBeyondViewport: whole });
    writeFileSync(path, Buffer.from(data, 'base64'));
  }

  async close() {
    const ended = new Promise(resolve => this.process.once('exit', resolve));
    await this.call('Browser.close', {}, null).catch(() => {});
    await ended;
    rmSync(this.profile, { recursive: true, force: true });
  }
}
