// `addRows` of sums.js as a WebAssembly module, assembled here instruction by instruction.
// What the bytes are is in the WebAssembly core specification, chapter "Binary Format".
"use strict";

/** Instructions, as bytes in lists of lists. Operands come first. Places are of bytes in the memory. */
const wasm = {
  I32: 0x7f,
  V128: 0x7b,
  get: (local) => [0x20, local],
  set: (local, value) => [value, 0x21, local],
  // Whole numbers.
  number: (value) => [0x41, lebOf(value, true)],
  plus: (a, b) => [a, b, 0x6a],
  times: (a, b) => [a, b, 0x6c],
  read: (place) => [place, 0x28, 2, 0],
  /** What is done at least once, and again while a place, moved by a step each time, is below a bound. */
  whileBelow(bound, place, step, ...body) {
    const moved = [wasm.plus(wasm.get(place), wasm.number(step)), 0x22, place];
    return [0x03, 0x40, body, moved, wasm.get(bound), 0x49, 0x0d, 0, 0x0b];
  },
  // Vectors of four floats, at a place and so many bytes further.
  readFour: (place, further) => [place, 0xfd, 0x00, 4, further],
  writeFour: (place, further, value) => [place, value, 0xfd, 0x0b, 4, further],
  readAsFour: (place) => [place, 0xfd, 0x09, 2, 0], // one float, four times
  plusFour: (a, b) => [a, b, 0xfd, 0xe4, 1],
  timesFour: (a, b) => [a, b, 0xfd, 0xe6, 1],
};

/** A whole number from 0 on in seven bits a byte, the last byte without the eighth. `signed`: its sign bit stays 0. */
function lebOf(value, signed = false) {
  const bytes = [];
  for (; value >= (signed ? 64 : 128); value >>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}

/** A module with a function `kernel` of where sums start, where weights do, the bytes of a row, where rows and factors
 * are listed, and how many, at least one. A row is whole groups of sixteen floats. It goes down the list once for each
 * group, whose sums stay in registers. */
function kernelBytes() {
  const { get, set, number, plus, times, read, whileBelow } = wasm;
  const { readFour, writeFour, readAsFour, plusFour, timesFour, I32, V128 } = wasm;
  const [SUMS, WEIGHTS, WIDTH, ROWS, FACTORS, COUNT, END, LAST, ROW, FACTOR, AT] = Array(11).keys();
  const four = [11, 12, 13, 14].map((sum, k) => ({ sum, further: 16 * k }));
  const VALUE = 15;
  const addRow = [
    set(AT, plus(get(WEIGHTS), times(read(get(ROW)), get(WIDTH)))),
    set(VALUE, readAsFour(get(FACTOR))),
    four.map(({ sum, further }) => set(sum, plusFour(get(sum), timesFour(get(VALUE), readFour(get(AT), further))))),
    set(FACTOR, plus(get(FACTOR), number(4))),
  ];
  const addToSixteen = [
    four.map(({ sum, further }) => set(sum, readFour(get(SUMS), further))),
    set(ROW, get(ROWS)),
    set(FACTOR, get(FACTORS)),
    whileBelow(LAST, ROW, 4, addRow),
    four.map(({ sum, further }) => writeFour(get(SUMS), further, get(sum))),
    set(WEIGHTS, plus(get(WEIGHTS), number(64))),
  ];
  const code = [
    set(END, plus(get(SUMS), get(WIDTH))),
    set(LAST, plus(get(ROWS), times(get(COUNT), number(4)))),
    whileBelow(END, SUMS, 64, addToSixteen),
  ];
  const sized = (...parts) => [lebOf(parts.flat(Infinity).length), parts];
  const text = (letters) => sized(Array.from(letters, (letter) => letter.charCodeAt(0)));
  const section = (id, ...parts) => [id, sized(1, ...parts)];
  return Uint8Array.from(
    [
      [0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      section(1, 0x60, sized(Array(6).fill(I32)), 0), // its type: six numbers, and none in return
      section(2, text("of"), text("memory"), [0x02, 0, 1]),
      section(3, 0),
      section(7, text("kernel"), [0, 0]),
      section(10, sized([2, 5, I32, 5, V128], code, 0x0b)), // with its five numbers and five vectors
    ].flat(Infinity),
  );
}
