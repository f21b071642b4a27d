// Runs models in ONNX Runtime, and compares what they compute with what was expected.
//   node onnx_proof.js FOLDER [FOLDER_OF_NODE_MODULES]
// FOLDER has a cases.json: [{name, model, runs: [{inputs: [tensor], outputs: [tensor]}]}], where a tensor is {name, type,
// shape, file}, and its file holds its elements, little-endian. Returns 77 where onnxruntime-node is not installed.
'use strict';
const fs = require('fs');
const path = require('path');

const [folder, modules] = process.argv.slice(2);
let ort;
try {
  ort = require(require.resolve('onnxruntime-node', {paths: [modules || process.cwd()]}));
} catch (error) {
  console.log(`onnxruntime-node is not installed: ${error.message.split('\n')[0]}`);
  process.exit(77);
}

const arrays = {float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array};

function elements(tensor) {
  const bytes = fs.readFileSync(path.join(folder, tensor.file));
  return new arrays[tensor.type](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

// The largest difference, as a part of 1 + the right number's size.
function difference(got, tensor) {
  const right = elements(tensor);
  if (got.type !== tensor.type || got.dims.join() !== tensor.shape.join())
    return `is ${got.type} [${got.dims}], not ${tensor.type} [${tensor.shape}]`;
  let worst = 0;
  for (let i = 0; i < right.length; ++i) {
    const [a, b] = [got.data[i], right[i]];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const off = Math.abs(a - b) / (1 + Math.abs(b));
    worst = Number.isNaN(off) ? Infinity : Math.max(worst, off);
  }
  return worst;
}

async function main() {
  const cases = JSON.parse(fs.readFileSync(path.join(folder, 'cases.json')));
  let failed = 0, runs = 0, worst = 0, where = '';
  for (const {name, model, runs: wanted} of cases) {
    try {
      const session = await ort.InferenceSession.create(path.join(folder, model), {logSeverityLevel: 3});
      for (const run of wanted) {
        const feeds = {};
        for (const x of run.inputs) feeds[x.name] = new ort.Tensor(x.type, elements(x), x.shape);
        const results = await session.run(feeds);
        for (const y of run.outputs) {
          const off = difference(results[y.name], y);
          if (typeof off === 'string') throw new Error(`'${y.name}' ${off}`);
          if (!(off <= 1e-5)) throw new Error(`'${y.name}' of shape [${y.shape}] differs by ${off}`);
          if (off > worst) [worst, where] = [off, name];
        }
        ++runs;
      }
      await session.release();
    } catch (error) {
      ++failed;
      console.log(`${name}: ${error.message}`);
    }
  }
  console.log(`ONNX Runtime ${ort.env.versions.node}: ${cases.length} models, ${runs} runs, largest difference ` +
              `${worst.toExponential(1)} (${where}), ${failed} failed`);
  process.exit(failed === 0 && runs > 0 ? 0 : 1);
}

main();
