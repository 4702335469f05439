// Runs an ONNX file in the onnxruntime-node of a folder: frames on stdin and stdout, each a length, JSON, then the float32 data.
// node node_session.js <folder of onnxruntime-node> <model.onnx>
'use strict';
const fs = require('fs');
const ort = require(process.argv[2]);

function read(n) {
  const buffer = Buffer.alloc(n);
  let at = 0;
  while (at < n) {
    const got = fs.readSync(0, buffer, at, n - at, null);
    if (got === 0) return null;
    at += got;
  }
  return buffer;
}

function write(buffer) {
  let at = 0;
  while (at < buffer.length) at += fs.writeSync(1, buffer, at);
}

function send(header, data) {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  write(Buffer.concat([length, text, ...data]));
}

async function main() {
  const session = await ort.InferenceSession.create(process.argv[3], { intraOpNumThreads: 1 });
  send({ inputs: session.inputNames, outputs: session.outputNames }, []);
  for (;;) {
    const length = read(4);
    if (length === null) return;
    const header = JSON.parse(read(length.readUInt32LE()).toString());
    const feeds = {};
    for (const { name, dims } of header.inputs) {
      const bytes = read(4 * dims.reduce((a, b) => a * b, 1));
      const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
      feeds[name] = new ort.Tensor('float32', data, dims);
    }
    const found = await session.run(feeds);
    const tensors = header.outputs.map((name) => found[name]);
    const data = tensors.map((t) => Buffer.from(t.data.buffer, t.data.byteOffset, 4 * t.data.length));
    send({ outputs: header.outputs.map((name, i) => ({ name, dims: tensors[i].dims })) }, data);
  }
}

main().catch((error) => {
  process.stderr.write(`${error.message || error}\n`);
  process.exit(1);
});
