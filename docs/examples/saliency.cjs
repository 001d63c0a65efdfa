// Saliency maps of prepared inputs, by onnxruntime in JavaScript:
//     node saliency.cjs weights.onnx INPUTS maps.f32
// INPUTS is a folder with an array (F, ...) for each input, frames.npy, mel.npy and so on, F frames of one video;
// maps.f32 gets F maps of 32x32 float32. Needs: npm install onnxruntime-node

const fs = require("node:fs");
const path = require("node:path");
const ort = require("onnxruntime-node");

const CLIP = 2; // frames at most at a time; any number gives the same maps

/** An array of float32 or bool from NumPy's file. */
function readNpy(file) {
  const bytes = fs.readFileSync(file);
  const start = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, start);
  const [, kind, sizes] = header.match(/'descr': '(<f4|\|b1)', 'fortran_order': False, 'shape': \(([^)]*)\)/);
  const shape = sizes.split(",").filter((size) => size.trim()).map(Number);
  const data = new Uint8Array(bytes.subarray(start)).buffer; // a copy, as floats must lie on multiples of four
  return kind === "<f4"
    ? { type: "float32", shape, data: new Float32Array(data) }
    : { type: "bool", shape, data: new Uint8Array(data) };
}

/** Frames start..end of an array (F, ...) as a clip of one video, (1, T, ...). */
function clipOf({ type, shape, data }, start, end) {
  const [, ...rest] = shape;
  const size = rest.reduce((product, length) => product * length, 1);
  return new ort.Tensor(type, data.slice(start * size, end * size), [1, end - start, ...rest]);
}

/** The state before the first frame: zeros. */
function zeros({ type, shape }, faces) {
  const lengths = shape.map((length) => ({ B: 1, N: faces })[length] ?? length);
  const count = lengths.reduce((product, length) => product * length, 1);
  return new ort.Tensor(type, type === "bool" ? new Uint8Array(count) : new Float32Array(count), lengths);
}

/** After how many frames a state starts afresh, as the description in the file says; 0 is never. */
function periodOf(program) {
  const [, frames] = fs.readFileSync(program, "latin1").match(/"memory": "(?:reset|overlap)\/(\d+)"/) ?? [];
  if (frames === "1") throw new Error("a memory of 1 frame is not shown here");
  return frames ? Math.floor(Number(frames) / 2) : 0;
}

async function main(program, folder, output) {
  const session = await ort.InferenceSession.create(program);
  const [inputs, start] = [{}, {}];
  for (const { name } of session.inputMetadata.filter(({ name }) => !name.startsWith("carry_"))) {
    inputs[name] = readNpy(path.join(folder, `${name}.npy`));
  }
  for (const described of session.inputMetadata.filter(({ name }) => name.startsWith("carry_"))) {
    start[described.name] = zeros(described, inputs.face_mask?.shape[1]);
  }
  /** The maps of a clip, and the state after it. */
  async function run(clip, state) {
    const outputs = await session.run({ ...clip, ...state });
    const after = Object.keys(state).map((name) => [name, outputs[name.replace("carry_", "next_")]]);
    return [outputs.maps.data, Object.fromEntries(after)];
  }
  const [period, count] = [periodOf(program), inputs.frames.shape[0]];
  const maps = new Float32Array(count * 32 * 32);
  let [older, younger, shown] = [start, start];
  for (let first = 0, end; first < count; first = end) {
    end = Math.min(first + CLIP, count, period ? first - (first % period) + period : count);
    if (period && first % period === 0) [older, younger] = [younger, start];
    const clip = Object.fromEntries(Object.entries(inputs).map(([name, array]) => [name, clipOf(array, first, end)]));
    if (period) [, younger] = await run(clip, younger);
    [shown, older] = await run(clip, older);
    maps.set(shown, first * 32 * 32);
  }
  fs.writeFileSync(output, maps);
}

main(...process.argv.slice(2));
