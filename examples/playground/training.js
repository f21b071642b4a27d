// The second part: the autoencoder, trained while one looks on.

const kSeed = 1, kBatch = 32, kShown = 10, kTested = 100;

class Training {
  constructor(core) {
    this.core = core;
    this.get = id => document.getElementById(id);
    this.pairs = Array.from({ length: kShown }, () => [0, 1].map(() => el('canvas', { width: 28, height: 28 })));
    this.get('pictures').append(...this.pairs.map(pair => el('div', {}, ...pair)));
    this.get('start').addEventListener('click', () => (this.running ? this.pause() : this.run()));
    this.get('one-step').addEventListener('click', () => {
      this.pause();
      this.times = [];
      this.step();
      this.show();
    });
    this.get('reset').addEventListener('click', () => this.reset());
    this.get('rate').addEventListener('input', () => this.setRate());
    this.reset();
  }

  get rate() {
    return Number((10 ** Number(this.get('rate').value)).toPrecision(2));
  }

  setRate() {
    this.get('rate-value').textContent = this.rate;
    this.get('rate').setAttribute('aria-valuetext', this.rate);
    this.core.setLearningRate(this.rate);
  }

  reset() {
    this.pause();
    const begun = this.core.train(kSeed, kBatch, this.rate);
    this.refuse(begun.error);
    this.losses = [];
    this.means = [];
    this.times = [];
    this.get('summary').textContent = begun.summary ?? '';
    this.setRate();
    this.show();
  }

  refuse(message) {
    this.get('training-refused').hidden = !message;
    this.get('training-refused').textContent = message ? `Training has stopped: ${message}` : '';
    if (message) this.pause();
  }

  run() {
    this.running = true;
    this.times = [];
    this.get('start').textContent = 'Pause';
    requestAnimationFrame(() => this.frame());
  }

  pause() {
    if (this.running) this.show();
    this.running = false;
    this.get('start').textContent = this.losses?.length ? 'Go on' : 'Start';
  }

  step() {
    const begin = performance.now(), loss = this.core.step();
    if (!Number.isFinite(loss)) {
      this.refuse(this.core.error() || `the loss is ${loss}: a smaller learning rate helps. Reset begins anew`);
      return false;
    }
    this.losses.push(loss);
    const last = this.losses.slice(-20);
    this.means.push(last.reduce((sum, one) => sum + one, 0) / last.length);
    this.times.push([begin, performance.now()]);
    if (this.times.length > 40) this.times.shift();
    return true;
  }

  // As many steps as fit between two frames, and at least one: the page stays alive.
  frame() {
    if (!this.running) return;
    const begin = performance.now();
    do {
      if (!this.step()) return;
    } while (performance.now() - begin < 12);
    if (!this.shown || performance.now() - this.shown > 300) this.show();
    requestAnimationFrame(() => this.frame());
  }

  show() {
    this.shown = performance.now();
    const steps = this.losses.length;
    this.get('steps').textContent = steps;
    this.get('loss').textContent = steps ? this.means[steps - 1].toFixed(4) : '–';
    this.get('test-loss').textContent = this.core.testLoss(kTested).toFixed(4);
    const spent = this.times.length > 1 ? this.times.at(-1)[1] - this.times[0][0] : 0;
    const speed = spent ? 1000 * this.times.length / spent : 0;
    this.get('speed').textContent = speed ? speed.toFixed(speed < 10 ? 1 : 0) : '–';
    this.get('images').textContent = speed ? Math.round(speed * kBatch) : '–';
    this.draw();
  }

  draw() {
    drawCurve(this.get('curve'), this.losses, this.means);
    this.get('curve').setAttribute('aria-label', this.losses.length ? `The loss after ${this.losses.length} steps: ${this.means.at(-1).toFixed(4)}` : 'The loss of each step: none yet');
    const pixels = this.core.pictures(kShown);
    if (!pixels) return this.refuse(this.core.error());
    const paper = rgbOf('--card'), ink = rgbOf('--ink');
    this.pairs.forEach((pair, digit) => pair.forEach((canvas, which) => {
      const context = canvas.getContext('2d'), image = context.createImageData(28, 28);
      const first = (which * kShown + digit) * 784;
      for (let i = 0; i < 784; ++i) {
        for (let c = 0; c < 3; ++c) image.data[4 * i + c] = paper[c] + (ink[c] - paper[c]) * pixels[first + i];
        image.data[4 * i + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    }));
  }
}

// A colour of the style sheet, #rrggbb or #rgb, as three numbers.
const rgbOf = name => {
  const digits = colour(name).slice(1), full = digits.length === 3 ? [...digits].map(digit => digit + digit).join('') : digits;
  return [0, 2, 4].map(at => parseInt(full.slice(at, at + 2), 16));
};
