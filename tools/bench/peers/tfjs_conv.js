// Times TensorFlow.js' convolutions, its wasm back end with SIMD and one thread, on the shapes of conv_shapes.csv.
//   node tfjs_conv.js FOLDER conv_shapes.csv [SECONDS]   (FOLDER: where npm put @tensorflow/tfjs-core and tfjs-backend-wasm)
// Prints what bench_conv prints (name,op,threads,ms_min,ms_median,gflops). What the back end has no kernel for is left out:
// gradients with respect to filters, and the gradient of a depthwise convolution.
'use strict';
const fs = require('fs');
const path = require('path');

const [folder, shapes, seconds = '0.2'] = process.argv.slice(2);
if (shapes === undefined) {
  console.error('usage: node tfjs_conv.js FOLDER conv_shapes.csv [SECONDS]');
  process.exit(2);
}
const modules = path.resolve(folder, 'node_modules', '@tensorflow');
const tf = require(path.join(modules, 'tfjs-core'));
const wasm = require(path.join(modules, 'tfjs-backend-wasm'));

function time(compute) {
  const run = () => compute().dispose();
  run();
  const times = [];
  for (const start = performance.now(); times.length < 5 || performance.now() - start < 1000 * seconds;) {
    const begin = performance.now();
    run();
    times.push(performance.now() - begin);
  }
  times.sort((a, b) => a - b);
  return {least: times[0], median: times[Math.floor(times.length / 2)]};
}

function operations(row) {
  const {n, h, w, c_in, c_out, kh, kw, stride, dilation, groups} = row;
  const pad = row.padding.toLowerCase();
  const x = tf.randomUniform([n, h, w, c_in], -1, 1);
  // The kernel of conv2dTranspose(), without the code around it: that of the gradient.
  const backprop = (dy, filter, inputShape) => tf.engine().runKernel(
      'Conv2DBackpropInput', {dy, filter}, {strides: stride, pad, dataFormat: 'NHWC', inputShape});
  if (groups > 1) {
    const filter = tf.randomUniform([kh, kw, c_in, c_out / groups], -1, 1);
    return {y: () => tf.depthwiseConv2d(x, filter, stride, pad, 'NHWC', dilation)};
  }
  if (row.kind === 'transpose') {
    const filter = tf.randomUniform([kh, kw, c_out, c_in], -1, 1);
    const shape = [n, h * stride, w * stride, c_out];  // of padding SAME, which all of the list have
    if (pad !== 'same') throw new Error(`${row.name}: padding must be SAME, got ${row.padding}`);
    const dy = tf.randomUniform(shape, -1, 1);
    return {y: () => backprop(x, filter, shape), dx: () => tf.conv2d(dy, filter, stride, pad, 'NHWC', dilation)};
  }
  const filter = tf.randomUniform([kh, kw, c_in, c_out], -1, 1);
  const y = () => tf.conv2d(x, filter, stride, pad, 'NHWC', dilation);
  const sample = y();
  const dy = tf.randomUniform(sample.shape, -1, 1);
  sample.dispose();
  if (dilation > 1) return {y};  // its gradient is refused
  return {y, dx: () => backprop(dy, filter, [n, h, w, c_in])};
}

async function main() {
  wasm.setWasmPaths(path.join(modules, 'tfjs-backend-wasm', 'dist') + path.sep);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  if (!await tf.setBackend('wasm') || !await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT')) throw new Error('no wasm with SIMD');
  console.log('name,op,threads,ms_min,ms_median,gflops');
  const [head, ...lines] = fs.readFileSync(shapes, 'utf8').trim().split('\n');
  const names = head.split(',');
  for (const line of lines) {
    const row = Object.fromEntries(line.split(',').map((cell, i) => [names[i], isNaN(cell) ? cell : Number(cell)]));
    tf.engine().startScope();
    const {y, dx} = operations(row);
    const sample = y();
    const positions = row.kind === 'transpose' ? row.n * row.h * row.w : sample.size / row.c_out;
    sample.dispose();
    const work = 2 * positions * row.kh * row.kw * row.c_in * row.c_out / row.groups;
    for (const [op, compute] of [['forward', y], ['grad_input', dx]]) {
      if (compute === undefined) continue;
      const {least, median} = time(compute);
      console.log(`${row.name},${op},1,${least.toFixed(4)},${median.toFixed(4)},${(work / least * 1e-6).toFixed(2)}`);
    }
    tf.engine().endScope();  // frees what the row took
  }
}
main().catch((error) => {
  console.error(`tfjs_conv.js: ${error.message}`);
  process.exit(1);
});
