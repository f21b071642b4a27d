// Checks the playground's page: its WebAssembly says what the native library says, in every setting of the sliders and in training;
// and the page shows that, to a mouse and to a keyboard, in a headless Chromium that may not use the network.
//
//   node check.mjs PAGE NATIVE_PROGRAM [CHROMIUM [FOLDER FOR SCREENSHOTS]]

import { mkdirSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Browser } from './browser.mjs';
import { difference, native, pageCore } from './core.mjs';

const [pagePath, program, chromium, shots] = process.argv.slice(2);
const page = readFileSync(pagePath, 'utf8');

let checks = 0;
const check = (holds, claim) => {
  ++checks;
  if (!holds) throw new Error(claim);
};
const equal = (actual, expected, claim) =>
  check(JSON.stringify(actual) === JSON.stringify(expected), `${claim}: must be ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
const sum = values => values.reduce((total, value) => total + value, 0);
const range = (low, high) => Array.from({ length: high - low + 1 }, (_, i) => low + i);

// ---- The numbers, in Node

// Every setting of the sliders. (The library refuses many of those of the transpose.)
const settings = () => {
  const all = [];
  for (const transpose of [0, 1])
    for (const size of range(2, 7))
      for (const kernel of range(1, 4))
        for (const stride of range(1, 3))
          for (const padding of [0, -1, -2, 1, 2, 3])
            for (const dilation of [1, 2])
              for (const outputPadding of transpose ? [-1, 0, 1, 2] : [-1])
                all.push([transpose, size, kernel, stride, padding, dilation, outputPadding]);
  return all;
};

const compare = (core, calls, tolerance) => {
  native(program, calls).forEach((expected, i) => {
    const [name, ...values] = calls[i];
    const found = difference(core[name](...values), expected, tolerance);
    check(!found, `${calls[i].join(' ')}: the page and the library differ at ${found}`);
  });
};

const checkScenes = core => {
  let shown = 0, refused = 0;
  const all = settings();
  for (let first = 0; first < all.length; first += 288) {
    const calls = all.slice(first, first + 288).flatMap((setting, i) => [['fill', first + i], ['scene', ...setting]]);
    compare(core, calls, 1e-12);
  }
  all.forEach((setting, seed) => {
    core.fill(seed);
    const scene = core.scene(...setting);
    if (scene.error) {
      ++refused;
      check(scene.error.startsWith('[conv2d'), `${setting}: an error must name its function, got ${scene.error}`);
      return;
    }
    ++shown;
    equal(scene.wrong, [], `${setting}: terms that do not add up`);
    check(scene.claims.length === 5 && scene.claims.every(claim => claim.holds), `${setting}: ${JSON.stringify(scene.claims)}`);
    check(scene.identity[0] === scene.identity[1] && scene.identity[1] === scene.identity[2], `${setting}: ${scene.identity}`);
    const { so_far: whole } = core.stamps(scene[setting[0] ? 'x' : 'g'].values.length - 1);
    equal(whole.values, scene[setting[0] ? 'y' : 'dx'].values, `${setting}: all stamps together`);
  });
  check(shown > 1000 && refused > 500, `${shown} settings are possible and ${refused} are not`);
  const stamps = [['fill', 3], ['scene', 1, 4, 3, 2, 1, 1, 1], ...range(0, 15).map(last => ['stamps', last]), ['stamps', 16]];
  compare(core, stamps, 1e-12);
  compare(core, [['fill', 5], ['set', 0, 8, 0.75], ['set', 1, 5, -1.5], ['scene', 0, 5, 3, 1, -1, 1, -1]], 1e-12);
  console.log(`${shown} settings agree with the library, and ${refused} are refused as the library does`);
};

const checkTraining = core => {
  // Vectors of another length add in another order, and each step passes on what that changes, the more the longer the step is.
  compare(core, [['train', 1, 32, 0.001], ['test', 100], ['steps', 25]], 1e-6);
  compare(core, [['train', 1, 32, 0.0003], ['steps', 50], ['test', 100], ['pictures', 10]], 1e-5);
  compare(core, [['train', 7, 16, 0.01], ['steps', 10], ['rate', 0.001], ['steps', 5], ['test', 10]], 1e-5);
  console.log('training agrees with the library');
};

// ---- The page, in a browser

const kGrids = ['x', 'w', 'y', 'g', 'dx', 'dw'];
const cell = (name, index) => `document.querySelector('#grid-${name} [data-index="${index}"]')`;
const byId = id => `document.getElementById('${id}')`;
const number = text => Number(text.replace('−', '-'));

const checkLook = async (browser, width, colours) => {
  const what = `${width} pixels wide, ${colours}`;
  const found = await browser.value(`(() => {
    const root = document.documentElement, problems = [];
    if (root.scrollWidth > ${width}) problems.push('the page is ' + root.scrollWidth + ' pixels wide');
    for (const e of document.body.querySelectorAll('*')) {
      if (!e.offsetParent || e.closest('.scroll') || e.closest('.choice') && e.tagName === 'INPUT') continue;
      const box = e.getBoundingClientRect(), name = e.tagName + '#' + e.id + '.' + e.className;
      if (box.right > ${width} + 0.5 || box.left < -0.5) problems.push(name + ' reaches from ' + box.left + ' to ' + box.right);
      const text = [...e.childNodes].some(child => child.nodeType === Node.TEXT_NODE && child.data.trim());
      if (text && parseFloat(getComputedStyle(e).fontSize) < 12) problems.push(name + ' is smaller than 12 pixels');
    }
    for (const e of document.querySelectorAll('.matrix')) {
      const box = e.querySelector('.scroll'), said = e.querySelector('.more').textContent;
      if (!box.offsetParent) continue; // of a setting that is refused
      if (said.includes('below') !== box.scrollHeight > box.clientHeight || said.includes('right') !== box.scrollWidth > box.clientWidth)
        problems.push(box.id + ' shows ' + box.clientWidth + ' x ' + box.clientHeight + ' of ' + box.scrollWidth + ' x ' + box.scrollHeight + ', and says "' + said + '"');
    }
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).map(Number);
    if ((r + g + b < 384) !== (${JSON.stringify(colours)} === 'dark')) problems.push('the paper does not follow the colour scheme');
    return problems.slice(0, 5); })()`);
  equal(found, [], what);
};

// The numbers that the grids show, and those that stand for readers of the screen.
const shown = browser => browser.value(`Object.fromEntries(${JSON.stringify(kGrids)}.map(name => [name,
  [...document.querySelectorAll('#grid-' + name + ' [role=gridcell]')].map(e => [e.textContent, e.getAttribute('aria-label')])]))`);

const checkShown = async (browser, scene, what) => {
  for (const [name, cells] of Object.entries(await shown(browser))) {
    const { values, columns } = scene[name];
    equal(cells.map(([text]) => number(text)), values.map(value => Number(value.toPrecision(4))), `${what}: the grid ${name}`);
    equal(cells.map(([, label]) => label.split(' = ')[0]), values.map((_, i) => `${name}[${Math.floor(i / columns)}, ${i % columns}]`), `${what}: labels of ${name}`);
  }
};

const explanation = browser => browser.value(`document.querySelector('#explanation-text').innerText.replace(/\\s+/g, ' ')`);

// The line about a number: its value is the library's, and so is the sum of the products that it lists.
const checkExplanation = async (browser, label, value, what) => checkText(await explanation(browser), label, value, what);
const checkText = (text, label, value, what) => {
  check(text.startsWith(`${label} = ${String(value).replace('-', '−')}:`), `${what}: must begin with ${label} = ${value}, got ${text}`);
  const products = [...text.matchAll(/(−?[\d.]+) · \(?(−?[\d.]+)\)?/g)].map(([, a, b]) => number(a) * number(b));
  equal(sum(products), value, `${what}: the terms of "${text}"`);
  return products.length;
};

const checkMouse = async browser => {
  const scene = native(program, [['fill', 1], ...exampleFields(), ['scene', 0, 4, 3, 1, 0, 1, -1]]).at(-1);
  await checkShown(browser, scene, 'the first setting');
  for (const [name, label] of [['y', 'y[1, 0]'], ['dx', 'dx[1, 1]'], ['dw', 'dw[0, 2]']]) {
    const { values, columns } = scene[name], [row, column] = label.match(/\d+/g).map(Number), index = row * columns + column;
    await browser.hover(cell(name, index));
    const terms = await checkExplanation(browser, label, values[index], 'the mouse');
    check(terms === { y: 9, dx: 4, dw: 4 }[name], `${label} has ${terms} terms`);
    const marked = await browser.value(`document.querySelectorAll('#grid-${name === 'y' ? 'x' : 'g'} .term').length`);
    check(marked === { y: 9, dx: 4, dw: 4 }[name], `${label}: ${marked} numbers are marked`);
  }
  await browser.value(`${byId('matrix-C')}.scrollIntoView({ block: 'center' })`);
  const at = await browser.value(`(() => { const b = document.querySelector('#matrix-C canvas').getBoundingClientRect(); return { x: b.left + b.width * 5.5 / 16, y: b.top + b.height * 0.5 / 4 }; })()`);
  await browser.call('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at });
  equal(await explanation(browser), 'C[0, 5] = 5: tap w[1, 1] joins y[0, 0] and x[1, 1].', 'the mouse on the matrix');

  await browser.click(cell('w', 4));
  await browser.hover(cell('g', 1)); // on the way to the buttons
  await browser.hover(cell('dx', 1));
  check((await explanation(browser)).startsWith('dx[0, 1] = '), 'the mouse after a click');
  await browser.click(byId('more'));
  await browser.click(byId('more'));
  const changed = native(program, [['fill', 1], ...exampleFields(), ['set', 1, 5, 7], ['scene', 0, 4, 3, 1, 0, 1, -1]]).at(-1);
  await checkShown(browser, changed, 'w[1, 1] is 7');

  await browser.click(`document.querySelector('[name=function][value="1"]').parentElement`);
  const transposed = native(program, [['fill', 1], ...exampleFields(), ['set', 1, 5, 7], ['scene', 1, 4, 3, 1, 0, 1, -1]]).at(-1);
  await checkShown(browser, transposed, 'conv2d_transpose');
  await browser.hover(cell('y', 14));
  await checkExplanation(browser, 'y[2, 2]', transposed.y.values[14], 'the mouse');
};

// Each slider, drawn to its ends by the mouse.
const checkSliders = async browser => {
  await browser.click(`document.querySelector('[name=function][value="1"]').parentElement`);
  for (const end of ['right', 'left']) {
    for (const name of ['size', 'kernel', 'stride', 'padding', 'dilation', 'output_padding']) {
      await browser.dragTo(byId(name), end);
      equal(await browser.value(`${byId(name)}.value === ${byId(name)}.${end === 'right' ? 'max' : 'min'}`), true, `${name}, drawn to the ${end}`);
      const { transpose, size, kernel, stride, padding, dilation, output_padding: extra } = await browser.value('playground.convolution.settings');
      const scene = native(program, [['fill', 1], ...exampleFields(), ['scene', Number(transpose), size, kernel, stride, padding, dilation, extra]]).at(-1);
      equal(await browser.value(`${byId('refused')}.hidden`), !scene.error, `${name} at the ${end}: what is refused`);
      if (!scene.error) await checkShown(browser, scene, `${name} at the ${end}`);
    }
  }
};

// The numbers that the page begins with, over those of seed 1.
const exampleFields = () => {
  const fields = [[[1, 0, 2, 1], [3, 1, 0, 2], [0, 2, 1, 1], [2, 1, 3, 0]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]];
  return fields.flatMap((rows, which) => rows.flatMap((row, i) => row.map((value, j) => ['set', which, i * [7, 4][which] + j, value])));
};

// The explanation of every number, in settings of all kinds: of a result the products add up to it, of C the tap is named.
const checkExplanations = async browser => {
  for (const [transpose, size, kernel, stride, padding, dilation, extra] of [
    [0, 4, 3, 1, 0, 1, -1], [0, 6, 3, 2, -1, 2, -1], [0, 3, 2, 3, 3, 1, -1], [1, 3, 3, 2, 1, 1, 1], [1, 3, 2, 3, 0, 2, -1], [1, 4, 3, 1, -1, 1, -1]]) {
    const settings = { transpose: Boolean(transpose), size, kernel, stride, padding, dilation, output_padding: extra };
    await browser.value(`playground.core.fill(5), playground.convolution.set(${JSON.stringify(settings)})`);
    const scene = native(program, [['fill', 5], ['scene', transpose, size, kernel, stride, padding, dilation, extra]]).at(-1);
    const texts = await browser.value(`(() => { const all = {}, text = document.getElementById('explanation-text');
      for (const [name, count] of ${JSON.stringify([...['y', 'dx', 'dw'].map(name => [name, scene[name].values.length]), ['C', scene.C.values.length], ['Ct', scene.C.values.length]])}) {
        all[name] = [];
        for (let i = 0; i < count; ++i) { playground.convolution.explain(name, i); all[name].push(text.innerText.replace(/\\s+/g, ' ')); }
      } return all; })()`);
    for (const name of ['y', 'dx', 'dw'])
      texts[name].forEach((text, i) => {
        const label = `${name}[${Math.floor(i / scene[name].columns)}, ${i % scene[name].columns}]`;
        checkText(text, label, scene[name].values[i], JSON.stringify(settings));
      });
    const { values, columns, rows } = scene.C;
    const turned = values.map((_, i) => values[i % rows * columns + Math.floor(i / rows)]);
    for (const [name, entries, wide] of [['C', values, columns], ['Cᵀ', turned, rows]])
      entries.forEach((value, i) => {
        const text = texts[name === 'C' ? 'C' : 'Ct'][i], tap = text.match(/: tap w\[(\d), (\d)\]/);
        check(text.startsWith(`${name}[${Math.floor(i / wide)}, ${i % wide}] = ${String(value).replace('-', '−')}: `), `${name}: ${text}`);
        equal(value, tap ? scene.w.values[tap[1] * kernel + Number(tap[2])] : 0, text);
      });
  }
};

const focused = browser => browser.value(`(() => { const e = document.activeElement; return e.closest('[role=grid]')?.id ?? (e.id || e.textContent.trim()); })()`);

const checkKeyboard = async browser => {
  // Everything is reached by Tab.
  const reached = new Set();
  for (let i = 0; i < 90 && !reached.has('summary'); ++i) {
    await browser.press('Tab');
    const at = await focused(browser);
    if (at === 'The model, layer by layer') break;
    reached.add(at);
  }
  const needed = ['size', 'kernel', 'stride', 'padding', 'dilation', ...kGrids.map(name => `grid-${name}`), 'stamp', 'grid-stamp', 'grid-sum', 'matrix-C',
    'matrix-Ct', 'other', 'start', 'one-step', 'reset', 'rate'];
  equal(needed.filter(id => !reached.has(id)), [], 'what Tab does not reach');

  // Arrows go from number to number, and keys change them.
  await browser.value(`${cell('x', 0)}.focus()`);
  for (const key of ['ArrowRight', 'ArrowDown', 'ArrowDown', 'ArrowLeft', 'ArrowLeft', 'End']) await browser.press(key);
  check((await explanation(browser)).startsWith('x[2, 3] = 1:'), `the keyboard: ${await explanation(browser)}`);
  for (const key of ['5', '+', '+', '-']) await browser.press(key);
  await browser.value(`${cell('g', 0)}.focus()`);
  for (const key of ['-', '-', '-']) await browser.press(key);
  const changes = [['set', 0, 2 * 7 + 3, 6], ['set', 2, 0, -5]];
  const before = (s, more = []) => native(program, [['fill', 1], ...exampleFields(), ...more, ['scene', ...s]]).at(-1);
  await checkShown(browser, before([0, 4, 3, 1, 0, 1, -1], changes), 'numbers that were typed');

  // Each slider, by its keys.
  const place = { size: 5, kernel: 2, stride: 2, padding: -1, dilation: 2 };
  const keys = { size: ['ArrowRight'], kernel: ['ArrowLeft'], stride: ['ArrowRight'], padding: ['ArrowRight'], dilation: ['End'] };
  for (const [name, presses] of Object.entries(keys)) {
    await browser.value(`${byId(name)}.focus()`);
    for (const key of presses) await browser.press(key);
  }
  equal(await browser.value(`${JSON.stringify(Object.keys(place))}.map(id => document.querySelector('output[for=' + id + ']').textContent)`), ['5', '2', '2', 'same', '2'], 'the sliders');
  await checkShown(browser, before([0, ...Object.values(place), -1], changes), 'settings by the keyboard');

  // The matrix.
  await browser.value(`${byId('matrix-Ct')}.focus()`);
  for (const key of ['Home', 'PageUp', 'ArrowDown', 'ArrowRight']) await browser.press(key);
  check((await explanation(browser)).startsWith('Cᵀ[1, 1] = '), `the keyboard on the matrix: ${await explanation(browser)}`);

  // What the library refuses is said in its own words, and no number is left that is not of this setting.
  await browser.value(`document.querySelector('[name=function]:checked').focus()`);
  await browser.press('ArrowRight');
  await browser.value(`${byId('output_padding')}.focus()`);
  await browser.press('End');
  const { error } = before([1, ...Object.values(place), 2], changes);
  check(error.includes('output_padding'), `the library must refuse this, got ${error}`);
  equal(await browser.value(`${byId('refused')}.innerText`), `The library refuses this: ${error}`, 'an impossible setting');
  equal(await browser.value(`['forward-figure', 'results', 'explanation'].filter(id => document.getElementById(id).checkVisibility?.() ?? document.getElementById(id).offsetParent)`), [], 'what is shown beside the error');
  await browser.press('Home');
  check(await browser.value(`${byId('refused')}.hidden`), 'the error must go');
  await checkShown(browser, before([1, ...Object.values(place), -1], changes), 'after the error');
};

// The stamps: all laid give the result, and the slider takes them away.
const checkStamps = async browser => {
  await browser.value(`${byId('stamp')}.focus()`);
  await browser.press('Home');
  const text = name => browser.value(`[...document.querySelectorAll('#grid-${name} [role=gridcell]')].map(e => Number(e.textContent.replace('−', '-')))`);
  const [, ...rest] = native(program, [['fill', 1], ...exampleFields(), ['scene', 0, 4, 3, 1, 0, 1, -1], ['stamps', 0], ['stamps', 1]]);
  const [first, second] = rest.slice(-2);
  equal(await text('stamp'), first.stamp.values, 'the first stamp');
  equal(await text('sum'), first.so_far.values, 'the first stamp alone');
  await browser.press('ArrowRight');
  equal(await text('sum'), second.so_far.values, 'two stamps');
  const label = await browser.value(`${cell('sum', 5)}.getAttribute('aria-label')`);
  check(label.startsWith('sum[1, 1] = '), label);
};

const checkLive = async browser => {
  await browser.click(byId('start'));
  await browser.until(`playground.training.losses.length >= 30`);
  await browser.until(`Number(document.getElementById('images').textContent) > 0`);
  await browser.click(byId('start'));
  const { losses, test, steps, mean } = await browser.value(`({ losses: playground.training.losses, test: ${byId('test-loss')}.textContent,
    steps: ${byId('steps')}.textContent, mean: ${byId('loss')}.textContent })`);
  const [, , expected, tested] = native(program, [['train', 1, 32, 0.001], ['test', 100], ['steps', losses.length], ['test', 100]]);
  check(!difference(losses, expected, 1e-4), `the losses of the page: ${difference(losses, expected, 1e-4)}`);
  equal(steps, String(losses.length), 'the number of steps');
  check(Math.abs(test - tested) <= 1e-4, `the test loss: ${test}, and the library's ${tested}`);
  check(Math.abs(mean - sum(expected.slice(-20)) / 20) <= 1e-4, `the mean of the last losses: ${mean}`);
  const speed = await browser.value(`({ text: document.getElementById('images').textContent, times: playground.training.times })`);
  await browser.value(`${byId('one-step')}.click()`);
  equal(await browser.value(`playground.training.losses.length`), losses.length + 1, 'one step');
  await browser.value(`${byId('reset')}.click()`);
  equal(await browser.value(`[playground.training.losses.length, ${byId('steps')}.textContent]`), [0, '0'], 'after Reset');
  await browser.value(`${byId('one-step')}.click()`);
  check(!difference(await browser.value(`playground.training.losses`), expected.slice(0, 1), 1e-6), 'the first loss after Reset');
  const milliseconds = speed.times.map(([from, to]) => to - from).sort((a, b) => a - b);
  console.log(`a step of 32 digits takes ${milliseconds[milliseconds.length >> 1].toFixed(1)} ms in the page`);
};

