// The first part: conv2d and its transpose, on one small image.

const kFieldSides = { x: 7, w: 4, g: 27 };
const kFieldNumbers = { x: 0, w: 1, g: 2 };

// The sliders: what each stands for at each of its places.
const kPaddings = [['valid', 0], ['same', -1], ['full', -2], ['1', 1], ['2', 2], ['3', 3]];
const kOutputPaddings = [['none', -1], ['0', 0], ['1', 1], ['2', 2]];
const numbers = (low, high) => Array.from({ length: high - low + 1 }, (_, i) => [String(low + i), low + i]);
const kSliders = [
  { name: 'size', label: 'input size', places: numbers(2, 7) },
  { name: 'kernel', label: 'kernel', places: numbers(1, 4) },
  { name: 'stride', label: 'stride', places: numbers(1, 3) },
  { name: 'padding', label: 'padding', places: kPaddings },
  { name: 'dilation', label: 'dilation', places: numbers(1, 2) },
  { name: 'output_padding', label: 'output_padding', places: kOutputPaddings },
];

const kPlain = { transpose: false, size: 4, kernel: 3, stride: 1, padding: 0, dilation: 1, output_padding: -1 };
const kExamples = [
  { label: 'a 4 × 4 image, a 3 × 3 kernel', settings: {}, x: [[1, 0, 2, 1], [3, 1, 0, 2], [0, 2, 1, 1], [2, 1, 3, 0]], w: [[1, 2, 3], [4, 5, 6], [7, 8, 9]] },
  { label: 'SAME, stride 2', settings: { size: 5, stride: 2, padding: -1 } },
  { label: 'upsampling: stamps side by side', settings: { transpose: true, size: 3, kernel: 2, stride: 2, padding: -1 },
    x: [[0, 0, 1.5], [0, 1, 0], [0, 0, 0]], w: [[1, 2], [3, 4]] },
  { label: 'why is the first number 67, not 603?', settings: { transpose: true, size: 2, stride: 2 },
    x: [[-67, -77], [-117, -127]], w: [[-1, 2, -3], [4, -5, 6], [-7, 8, -9]] },
  { label: 'output_padding is not padding', settings: { transpose: true, size: 3, stride: 2, padding: 1, output_padding: 1 } },
];

class Convolution {
  constructor(core) {
    this.core = core;
    this.settings = { ...kPlain };
    this.seed = 1;
    const choose = name => index => this.explain(name, index);
    this.grids = {};
    for (const name of ['x', 'w', 'g'])
      this.grids[name] = new Grid(name, {
        choose: choose(name), change: (index, value) => this.change(name, index, value), pick: index => this.pick(name, index),
      });
    for (const name of ['y', 'dx', 'dw']) this.grids[name] = new Grid(name, { choose: choose(name) });
    for (const name of ['stamp', 'sum']) this.grids[name] = new Grid(name, { choose: choose(name), share: 2 });
    this.matrices = { C: new Matrix('C', choose('C')), Ct: new Matrix('Ct', choose('Ct')) };
    const place = (id, ...names) => document.getElementById(id).append(...names.map(name => this.grids[name].element));
    place('forward', 'x', 'w', 'y');
    place('backward', 'g', 'dx', 'dw');
    this.thumbs = el('div', { className: 'thumbs', data: { role: 'group', 'aria-label': 'The stamp of each pixel' } });
    this.gallery = el('div', { className: 'plane' }, el('div', { innerHTML: '<b>each pixel’s stamp</b>' }), this.thumbs);
    document.getElementById('stamps').append(this.gallery);
    place('stamps', 'stamp', 'sum');
    document.getElementById('matrices').append(this.matrices.C.element, this.matrices.Ct.element);
    this.makeControls();
    this.core.fill(this.seed);
    this.start(kExamples[0]);
  }

