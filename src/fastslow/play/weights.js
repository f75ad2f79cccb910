// Reads a model: a safetensors file of the library as it is, its numbers in 16 bits.
"use strict";

const HALVES = halfValues();

/** The value of each of the 65,536 numbers of 16 bits. */
function halfValues() {
  const values = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31;
    const share = bits & 1023;
    const size = exponent === 0 ? share * 2 ** -24 : (1 + share / 1024) * 2 ** (exponent - 15);
    values[bits] = bits & 32768 ? -size : size;
  }
  return values;
}

/** Bytes of base64. */
function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Base64 of bytes. */
function base64Of(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** What a model is (`config`) and its numbers by name (`tensors`), as 32 bits. */
function readModel(bytes) {
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const config = JSON.parse(header.__metadata__.fastslow).header.model;
  const tensors = {};
  for (const [name, entry] of Object.entries(header)) {
    if (entry.dtype !== "F16") continue;
    const [begin, end] = entry.data_offsets;
    const halves = new Uint16Array(bytes.slice(8 + size + begin, 8 + size + end).buffer);
    tensors[name] = Float32Array.from(halves, (bits) => HALVES[bits]);
  }
  return { config, tensors };
}
