// Starts the library, and the two parts of the page.

// The functions of playground.h, with JavaScript's values.
const coreOf = module => {
  const field = which => module._playground_field(which) / 8;
  const json = pointer => JSON.parse(module.UTF8ToString(pointer));
  return {
    fill: seed => module._playground_fill(seed),
    setField: (which, index, value) => { module.HEAPF64[field(which) + index] = value; },
    scene: s => json(module._playground_scene(Number(s.transpose), s.size, s.kernel, s.stride, s.padding, s.dilation, s.output_padding)),
    stamps: last => json(module._playground_stamps(last)),
    train: (seed, batch, rate) => json(module._playground_train(seed, batch, rate)),
    step: () => module._playground_step(),
    setLearningRate: rate => module._playground_set_learning_rate(rate),
    error: () => module.UTF8ToString(module._playground_error()),
    pictures: count => {
      const pointer = module._playground_pictures(count) / 4;
      return pointer ? module.HEAPF32.subarray(pointer, pointer + 2 * count * 784) : undefined;
    },
    testLoss: count => module._playground_test_loss(count),
  };
};

const unpack = async text => {
  const bytes = Uint8Array.from(atob(text.trim()), character => character.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
};

const start = async () => {
  const loading = document.getElementById('loading');
  try {
    const wasmBinary = await unpack(document.getElementById('wasm').textContent);
    const core = coreOf(await createPlayground({ wasmBinary }));
    for (const part of ['convolution', 'training']) document.getElementById(part).hidden = false;
    const convolution = new Convolution(core), training = new Training(core);
    loading.hidden = true;
    const redraw = () => {
      convolution.redraw();
      training.draw();
    };
    let width = window.innerWidth, waiting;
    window.addEventListener('resize', () => {
      if (window.innerWidth === width) return;
      width = window.innerWidth;
      cancelAnimationFrame(waiting);
      waiting = requestAnimationFrame(redraw);
    });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
    window.playground = { core, convolution, training }; // for the console, and for tests
  } catch (error) {
    loading.className = 'refused';
    loading.textContent = `This page cannot start: ${error.message ?? error}. It needs a browser of 2023 or later, with WebAssembly SIMD.`;
    throw error;
  }
};
start();