const checkPage = async () => {
  const address = pathToFileURL(pagePath).href;
  const browser = await Browser.open(chromium);
  const open = async (width, height, colours) => {
    await browser.screen(width, height, colours);
    await browser.goto(address);
    await browser.until('Boolean(window.playground)', 30);
  };
  try {
    for (const width of [1280, 390])
      for (const colours of ['light', 'dark']) {
        await open(width, 900, colours);
        await checkLook(browser, width, colours);
        for (const settings of [{ transpose: true, size: 7, kernel: 4, stride: 3, dilation: 2 }, { transpose: true, stride: 2, output_padding: 2 }]) {
          await browser.value(`playground.convolution.set(${JSON.stringify(settings)})`);
          await checkLook(browser, width, colours);
        }
        await browser.value(`playground.convolution.start(kExamples[3])`);
        if (shots) await screenshot(browser, width, colours);
      }
    await open(1280, 900, 'light');
    await checkExplanations(browser);
    await open(1280, 900, 'light');
    await checkMouse(browser);
    await open(1280, 900, 'light');
    await checkSliders(browser);
    await open(1280, 900, 'light');
    await checkKeyboard(browser);
    await open(390, 844, 'light');
    await checkStamps(browser);
    await open(1280, 900, 'light');
    await checkLive(browser);
    equal(browser.problems, [], 'the console');
    equal(browser.requests.filter(url => url !== address && !url.startsWith('data:') && !url.startsWith('blob:')), [], 'requests');
  } finally {
    await browser.close();
  }
  console.log('the page fits 1280 and 390 pixels, light and dark; a mouse and a keyboard reach its numbers, which are the library\'s');
};

const screenshot = async (browser, width, colours) => {
  mkdirSync(shots, { recursive: true });
  await browser.value(`playground.training.run()`);
  await browser.until(`playground.training.losses.length >= 150`, 120);
  await browser.value(`playground.training.pause()`);
  await browser.screen(width, await browser.value(`document.documentElement.scrollHeight`), colours);
  await browser.value(`new Promise(resolve => setTimeout(resolve, 200))`);
  await browser.screenshot(`${shots}/${width}_${colours}.png`);
};

try {
  check(Buffer.byteLength(page) < 3e6, `the page must be smaller than 3 MB, it has ${Buffer.byteLength(page)} bytes`);
  const core = await pageCore(page);
  checkScenes(core);
  checkTraining(core);
  if (chromium) await checkPage();
  console.log(`${checks} checks hold`);
} catch (error) {
  console.error(`check.mjs: ${error.message}`);
  process.exitCode = 1;
}
