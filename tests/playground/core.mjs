// The page's functions in Node: its WebAssembly is taken out of the HTML. And the same calls to the native program.

import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { gunzipSync } from 'node:zlib';

// What stands between two lines of the page.
const between = (page, begin, end) => {
  const from = page.indexOf(begin);
  if (from < 0) throw new Error(`the page has no ${begin}`);
  return page.slice(from + begin.length, page.indexOf(end, from + begin.length));
};

export const pageCore = async page => {
  const wasm = between(page, '<script type="application/octet-stream" id="wasm">', '</script>');
  const glue = between(page, '<script>\n', '</script>');
  const wasmBinary = gunzipSync(Buffer.from(wasm.trim(), 'base64'));
  const createPlayground = new Function('require', '__dirname', `${glue}\nreturn createPlayground;`)(createRequire(import.meta.url), '.');
  const module = await createPlayground({ wasmBinary });
  const json = pointer => JSON.parse(module.UTF8ToString(pointer));
  const calls = {
    fill: seed => module._playground_fill(seed) ?? null,
    set: (which, index, value) => {
      module.HEAPF64[module._playground_field(which) / 8 + index] = value;
      return null;
    },
    scene: (...settings) => json(module._playground_scene(...settings)),
    stamps: last => json(module._playground_stamps(last)),
    train: (seed, batch, rate) => json(module._playground_train(seed, batch, rate)),
    rate: rate => module._playground_set_learning_rate(rate) ?? null,
    steps: count => Array.from({ length: count }, () => module._playground_step()),
    test: count => module._playground_test_loss(count),
    pictures: count => {
      const first = module._playground_pictures(count) / 4;
      return Array.from({ length: 2 * count }, (_, image) =>
        module.HEAPF32.subarray(first + 784 * image, first + 784 * (image + 1)).reduce((sum, pixel) => sum + pixel, 0));
    },
  };
  return calls;
};

// What the native program answers to calls, each an array of a name and its arguments.
export const native = (program, calls) => {
  const { status, stdout, stderr, error } = spawnSync(program, {
    input: calls.map(call => `${call.join(' ')}\n`).join(''), encoding: 'utf8', maxBuffer: 2 ** 30,
  });
  if (error || status !== 0) throw new Error(`${program}: ${error ?? stderr}`);
  const lines = stdout.trim().split('\n').map(line => JSON.parse(line));
  if (lines.length !== calls.length) throw new Error(`${program} must answer ${calls.length} calls, got ${lines.length} answers`);
  return lines;
};

// Where two answers differ by more than tolerance times the larger number (1 if both are smaller), and how; undefined where they agree.
export const difference = (a, b, tolerance, path = '') => {
  if (typeof a === 'number' && typeof b === 'number')
    return Math.abs(a - b) <= tolerance * Math.max(Math.abs(a), Math.abs(b), 1) ? undefined : `${path}: ${a} and ${b}`;
  if (a && b && typeof a === 'object' && typeof b === 'object') {
    const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
    for (const key of keys) {
      const found = difference(a[key], b[key], tolerance, `${path}.${key}`);
      if (found) return found;
    }
    return undefined;
  }
  return a === b ? undefined : `${path}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`;
};
