// Poseidon over the BN254 scalar field: width 3, rate 2, 8 full and 57 partial rounds, S-box x^5. Constants from the Grain
// generator of the Poseidon paper's reference script (eprint 2019/458), the permutation round by round as the paper has it,
// and the same permutation factored so that a partial round multiplies by a sparse matrix.

export const MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
export const WIDTH = 3;
export const FULL_ROUNDS = 8;
export const PARTIAL_ROUNDS = 57;

const FIELD_BITS = 254;
const LANES = [0, 1, 2];

const mod = (value) => ((value % MODULUS) + MODULUS) % MODULUS;
const pow5 = (value) => mod(mod(mod(value * value) ** 2n) * value);
const apply = (matrix, state) => matrix.map((row) => mod(row.reduce((sum, entry, lane) => sum + entry * state[lane], 0n)));
const product = (left, right) => left.map((row) => LANES.map((column) =>
  mod(row.reduce((sum, entry, lane) => sum + entry * right[lane][column], 0n))));

function inverse(value) {
  let [result, base] = [1n, mod(value)];
  for (let exponent = MODULUS - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = mod(result * base);
    base = mod(base * base);
  }
  return result;
}

// ---------------------------------------------------------------- constants

let worked;

/** Round constants, three to a round, and the matrix, by output lane and then input lane; worked out once. */
export function constants() {
  worked ??= workOut();
  return worked;
}

function workOut() {
  const bit = grain();
  const number = () => Array.from({ length: FIELD_BITS }, bit).reduce((sum, digit) => (sum << 1n) | digit, 0n);
  const canonical = () => {
    for (;;) {
      const candidate = number();
      if (candidate < MODULUS) return candidate;
    }
  };
  const round = Array.from({ length: FULL_ROUNDS + PARTIAL_ROUNDS }, () => LANES.map(canonical));
  // The matrix is a Cauchy matrix: 1 / (x + y), from numbers that are reduced instead of drawn again.
  const xs = LANES.map(() => mod(number()));
  const ys = LANES.map(() => mod(number()));
  return { round, mds: xs.map((x) => ys.map((y) => inverse(x + y))) };
}

// The generator's bits: an 80-bit shift register, of whose output bits every second is kept if the one before it is set.
function grain() {
  const digits = (value, count) => Array.from({ length: count }, (_, index) => BigInt((value >> (count - 1 - index)) & 1));
  const state = [
    ...digits(1, 2), ...digits(0, 4), ...digits(FIELD_BITS, 12), ...digits(WIDTH, 12),
    ...digits(FULL_ROUNDS, 10), ...digits(PARTIAL_ROUNDS, 10), ...Array(30).fill(1n),
  ];
  const step = () => {
    const next = state[62] ^ state[51] ^ state[38] ^ state[23] ^ state[13] ^ state[0];
    state.shift();
    state.push(next);
    return next;
  };
  for (let warmUp = 0; warmUp < 160; ++warmUp) step();
  return () => {
    for (;;) {
      const [keep, digit] = [step(), step()];
      if (keep) return digit;
    }
  };
}

// ---------------------------------------------------------------- the paper's permutation

/** The digest of a message of at most any length under a capacity tag that binds its length. */
export function hash(tag, message) {
  const parameters = constants();
  let state = [tag, 0n, 0n];
  for (let index = 0; index < message.length; index += 2) {
    state = [state[0], mod(state[1] + message[index]), mod(state[2] + (message[index + 1] ?? 0n))];
    state = permute(state, parameters);
  }
  return state[1];
}

function permute(state, { round, mds }) {
  return round.reduce((before, added, index) => {
    const summed = before.map((lane, at) => mod(lane + added[at]));
    const boxed = isFull(index) ? summed.map(pow5) : [pow5(summed[0]), summed[1], summed[2]];
    return apply(mds, boxed);
  }, state);
}

const isFull = (index) => index < FULL_ROUNDS / 2 || index >= FULL_ROUNDS / 2 + PARTIAL_ROUNDS;

// ---------------------------------------------------------------- the factored permutation

/**
 * The permutation in the form that costs least: `before` and `after` are full rounds {added, matrix}, `partial` the partial
 * rounds {added, row, column}. Lane 0 is carried divided by a scale of each partial round's own, chosen so that what its
 * S-box gives enters the next lane 0 with the factor one: after the S-box the new lane 0 is itself plus row · (lanes 1 and
 * 2), and lanes 1 and 2 gain column[0] and column[1] times it. After the last, lane 0 is to be multiplied by `scale`.
 */
export function factored() {
  const { round, mds } = constants();
  const added = compact(round, mds);
  const half = FULL_ROUNDS / 2;
  const sparse = [];
  let matrix = mds;
  for (let index = PARTIAL_ROUNDS - 1; index >= 0; --index) {
    const factors = split(matrix);
    sparse.unshift(factors.sparse);
    matrix = product(factors.dense, mds);
  }
  let scale = 1n;
  const partial = sparse.map(({ corner, row, column }, index) => {
    const [unscaled, boxed] = [inverse(scale), pow5(scale)];
    scale = mod(corner * boxed);
    return {
      added: mod(added[half + index][0] * unscaled),
      row: row.map((entry) => mod(entry * inverse(scale))),
      column: column.map((entry) => mod(entry * boxed)),
    };
  });
  const full = (index) => ({ added: added[index], matrix: index === half - 1 ? matrix : mds });
  return {
    before: LANES.concat(3).map(full),
    partial,
    scale,
    after: LANES.concat(3).map((index) => full(half + PARTIAL_ROUNDS + index)),
  };
}

// What a partial round adds to lanes 1 and 2 passes its S-box by, so it can as well be added, through the matrix, a round later.
function compact(round, mds) {
  const added = round.map((lanes) => [...lanes]);
  for (let index = 0; index < added.length; ++index) {
    if (isFull(index)) continue;
    const carried = apply(mds, [0n, added[index][1], added[index][2]]);
    added[index] = [added[index][0], 0n, 0n];
    added[index + 1] = added[index + 1].map((lane, at) => mod(lane + carried[at]));
  }
  return added;
}

// matrix = sparse · dense, where dense leaves lane 0 alone and so commutes with a partial round's S-box and constant.
function split(matrix) {
  const [[corner, ...row], [left1, a, b], [left2, c, d]] = matrix;
  const scale = inverse(a * d - b * c);
  const dense = [[1n, 0n, 0n], [0n, a, b], [0n, c, d]];
  const sparseRow = [
    mod((row[0] * d - row[1] * c) * scale),
    mod((row[1] * a - row[0] * b) * scale),
  ];
  return { sparse: { corner, row: sparseRow, column: [left1, left2] }, dense };
}