  makeControls() {
    this.sliders = {};
    for (const slider of kSliders) {
      const input = el('input', { type: 'range', id: slider.name, min: 0, max: slider.places.length - 1, step: 1 });
      const output = el('output', { htmlFor: slider.name });
      const label = el('label', { className: 'slider', htmlFor: slider.name }, el('span', { textContent: slider.label }), output, input);
      input.addEventListener('input', () => this.set({ [slider.name]: slider.places[input.value][1] }));
      document.getElementById('sliders').append(label);
      this.sliders[slider.name] = { ...slider, input, output, label };
    }
    this.radios = [...document.querySelectorAll('[name=function]')];
    for (const radio of this.radios) radio.addEventListener('change', () => this.set({ transpose: radio.value === '1' }));
    const examples = document.getElementById('examples');
    for (const example of kExamples) {
      const button = el('button', { type: 'button', textContent: example.label });
      button.addEventListener('click', () => this.start(example));
      examples.append(button);
    }
    const other = el('button', { type: 'button', id: 'other', textContent: 'other numbers, at random' });
    other.addEventListener('click', () => {
      this.core.fill(++this.seed);
      this.compute();
    });
    examples.append(other);
    for (const [id, by] of [['less', -1], ['more', 1]])
      document.getElementById(id).addEventListener('click', () => {
        const { name, index } = this.picked;
        this.explained = this.picked;
        this.change(name, index, this.scene[name].values[index] + by);
      });
    document.getElementById('stamp').addEventListener('input', event => this.stampTo(Number(event.target.value) - 1));
  }

  start(example) {
    for (const name of ['x', 'w'])
      example[name]?.forEach((row, i) => row.forEach((value, j) => this.core.setField(kFieldNumbers[name], i * kFieldSides[name] + j, value)));
    this.explained = this.picked = undefined;
    this.set({ ...kPlain, ...example.settings });
  }

  set(changed) {
    Object.assign(this.settings, changed);
    for (const { name, places, input, output } of Object.values(this.sliders)) {
      const at = places.findIndex(([, value]) => value === this.settings[name]);
      input.value = at;
      output.textContent = places[at][0];
      input.setAttribute('aria-valuetext', places[at][0]);
    }
    const { input, output, label } = this.sliders.output_padding;
    label.classList.toggle('off', !this.settings.transpose);
    input.disabled = !this.settings.transpose;
    if (!this.settings.transpose) output.textContent = '–';
    label.title = this.settings.transpose ? '' : 'conv2d_transpose alone has it';
    for (const radio of this.radios) radio.checked = (radio.value === '1') === this.settings.transpose;
    this.compute();
  }

  change(name, index, value) {
    const { columns } = this.scene[name];
    this.core.setField(kFieldNumbers[name], Math.floor(index / columns) * kFieldSides[name] + index % columns, value);
    this.compute();
  }

  // ---- what the library says, drawn

  compute() {
    const scene = this.core.scene(this.settings), refused = document.getElementById('refused');
    refused.hidden = !scene.error;
    refused.textContent = scene.error ? `The library refuses this: ${scene.error}` : '';
    document.getElementById('results').hidden = Boolean(scene.error);
    document.getElementById('forward-figure').hidden = document.getElementById('explanation').hidden = Boolean(scene.error);
    this.scene = scene;
    if (scene.error) return;
    this.title();
    const wrong = document.getElementById('wrong');
    wrong.hidden = scene.wrong.length === 0 && scene.claims.every(claim => claim.holds);
    wrong.textContent = `An error of this page or of the library: ${scene.wrong.slice(0, 3).join('; ') || 'two ways to the same numbers differ'}`;
    this.index();
    this.drawGrids();
    this.drawStamps();
    this.drawMatrices();
    this.drawClaims();
    const { name, index } = this.explained ?? { name: 'y', index: 0 };
    const count = name === 'C' || name === 'Ct' ? scene.C.values.length : this.grids[name].plane.values.length;
    this.explain(name, Math.min(index, count - 1));
    this.pick(this.picked?.name, this.picked?.index);
  }

