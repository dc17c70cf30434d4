// BLAKE3, the hash of the ledger's chain, which browsers do not have. After the paper, sections 2.1 to 2.5; unkeyed, 32 bytes.

const BLAKE3_IV = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const BLAKE3_ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8];
const CHUNK_START = 1;
const CHUNK_END = 2;
const PARENT = 4;
const ROOT = 8;

function mix(v, a, b, c, d, x, y) {
  v[a] = (v[a] + v[b] + x) | 0;
  v[d] ^= v[a];
  v[d] = (v[d] >>> 16) | (v[d] << 16);
  v[c] = (v[c] + v[d]) | 0;
  v[b] ^= v[c];
  v[b] = (v[b] >>> 12) | (v[b] << 20);
  v[a] = (v[a] + v[b] + y) | 0;
  v[d] ^= v[a];
  v[d] = (v[d] >>> 8) | (v[d] << 24);
  v[c] = (v[c] + v[d]) | 0;
  v[b] ^= v[c];
  v[b] = (v[b] >>> 7) | (v[b] << 25);
}

function compress(chain, words, counter, length, flags) {
  const v = Int32Array.from([...chain, ...BLAKE3_IV.slice(0, 4), counter, Math.floor(counter / 2 ** 32), length, flags]);
  let m = words;
  for (let round = 0; round < 7; round += 1) {
    mix(v, 0, 4, 8, 12, m[0], m[1]);
    mix(v, 1, 5, 9, 13, m[2], m[3]);
    mix(v, 2, 6, 10, 14, m[4], m[5]);
    mix(v, 3, 7, 11, 15, m[6], m[7]);
    mix(v, 0, 5, 10, 15, m[8], m[9]);
    mix(v, 1, 6, 11, 12, m[10], m[11]);
    mix(v, 2, 7, 8, 13, m[12], m[13]);
    mix(v, 3, 4, 9, 14, m[14], m[15]);
    const before = m;
    m = BLAKE3_ORDER.map((from) => before[from]);
  }
  return v.slice(0, 8).map((word, i) => word ^ v[i + 8]);
}

function blockWords(bytes, start, length) {
  const block = new Uint8Array(64);
  block.set(bytes.subarray(start, start + length));
  const view = new DataView(block.buffer);
  return Array.from({ length: 16 }, (_, i) => view.getInt32(4 * i, true));
}

// The chaining value of a chunk of up to 1,024 bytes.
function chunk(bytes, start, end, counter, root) {
  let chain = BLAKE3_IV;
  const blocks = Math.max(1, Math.ceil((end - start) / 64));
  for (let i = 0; i < blocks; i += 1) {
    const length = Math.min(64, end - start - 64 * i);
    const last = i === blocks - 1;
    const flags = (i === 0 ? CHUNK_START : 0) | (last ? CHUNK_END : 0) | (last && root ? ROOT : 0);
    chain = compress(chain, blockWords(bytes, start + 64 * i, length), counter, length, flags);
  }
  return chain;
}

function subtree(bytes, start, end, counter, root) {
  if (end - start <= 1024) return chunk(bytes, start, end, counter, root);
  // The left part holds the largest power of two of chunks that leaves something for the right one.
  const chunks = 2 ** Math.floor(Math.log2(Math.ceil((end - start) / 1024) - 1));
  const middle = start + 1024 * chunks;
  const words = [...subtree(bytes, start, middle, counter, false), ...subtree(bytes, middle, end, counter + chunks, false)];
  return compress(BLAKE3_IV, words, 0, 64, PARENT | (root ? ROOT : 0));
}

/// The hash of a text in UTF-8, hex.
export function blake3(text) {
  const bytes = new TextEncoder().encode(text);
  const words = subtree(bytes, 0, bytes.length, 0, true);
  return Array.from(new Uint8Array(Int32Array.from(words).buffer), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
