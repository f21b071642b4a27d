// What the page draws: grids of numbers, matrices, and the curve of the loss. Nothing here computes a number.

const el = (tag, properties = {}, ...children) => {
  const { data, ...others } = properties;
  const element = Object.assign(document.createElement(tag), others);
  for (const [name, value] of Object.entries(data ?? {})) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// A minus sign as wide as a plus; at most four digits of what is no whole number.
const format = value => (Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)))).replace('-', '−');
const bracketed = value => (value < 0 ? `(${format(value)})` : format(value));

const largest = values => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
const share = (value, most) => (value === 0 ? 0 : 0.1 + 0.45 * Math.abs(value) / most);
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const tint = (value, most) => `rgb(${colour(value < 0 ? '--warm' : '--accent')} / ${share(value, most)})`;

// A canvas of this many CSS pixels, sharp on any screen: its context.
const prepare = (canvas, width, height) => {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  return context;
};

const kMoves = {
  ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
  Home: [0, -Infinity], End: [0, Infinity], PageUp: [-Infinity, 0], PageDown: [Infinity, 0],
};

// Where a key leads from number `at` of a table; undefined for other keys.
const moved = (event, at, rows, columns) => {
  const move = kMoves[event.key];
  if (!move || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  const clamp = (value, size) => Math.max(0, Math.min(size - 1, value));
  return clamp(Math.floor(at / columns) + move[0], rows) * columns + clamp(at % columns + move[1], columns);
};

// A grid of numbers. One of its cells is in the order of Tab; arrow keys go from cell to cell.
class Grid {
  // share: how many such grids should fit beside each other where they are large.
  // choose(index) is called for the cell under the pointer, and for the one with the focus; change(index, value) edits one, and
  // pick(index) is called for the one that can be edited now.
  constructor(name, { choose, change, pick, share: among = 1 }) {
    this.pick = pick;
    this.among = among;
    this.name = name;
    this.choose = choose;
    this.change = change;
    this.at = 0;
    this.title = el('div');
    this.cells = el('div', { className: `cells${change ? ' editable' : ''}`, data: { role: 'grid', id: `grid-${name}` } });
    this.element = el('div', { className: 'plane' }, this.title, this.cells);
    const indexOf = event => event.target.closest('[role=gridcell]')?.dataset.index;
    this.cells.addEventListener('pointerover', event => {
      const index = indexOf(event);
      if (index !== undefined && event.pointerType === 'mouse') this.choose(Number(index));
    });
    this.cells.addEventListener('focusin', event => this.enter(Number(indexOf(event))));
    this.cells.addEventListener('click', event => {
      const index = indexOf(event);
      if (index !== undefined) this.focus(Number(index));
    });
    this.cells.addEventListener('keydown', event => this.press(event));
  }

  show(plane, title, note, label) {
    const same = this.plane && this.plane.rows === plane.rows && this.plane.columns === plane.columns;
    const focused = this.cells.contains(document.activeElement);
    this.plane = plane;
    this.title.replaceChildren(el('b', { textContent: title }), ' ', el('small', { textContent: note }));
    this.cells.setAttribute('aria-label', `${label}, ${plane.rows} × ${plane.columns}${this.change ? ', can be changed' : ''}`);
    if (!same) this.build();
    const most = largest(plane.values);
    this.list.forEach((cell, index) => {
      const value = plane.values[index], text = format(value);
      if (cell.textContent !== text) cell.textContent = text;
      cell.dataset.sign = Math.sign(value);
      cell.style.setProperty('--hue', `var(${value < 0 ? '--warm' : '--accent'})`);
      cell.style.setProperty('--share', share(value, most).toFixed(3));
      cell.setAttribute('aria-label', `${this.label(index)} = ${text}`);
    });
    this.fit();
    if (!same && focused) this.focus(this.at);
  }

  build() {
    const { rows, columns } = this.plane;
    this.list = [];
    this.at = Math.min(this.at, rows * columns - 1);
    const lines = Array.from({ length: rows }, (_, row) => el('div', { data: { role: 'row' } },
      ...Array.from({ length: columns }, (__, column) => {
        const index = row * columns + column;
        const cell = el('div', { tabIndex: index === this.at ? 0 : -1, data: { role: 'gridcell', 'data-index': index } });
        this.list.push(cell);
        return cell;
      })));
    this.cells.replaceChildren(...lines);
  }

  // Cells as large as the longest number needs, and smaller, without numbers, where there is no room for that.
  fit() {
    const room = this.element.parentElement.clientWidth - 1;
    const longest = Math.max(...this.list.map(cell => cell.textContent.length));
    const needed = Math.max(30, Math.ceil(longest * 7.8 + 12));
    const wide = this.plane.columns > 12 && room > 600 ? room / this.among - 30 : room;
    const side = Math.min(needed, Math.floor((wide - 1) / this.plane.columns) - 1);
    this.cells.style.setProperty('--side', `${side}px`);
    this.cells.classList.toggle('blind', side < longest * 7.7 + 3);
  }

  label(index) {
    return `${this.name}[${Math.floor(index / this.plane.columns)}, ${index % this.plane.columns}]`;
  }

  enter(index) {
    this.list[this.at].tabIndex = -1;
    this.list[index].tabIndex = 0;
    this.at = index;
    this.choose(index);
    this.pick?.(index);
  }

  focus(index) {
    this.list[index].focus({ preventScroll: true });
    this.enter(index); // also where it had the focus before
  }

  press(event) {
    const { rows, columns, values } = this.plane;
    const to = moved(event, this.at, rows, columns);
    if (to !== undefined) {
      this.list[to].focus();
    } else if (this.change && /^[0-9]$/.test(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) {
      this.change(this.at, Number(event.key));
    } else if (this.change && (event.key === '+' || event.key === '=')) {
      this.change(this.at, values[this.at] + 1);
    } else if (this.change && (event.key === '-' || event.key === '−')) {
      this.change(this.at, values[this.at] - 1);
    } else {
      return;
    }
    event.preventDefault();
  }

  // chosen: the number that is explained, or undefined; terms: a Set of those it is made of.
  mark(chosen, terms) {
    this.list?.forEach((cell, index) => {
      cell.classList.toggle('chosen', index === chosen);
      cell.classList.toggle('term', Boolean(terms?.has(index)));
    });
  }
}

// A matrix on a canvas, as it may have tens of thousands of numbers. Arrow keys move a cursor.
class Matrix {
  constructor(name, choose) {
    this.choose = choose;
    this.at = 0;
    this.title = el('div');
    this.canvas = el('canvas');
    this.box = el('div', { className: 'scroll', tabIndex: 0, data: { role: 'application', 'aria-roledescription': 'matrix', id: `matrix-${name}` } }, this.canvas);
    this.more = el('small', { className: 'more' }); // many screens show no bar where something can be scrolled
    this.element = el('div', { className: 'matrix' }, this.title, this.box, this.more);
    this.canvas.addEventListener('pointermove', event => this.point(event));
    this.canvas.addEventListener('pointerdown', event => this.point(event));
    this.box.addEventListener('focus', () => this.choose(this.at));
    this.box.addEventListener('keydown', event => {
      const to = moved(event, this.at, this.rows, this.columns);
      if (to === undefined) return;
      this.at = to;
      this.choose(to);
      this.reveal();
      event.preventDefault();
    });
  }

  // taps: a Set of the numbers that are taps of the kernel; all others are 0, and faint.
  // blocks: [rows, columns] of the images whose pixels the rows and the columns stand for, for the lines between them.
  show({ rows, columns, values, taps, blocks, title, note }) {
    Object.assign(this, { rows, columns, values, taps, blocks });
    this.at = Math.min(this.at, rows * columns - 1);
    this.chosen = undefined;
    this.title.replaceChildren(el('b', { textContent: title }), ' ', el('small', { textContent: note }));
    this.box.setAttribute('aria-label', `${title}, ${note}`);
    this.draw();
  }

  draw() {
    const room = this.element.parentElement.clientWidth - 4;
    const { rows, columns, values, blocks } = this;
    const texts = values.map(format), longest = Math.max(...texts.map(text => text.length));
    const most = largest(values), needed = Math.max(22, longest * 7.7 + 6);
    this.side = Math.max(4, Math.min(needed, Math.floor(room / columns)));
    const side = this.side, context = prepare(this.canvas, columns * side + 1, rows * side + 1);
    context.fillStyle = colour('--card');
    context.fillRect(0, 0, columns * side + 1, rows * side + 1);
    values.forEach((value, index) => {
      if (value === 0) return;
      context.fillStyle = tint(value, most);
      context.fillRect(index % columns * side, Math.floor(index / columns) * side, side, side);
    });
    this.lines(context, blocks);
    if (side >= longest * 7.7 + 3) this.print(context, texts, values);
    this.mark(context);
    const { scrollWidth, clientWidth, scrollHeight, clientHeight } = this.box;
    const ways = [['to the right', scrollWidth > clientWidth], ['below', scrollHeight > clientHeight]].filter(([, more]) => more);
    this.more.textContent = ways.length ? `scroll: it goes on ${ways.map(([way]) => way).join(' and ')}` : '';
  }

  lines(context, blocks) {
    const { rows, columns, side } = this;
    const line = (x, y, width, height, strong) => {
      context.fillStyle = colour(strong ? '--soft' : '--grid');
      context.globalAlpha = strong ? 0.55 : 1;
      context.fillRect(x, y, width, height);
      context.globalAlpha = 1;
    };
    for (const strong of side < 8 ? [true] : [false, true]) {
      for (let row = 0; row <= rows; ++row)
        if ((row % blocks[0] === 0) === strong) line(0, row * side, columns * side + 1, 1, strong);
      for (let column = 0; column <= columns; ++column)
        if ((column % blocks[1] === 0) === strong) line(column * side, 0, 1, rows * side + 1, strong);
    }
  }

  print(context, texts, values) {
    context.font = `13px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    const ink = colour('--ink');
    values.forEach((_, index) => {
      context.globalAlpha = this.taps.has(index) ? 1 : 0.3;
      context.fillStyle = ink;
      context.fillText(texts[index], (index % this.columns + 0.5) * this.side, (Math.floor(index / this.columns) + 0.55) * this.side);
    });
    context.globalAlpha = 1;
  }

  // The rows, columns and cells that belong to what is explained, and the chosen cell.
  highlight(chosen, { row, column, cells } = {}) {
    const before = JSON.stringify([this.chosen, this.row, this.column, this.marked]);
    Object.assign(this, { chosen, row, column, marked: cells });
    if (before !== JSON.stringify([chosen, row, column, cells])) this.draw();
  }

  mark(context) {
    const { rows, columns, side } = this;
    const frame = (x, y, width, height, name, thick) => {
      context.strokeStyle = colour(name);
      context.lineWidth = thick;
      context.strokeRect(x * side + thick / 2, y * side + thick / 2, width * side + 1 - thick, height * side + 1 - thick);
    };
    for (const index of this.marked ?? []) frame(index % columns, Math.floor(index / columns), 1, 1, '--mark', side < 10 ? 1 : 2);
    if (this.row !== undefined) frame(0, this.row, columns, 1, '--mark', 2);
    if (this.column !== undefined) frame(this.column, 0, 1, rows, '--mark', 2);
    if (this.chosen !== undefined) frame(this.chosen % columns, Math.floor(this.chosen / columns), 1, 1, '--ink', 2.5);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / this.side), row = Math.floor((event.clientY - box.top) / this.side);
    if (row < 0 || column < 0 || row >= this.rows || column >= this.columns) return;
    const at = row * this.columns + column;
    if (at === this.chosen) return;
    this.at = at;
    this.choose(at);
  }

  reveal() {
    const { box, side } = this, x = this.at % this.columns * side, y = Math.floor(this.at / this.columns) * side;
    box.scrollLeft = Math.max(x + side - box.clientWidth + 8, Math.min(box.scrollLeft, x - 8));
    box.scrollTop = Math.max(y + side - box.clientHeight + 8, Math.min(box.scrollTop, y - 8));
  }
}

// Ticks 1, 2, 5 times a power of ten between two positive numbers.
const logTicks = (low, high) => {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); ++power)
    for (const digit of [1, 2, 5]) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) ticks.push(value);
    }
  return ticks;
};

const roundStep = span => {
  const power = 10 ** Math.floor(Math.log10(span));
  return [1, 2, 5, 10].map(digit => digit * power).find(step => span / step <= 1) ?? 10 * power;
};

// The losses of all steps, and their running mean, against the step; the loss on a logarithmic scale.
const drawCurve = (canvas, losses, means) => {
  const width = canvas.parentElement.clientWidth, height = Math.max(208, Math.min(304, width * 0.34));
  const context = prepare(canvas, width, height), left = 62, right = width - 12, top = 10, bottom = height - 44;
  context.font = `12.5px ${getComputedStyle(document.body).fontFamily}`;
  const low = Math.min(0.05, ...losses.slice(-4000)) * 0.9, high = Math.max(0.25, losses[0] ?? 0) * 1.1;
  const last = Math.max(50, losses.length);
  const x = step => left + (right - left) * step / last;
  const y = loss => bottom - (bottom - top) * Math.log(loss / low) / Math.log(high / low);
  context.textBaseline = 'middle';
  context.textAlign = 'right';
  for (const tick of logTicks(low, high)) {
    context.fillStyle = colour('--grid');
    context.fillRect(left, Math.round(y(tick)), right - left, 1);
    context.fillStyle = colour('--soft');
    context.fillText(String(tick), left - 8, y(tick));
  }
  context.textAlign = 'center';
  context.textBaseline = 'top';
  const step = roundStep(last / 5);
  for (let tick = 0; tick <= last; tick += step) context.fillText(String(tick), x(tick), bottom + 6);
  context.fillText('step', (left + right) / 2, bottom + 25);
  context.save();
  context.translate(9, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText('loss', 0, -6);
  context.restore();
  const line = (values, style, thick) => {
    const stride = Math.max(1, Math.floor(values.length / (2 * width)));
    context.beginPath();
    for (let i = 0; i < values.length; i += stride) context.lineTo(x(i + 1), y(Math.max(low, Math.min(high, values[i]))));
    context.strokeStyle = style;
    context.lineWidth = thick;
    context.lineJoin = 'round';
    context.stroke();
  };
  line(losses, `rgb(${colour('--accent')} / .45)`, 1);
  line(means, `rgb(${colour('--accent')})`, 2);
};