  // The number that the two buttons change: the one that was clicked, or had the focus, last.
  pick(name, index) {
    const value = this.scene[name]?.values[index];
    this.picked = value === undefined ? undefined : { name, index };
    document.getElementById('change').hidden = !this.picked;
    document.getElementById('picked').textContent = this.picked ? `${this.grids[name].label(index)} = ${format(value)}` : '';
    for (const key of ['x', 'w', 'g']) this.grids[key].list.forEach((cell, at) => cell.classList.toggle('picked', key === name && at === index && Boolean(this.picked)));
  }

  title() {
    const call = this.settings.transpose ? 'conv2d_transpose' : 'conv2d';
    document.getElementById('forward-title').textContent = `Forward: y = ${call}(x, w)`;
    document.getElementById('backward-title').textContent = 'Backward: from the gradient g of y to the gradients of x and w';
  }

  // Which product belongs to what: for each number of each side, the terms it occurs in.
  index() {
    const { terms, transpose } = this.scene;
    this.terms = [];
    for (let i = 0; i < terms.length; i += 3) {
      const [image, map, tap] = terms.slice(i, i + 3);
      this.terms.push({ x: transpose ? map : image, y: transpose ? image : map, w: tap, image, map });
    }
  }

  drawGrids() {
    const { scene, grids } = this, t = scene.transpose;
    grids.x.show(scene.x, 'x', 'the input', 'x, the input');
    grids.w.show(scene.w, 'w', 'the kernel', 'w, the kernel');
    grids.y.show(scene.y, 'y', t ? '= Cᵀ x' : '= C x', 'y, the result');
    grids.g.show(scene.g, 'g', 'the gradient of y', 'g, the gradient of y');
    grids.dx.show(scene.dx, 'dx', t ? '= C g' : '= Cᵀ g', 'dx, the gradient of x');
    grids.dw.show(scene.dw, 'dw', 'the gradient of w', 'dw, the gradient of w');
    const { rows } = scene[t ? 'y' : 'x'], { rows: maps } = scene[t ? 'x' : 'y'], { top, bottom } = scene.geometry;
    const { kernel, stride, dilation } = this.settings, wide = (kernel - 1) * dilation + 1;
    const size = `⌊(${rows} + ${top} + ${bottom} − ${wide}) / ${stride}⌋ + 1 = ${maps}`.replaceAll(' ', '\u00a0');
    const reach = dilation > 1 ? ` (the kernel reaches over ${wide} pixels)` : '';
    document.getElementById('forward-text').textContent = t
      ? `Each pixel of x stamps the kernel, times its own value, onto y; neighbouring stamps are ${stride} apart and add up. The size of y is one from which conv2d leads back to x: ${size}${reach}.`
      : `Each pixel of y is a window of x, multiplied with the kernel tap by tap, and added up. The kernel is not turned. The size: ${size}${reach}.`;
    document.getElementById('backward-text').textContent = t
      ? 'The gradient of a transposed convolution is a plain convolution: dx = conv2d(g, w). Change g, and see what follows.'
      : 'The gradient of a convolution is a transposed convolution: dx = conv2d_transpose(g, w). Change g, and see what follows.';
  }

  drawStamps() {
    const t = this.scene.transpose, from = t ? 'x' : 'g', to = t ? 'y' : 'dx', { rows, columns, values } = this.scene[from];
    document.getElementById('stamps-title').textContent = `Stamps: how ${to} comes from ${from}`;
    document.getElementById('stamps-text').textContent = t
      ? 'This is conv2d_transpose, one pixel after the other. Where stamps overlap, they add up; what reaches beyond the edge is cut off.'
      : 'The gradient dx is conv2d_transpose of g: each pixel of g stamps the kernel onto dx. Where stamps overlap, they add up.';
    const slider = document.getElementById('stamp');
    slider.max = values.length;
    slider.value = values.length;
    this.gallery.hidden = values.length > 36;
    this.thumbs.style.setProperty('--columns', columns);
    this.thumbs.replaceChildren();
    if (!this.gallery.hidden) values.forEach((_, at) => this.thumbs.append(this.thumb(at, rows)));
    this.stampTo(values.length - 1);
  }

