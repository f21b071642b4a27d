// Times forward passes of ONNX models in ONNX Runtime: the counterpart of bench_inference, which writes the models.
//   node onnxruntime_inference.js FOLDER THREADS SECONDS FOLDER_OF_NODE_MODULES
// Prints a line for each model and batch: net,batch,threads,onnxruntime,us (the median).
'use strict';
const fs = require('fs');
const path = require('path');

const [folder, threads, seconds, modules] = process.argv.slice(2);
const ort = require(require.resolve('onnxruntime-node', {paths: [modules]}));

async function main() {
  for (const file of fs.readdirSync(folder).filter(name => name.endsWith('.onnx')).sort()) {
    const session = await ort.InferenceSession.create(
        path.join(folder, file), {intraOpNumThreads: Number(threads), interOpNumThreads: 1, logSeverityLevel: 3});
    const sizes = session.inputMetadata[0].shape.slice(1);
    for (const batch of [1, 128]) {
      const count = sizes.reduce((a, b) => a * b, batch);
      const feeds = {input: new ort.Tensor('float32', Float32Array.from({length: count}, Math.random), [batch, ...sizes])};
      const times = [];
      for (let i = 0; i < 3; ++i) await session.run(feeds);
      const end = performance.now() + 1000 * Number(seconds);
      while (times.length < 5 || performance.now() < end) {
        const began = performance.now();
        await session.run(feeds);
        times.push(1000 * (performance.now() - began));
      }
      times.sort((a, b) => a - b);
      console.log(`${path.parse(file).name},${batch},${threads},onnxruntime,${times[times.length >> 1].toFixed(1)}`);
    }
    await session.release();
  }
}

main();
