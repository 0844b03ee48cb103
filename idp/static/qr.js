// The QR code of a text as the server draws it (idp/views/qr.py): bytes, correction level L, mask 2, a path for the
// ground and one to be stroked. ISO/IEC 18004:2015; the numbers of its sections stand beside what they describe.

// Level L, by version: codewords of correction in a block, and blocks (table 9).
const CORRECTION = [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26,
  28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30];
const BLOCKS = [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16,
  17, 18, 19, 19, 20, 21, 22, 24, 25];
const FORMAT = 0x7daa; // level L and mask 2, with their own correction (7.9)
const QUIET_ZONE = 4;

// A square of modules: null where data goes, else a fixed pattern (6.3).
const fixed = (version) => {
  const size = 17 + 4 * version, rows = Array.from({ length: size }, () => Array(size).fill(null));
  const set = (x, y, dark) => { if (x >= 0 && y >= 0 && x < size && y < size) rows[y][x] = dark; };
  const rings = (x, y, radius, light) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        set(x + dx, y + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
      }
    }
  };
  for (let i = 0; i < size; i++) {
    set(i, 6, i % 2 === 0);
    set(6, i, i % 2 === 0);
  }
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) rings(x, y, 4, [2, 4]);
  // Annex E: evenly spaced from the far end, the first at 6.
  const gaps = version > 1 ? Math.floor(version / 7) + 1 : 0;
  const step = version === 32 ? 26 : 2 * Math.ceil((size - 13) / (2 * gaps));
  const places = gaps ? [6, ...Array.from({ length: gaps }, (_, i) => size - 7 - step * (gaps - 1 - i))] : [];
  const inCorner = (x, y) => x === 6 && y === 6 || x + y === size - 1 && Math.abs(x - y) === size - 13;
  for (const x of places) for (const y of places) if (!inCorner(x, y)) rings(x, y, 2, [1]);
  for (let i = 0; i < 15; i++) {
    const dark = (FORMAT >> i & 1) === 1;
    if (i < 8) set(size - 1 - i, 8, dark);
    else set(8, size - 15 + i, dark);
    if (i < 8) set(8, i < 6 ? i : i + 1, dark);
    else set(i < 9 ? 7 : 14 - i, 8, dark);
  }
  set(8, size - 8, true);
  if (version > 6) { // 7.10: 6 bits of the version and 12 of its correction, twice
    let rest = version;
    for (let i = 0; i < 12; i++) rest = rest << 1 ^ (rest >> 11) * 0x1f25;
    for (let i = 0; i < 18; i++) {
      const dark = ((version << 12 | rest) >> i & 1) === 1, x = Math.floor(i / 3), y = size - 11 + i % 3;
      set(x, y, dark);
      set(y, x, dark);
    }
  }
  return rows;
};

// The field of 256 elements (7.5.2), by logarithms.
const power = [], logarithm = [];
for (let i = 0, x = 1; i < 255; i++) {
  power[i] = x;
  logarithm[x] = i;
  x = x << 1 ^ (x >> 7) * 0x11d;
}
const product = (a, b) => a && b && power[(logarithm[a] + logarithm[b]) % 255];

const corrected = (data, degree) => {
  let divisor = [1];
  for (let i = 0; i < degree; i++) {
    divisor = [...divisor, 0].map((x, k) => x ^ (k && product(divisor[k - 1], power[i])));
  }
  const rest = [...data, ...Array(degree).fill(0)];
  for (let i = 0; i < data.length; i++) {
    const lead = rest[i];
    divisor.forEach((x, k) => { rest[i + k] ^= product(x, lead); });
  }
  return rest.slice(data.length);
};

// Data in blocks with their correction, taken from each in turn (7.6). Shorter blocks come first.
const codewords = (data, degree, blocks) => {
  const short = Math.floor(data.length / blocks), shorter = blocks - data.length % blocks;
  const parts = Array.from({ length: blocks }, (_, i) => {
    const start = i * short + Math.max(0, i - shorter);
    return data.slice(start, start + short + (i >= shorter));
  });
  const rests = parts.map((part) => corrected(part, degree));
  const turns = (all, length) => Array.from({ length }, (_, k) => all.map((one) => one[k])).flat();
  return [...turns(parts, short + 1).filter((x) => x !== undefined), ...turns(rests, degree)];
};

export const draw = (text) => {
  const bytes = [...new TextEncoder().encode(text)];
  let version = 0, rows, counted, capacity;
  do {
    version++;
    rows = fixed(version);
    counted = version < 10 ? [bytes.length] : [bytes.length >> 8, bytes.length & 255];
    const room = rows.flat().filter((x) => x === null).length >> 3;
    capacity = room - CORRECTION[version - 1] * BLOCKS[version - 1];
  } while (version < 40 && capacity < 1 + counted.length + bytes.length);
  // Mode 0100, how many bytes, the bytes, 0000: everything lies half a byte off (7.4).
  const told = [...counted, ...bytes, 0];
  const data = told.map((x, i) => (i ? told[i - 1] << 4 & 255 : 64) | x >> 4);
  for (let i = 0; data.length < capacity; i++) data.push(i % 2 ? 17 : 236);
  const all = codewords(data, CORRECTION[version - 1], BLOCKS[version - 1]);
  // Two columns at a time from the right, up and down in turn (7.7.3); every third column is turned over (7.8.2).
  const size = rows.length;
  let bit = 0;
  for (let right = size - 1, up = true; right > 0; right -= right === 8 ? 3 : 2, up = !up) {
    for (let i = 0; i < size; i++) {
      const row = rows[up ? size - 1 - i : i];
      for (const x of [right, right - 1]) {
        if (row[x] !== null) continue;
        row[x] = (all[bit >> 3] >> 7 - (bit & 7) & 1) === 1 !== (x % 3 === 0);
        bit++;
      }
    }
  }
  const strokes = rows.map((row, y) => {
    let path = `M0 ${y}.5`, gap = 0;
    for (let x = 0; x < size;) {
      let end = x;
      while (end < size && row[end] === row[x]) end++;
      if (row[x]) path += gap ? `m${gap} 0h${end - x}` : `h${end - x}`;
      gap = row[x] ? 0 : end - x;
      x = end;
    }
    return path;
  });
  const edge = -QUIET_ZONE, side = size + 2 * QUIET_ZONE;
  const ground = `M${edge} ${edge}h${side}v${side}h-${side}z`;
  return { viewBox: `${edge} ${edge} ${side} ${side}`, paths: [ground, strokes.join("")] };
};