  thumb(at, rows) {
    const { stamp } = this.core.stamps(at), canvas = el('canvas');
    const room = Math.min(320, this.gallery.parentElement.clientWidth) / rows - 15;
    const side = Math.max(1, Math.min(14, Math.floor(room / stamp.columns)));
    const context = prepare(canvas, stamp.columns * side, stamp.rows * side), most = largest(this.scene[this.scene.transpose ? 'y' : 'dx'].values);
    stamp.values.forEach((value, i) => {
      context.fillStyle = value === 0 ? colour('--grid') : tint(value, Math.max(most, Math.abs(value)));
      context.fillRect(i % stamp.columns * side, Math.floor(i / stamp.columns) * side, side - (side > 3 ? 1 : 0), side - (side > 3 ? 1 : 0));
    });
    const from = this.grids[this.scene.transpose ? 'x' : 'g'];
    const button = el('button', { type: 'button', data: { 'aria-label': `the stamp of ${from.label(at)}` } }, canvas);
    button.addEventListener('click', () => this.stampTo(at));
    return button;
  }

  stampTo(last) {
    const t = this.scene.transpose, from = this.grids[t ? 'x' : 'g'], to = t ? 'y' : 'dx', count = from.plane.values.length;
    const { stamp, so_far } = this.core.stamps(last);
    this.stamped = last;
    document.getElementById('stamp').value = last + 1;
    document.getElementById('stamp-value').textContent = `${last + 1} of ${count}`;
    this.grids.stamp.show(stamp, `${from.label(last)} · w`, 'the stamp laid last', `the stamp of ${from.label(last)}`);
    this.grids.sum.show(so_far, last + 1 === count ? `all stamps = ${to}` : `${last + 1} of ${count} stamps`, 'added up', 'the sum of the stamps laid so far');
    [...this.thumbs.children].forEach((button, at) => button.setAttribute('aria-pressed', at === last));
    if (this.explained?.name === 'stamp' || this.explained?.name === 'sum') this.explain(this.explained.name, this.explained.index);
  }

  drawMatrices() {
    const { C, transpose: t, x, y } = this.scene, maps = t ? x : y, image = t ? y : x, map = t ? 'x' : 'y', pixel = t ? 'y' : 'x';
    document.getElementById('matrix-text').textContent = t
      ? 'C belongs to the conv2d that leads from y back to x: one row for each pixel of x, one column for each pixel of y. A transposed convolution multiplies by Cᵀ, and its gradient by C.'
      : 'One row for each pixel of y, one column for each pixel of x; where a tap joins the two, its value, and zeros elsewhere. A convolution multiplies by C, and its gradient by Cᵀ.';
    const turned = Array.from({ length: C.values.length }, (_, i) => C.values[i % C.rows * C.columns + Math.floor(i / C.rows)]);
    const taps = new Set(this.terms.map(term => term.map * C.columns + term.image));
    const tapsTurned = new Set(this.terms.map(term => term.image * C.rows + term.map));
    this.matrices.C.show({ ...C, taps, blocks: [maps.columns, image.columns], title: 'C', note: `${C.rows} × ${C.columns}: a row for each pixel of ${map}, a column for each of ${pixel}` });
    this.matrices.Ct.show({ rows: C.columns, columns: C.rows, values: turned, taps: tapsTurned, blocks: [image.columns, maps.columns], title: 'Cᵀ', note: `${C.columns} × ${C.rows}: the same, turned over` });
  }

  drawClaims() {
    const { claims, identity } = this.scene;
    document.getElementById('claims').replaceChildren(...claims.map(({ text, holds }) => el('li', { textContent: text, className: String(holds) })));
    const [a, b, c] = identity.map(format);
    document.getElementById('identity').textContent =
      `And the one fact behind it all: ⟨y, g⟩ = ${a}, ⟨x, dx⟩ = ${b}, ⟨w, dw⟩ = ${c}: three times the same sum of products x · w · g, sorted by y, by x and by w. So each map is the derivative of the others.`;
  }

  // ---- a number, explained by its terms

  // What a number is made of: its value, the planes of its factors, and its terms.
  made(name, index) {
    const { scene } = this, t = scene.transpose, from = t ? 'x' : 'g', side = t ? 'y' : 'x';
    const sums = {
      y: { at: 'y', factors: [['x', 'x'], ['w', 'w']], plane: scene.y },
      dx: { at: 'x', factors: [['g', 'y'], ['w', 'w']], plane: scene.dx },
      dw: { at: 'w', factors: [['x', 'x'], ['g', 'y']], plane: scene.dw },
      stamp: { at: side, factors: [[from, t ? 'x' : 'y'], ['w', 'w']], only: map => map === this.stamped },
      sum: { at: side, factors: [[from, t ? 'x' : 'y'], ['w', 'w']], only: map => map <= this.stamped },
    };
    const sum = sums[name];
    return sum && { ...sum, terms: this.terms.filter(term => term[sum.at] === index && (sum.only?.(term.map) ?? true)) };
  }

  explain(name, index) {
    if (!this.scene || this.scene.error) return;
    this.explained = { name, index };
    const marks = {}, made = this.made(name, index);
    let parts;
    if (made) parts = this.explainSum(name, index, made, marks);
    else if (name === 'C' || name === 'Ct') parts = this.explainEntry(name, index, marks);
    else parts = this.explainInput(name, index, marks);
    for (const [key, grid] of Object.entries(this.grids)) grid.mark(key === name ? index : undefined, marks[key]);
    const { rows, columns } = this.scene.C, turn = i => i % columns * rows + Math.floor(i / columns);
    const { row, column, cells = [] } = marks.C ?? {};
    this.matrices.C.highlight(name === 'C' ? index : undefined, { row, column, cells });
    this.matrices.Ct.highlight(name === 'Ct' ? index : undefined, { row: column, column: row, cells: cells.map(turn) });
    document.getElementById('explanation-text').replaceChildren(...parts);
  }

  head(what, value, text) {
    return el('p', {}, el('span', { className: 'value', textContent: `${what} = ${format(value)}` }), text);
  }

  termsOf(list, total) {
    const chips = list.flatMap(({ numbers: upper, names }, i) => [
      ...(i ? [el('span', { textContent: '+' })] : []),
      el('span', { className: 'term' }, el('span', { textContent: upper }), ' ', el('small', { textContent: names })),
    ]);
    return el('div', { className: 'terms' }, ...chips, ...(total === undefined ? [] : [el('span', { textContent: `= ${format(total)}` })]));
  }

  explainSum(name, index, { at, factors, terms }, marks) {
    const { scene } = this, t = scene.transpose, grid = this.grids[name];
    const [[a, atA], [b, atB]] = factors;
    marks[a] = new Set(terms.map(term => term[atA]));
    marks[b] = new Set(terms.map(term => term[atB]));
    if (name === 'y' || name === 'dx') {
      const image = (name === 'y') === t;
      marks.C = { [image ? 'column' : 'row']: index, cells: terms.map(term => term.map * scene.C.columns + term.image) };
    } else if (name === 'dw') {
      marks.C = { cells: terms.map(term => term.map * scene.C.columns + term.image) };
    }
    const value = grid.plane.values[index], label = name === 'stamp' || name === 'sum' ? this.grids[at].label(index) : grid.label(index);
    const taps = scene.w.values.length, missing = taps - terms.length;
    const gathers = `a window of ${a}, times the kernel${missing ? `; ${missing} of ${taps} taps lie beyond the edge` : ''}`;
    const stamped = terms.length ? `what the ${terms.length === 1 ? `stamp of one pixel of ${a} leaves` : `stamps of ${terms.length} pixels of ${a} leave`} here` : `no stamp of ${a} reaches this pixel`;
    const text = {
      y: t ? stamped : gathers,
      dx: t ? gathers : terms.length ? `each pixel of y that x[…] went into, its gradient times the tap between the two`.replace('x[…]', this.grids.x.label(index)) : 'no window reads this pixel, so nothing depends on it',
      dw: `the ${terms.length} ${terms.length === 1 ? 'product' : 'products'} that this tap took part in: x times the gradient of y`,
      stamp: terms.length ? 'the pixel times one tap' : 'this stamp does not reach here',
      sum: terms.length ? `the stamps laid so far` : 'no stamp was laid here yet',
    }[name];
    const what = name === 'stamp' ? `stamp at ${label}` : name === 'sum' ? `sum at ${label}` : label;
    return [this.head(what, value, `: ${text}.`), this.termsOf(terms.map(term => ({
      numbers: `${format(scene[a].values[term[atA]])} · ${bracketed(scene[b].values[term[atB]])}`,
      names: `${this.grids[a].label(term[atA])} ${this.grids[b].label(term[atB])}`,
    })), value)];
  }

  explainEntry(name, index, marks) {
    const { scene } = this, t = scene.transpose, { rows, columns, values } = scene.C;
    const at = name === 'C' ? index : index % rows * columns + Math.floor(index / rows);
    const map = Math.floor(at / columns), image = at % columns;
    const term = this.terms.find(one => one.map === map && one.image === image);
    const [maps, images] = t ? ['x', 'y'] : ['y', 'x'];
    marks[maps] = new Set([map]);
    marks[images] = new Set([image]);
    marks.C = { cells: [at] };
    if (term) marks.w = new Set([term.w]);
    const place = name === 'C' ? `C[${map}, ${image}]` : `Cᵀ[${image}, ${map}]`;
    const from = this.grids[maps].label(map), to = this.grids[images].label(image);
    const text = term
      ? `: tap ${this.grids.w.label(term.w)} joins ${from} and ${to}.`
      : `: no tap joins ${from} and ${to}.`;
    return [this.head(place, values[at], text)];
  }

  // An input: where it goes.
  explainInput(name, index, marks) {
    const { scene } = this, t = scene.transpose, value = scene[name].values[index], label = this.grids[name].label(index);
    const hint = 'Keys: 0 to 9, + and −, arrows to move.';
    const at = { x: 'x', w: 'w', g: 'y' }[name], terms = this.terms.filter(term => term[at] === index);
    const list = keys => [...new Set(terms.map(term => term[keys]))];
    if (name === 'x') {
      marks.y = new Set(list('y'));
      marks.w = new Set(list('w'));
      marks.C = { [t ? 'row' : 'column']: index, cells: [] };
    } else if (name === 'w') {
      marks.x = new Set(list('x'));
      marks.y = new Set(list('y'));
      marks.C = { cells: terms.map(term => term.map * scene.C.columns + term.image) };
    } else {
      marks.y = new Set([index]);
      marks.dx = new Set(list('x'));
      marks.w = new Set(list('w'));
    }
    const count = terms.length, times = count === 1 ? 'once' : `${count} times`;
    const text = {
      x: t ? `: it stamps the kernel, times ${format(value)}, onto y.` : count ? `: it goes into ${count} ${count === 1 ? 'pixel' : 'pixels'} of y, each time with another tap.` : ': no window reads it.',
      w: `: this tap is used ${times}, each time between another pair of pixels of x and y.`,
      g: `: how much the loss grows with ${this.grids.y.label(index)}.`,
    }[name];
    const goes = name === 'g' ? 'dx' : 'y', keys = name === 'g' ? 'x' : 'y';
    return [this.head(label, value, `${text} ${hint}`), this.termsOf(name === 'w' ? terms.map(term => ({
      numbers: `${format(scene.x.values[term.x])} · ${bracketed(value)}`, names: `${this.grids.x.label(term.x)}, in ${this.grids.y.label(term.y)}`,
    })) : terms.map(term => ({
      numbers: `${format(value)} · ${bracketed(scene.w.values[term.w])}`, names: `${this.grids.w.label(term.w)}, in ${this.grids[goes].label(term[keys])}`,
    })))];
  }

  // After the window or the colours have changed.
  redraw() {
    if (!this.scene || this.scene.error) return;
    for (const grid of Object.values(this.grids)) grid.fit();
    for (const matrix of Object.values(this.matrices)) matrix.draw();
    const at = this.stamped;
    this.drawStamps();
    this.stampTo(at);
  }
}
