//! A program over blocks of rows, in lanes.
//!
//! Numbers stand for elements times 2^256, as in memory; a product takes one factor times sixteen. What a register holds
//! is not reduced but bounded, and each step computes the bound of its result from those of its operands.

use halo2curves_axiom::ff::Field;
use rayon::prelude::*;

use super::{
    Ifma,
    field::{ALL, Lanes, split},
    memory::{load_slice, store_slice, words},
};
use crate::{
    Columns, Fr, RowProgram,
    program::{Operand, Operation, Query, Step},
};

/// Vectors of a block: with two of them some forty registers fit a core's first-level cache.
const VECTORS: usize = 2;
/// Rows of a block.
const ROWS: usize = 8 * VECTORS;
/// Fewest blocks that are worth a thread of their own.
const PART_MIN: usize = 1 << 5;
/// Largest bound of a register, as a multiple of the prime: the sum of two stays below 2^260, which is 84.6 times it.
const BOUND_MAX: u32 = 40;
/// Largest bound of what is multiplied by sixteen and stays below 2^260.
const SHIFTED_MAX: u32 = 5;

/// What a program gathers on every row.
pub fn run(ifma: Ifma, program: &RowProgram, columns: &Columns<'_, Vec<Fr>>, scalars: &[Fr]) -> Vec<Fr> {
    let Ifma(()) = ifma;
    let mut values = vec![Fr::ZERO; columns.instance.len()];
    // SAFETY: an `Ifma` exists only where the processor has the instructions.
    let new = || unsafe { Machine::new(program, columns, scalars) };
    let blocks = values.par_chunks_mut(ROWS).with_min_len(PART_MIN).enumerate();
    blocks.for_each_init(new, |machine, (block, values)| {
        // SAFETY: as above.
        unsafe { machine.run(block * ROWS, values) }
    });
    values
}

/// A number for each row of a block: tight, and below `bound * p`.
#[derive(Clone, Copy)]
struct Register {
    vectors: [Lanes<Fr>; VECTORS],
    bound: u32,
}

/// The registers of one thread.
struct Machine<'m> {
    program: &'m RowProgram,
    columns: &'m Columns<'m, Vec<Fr>>,
    /// The same on all rows, and sixteen times it.
    scalars: Vec<[Lanes<Fr>; 2]>,
    registers: Vec<Register>,
    /// Queries whose rows go around the end of their column, copied.
    around: Vec<[Fr; ROWS]>,
    row: usize,
}

impl<'m> Machine<'m> {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn new(program: &'m RowProgram, columns: &'m Columns<'m, Vec<Fr>>, scalars: &[Fr]) -> Self {
        let zero = Register { vectors: [Lanes::small(0); VECTORS], bound: 1 };
        let splat = |scalar: &Fr| Lanes::splat(&split(words(scalar)));
        Self {
            program,
            columns,
            scalars: scalars.iter().map(|scalar| [splat(scalar), splat(&(scalar * Fr::from(16)))]).collect(),
            registers: vec![zero; program.registers],
            around: vec![[Fr::ZERO; ROWS]; program.queries.len()],
            row: 0,
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn run(&mut self, row: usize, values: &mut [Fr]) {
        self.row = row;
        self.copy_around();
        let mut gathered = [Lanes::small(0); VECTORS];
        for step in &self.program.steps {
            match *step {
                Step::Compute(target, operation, left, right) => {
                    self.registers[target] = self.compute(operation, left, right);
                }
                Step::Gather(gate) => self.gather(&mut gathered, gate),
            }
        }
        let one = Lanes::splat(&split(words(&Fr::from(16))));
        let mut block = [Fr::ZERO; ROWS];
        for (place, gathered) in block.as_chunks_mut().0.iter_mut().zip(gathered) {
            store_slice(place, gathered.times_loose(one).canonical());
        }
        values.copy_from_slice(&block[..values.len()]);
    }

    /// A block at the end of a column may have fewer rows: those behind are computed from any others.
    fn copy_around(&mut self) {
        for (query, copy) in self.program.queries.iter().zip(&mut self.around) {
            let column = self.columns.get(query.source);
            let start = start(self.row, query.rotation, column.len());
            if start + ROWS > column.len() {
                for (index, value) in copy.iter_mut().enumerate() {
                    *value = column[(start + index) % column.len()];
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn read(&self, operand: Operand) -> Register {
        match operand {
            Operand::Register(register) => self.registers[register],
            Operand::Scalar(scalar) => Register { vectors: [self.scalars[scalar][0]; VECTORS], bound: 1 },
            Operand::Query(query) => {
                let Query { source, rotation } = self.program.queries[query];
                let column = self.columns.get(source);
                let start = start(self.row, rotation, column.len());
                let rows = column.get(start..start + ROWS).unwrap_or(&self.around[query]);
                let mut vectors = [Lanes::small(0); VECTORS];
                for (vector, elements) in vectors.iter_mut().zip(rows.as_chunks().0) {
                    *vector = load_slice(elements);
                }
                Register { vectors, bound: 1 }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn compute(&self, operation: Operation, left: Operand, right: Operand) -> Register {
        match (operation, left, right) {
            (Operation::Add, left, right) => add(&self.read(left), &self.read(right)),
            (Operation::Subtract, left, right) => subtract(&self.read(left), &self.read(right)),
            (Operation::Multiply, Operand::Scalar(scalar), other)
            | (Operation::Multiply, other, Operand::Scalar(scalar)) => {
                scale(&self.read(other), self.scalars[scalar][1])
            }
            (Operation::Multiply, left, right) => multiply(self.read(left), self.read(right)),
        }
    }

    /// What has been gathered stays below `(2 + BOUND_MAX) p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn gather(&self, gathered: &mut [Lanes<Fr>; VECTORS], gate: Operand) {
        let [_, y] = self.scalars[0];
        for (sum, gate) in gathered.iter_mut().zip(self.read(gate).vectors) {
            *sum = sum.times_loose(y).plus(gate).tight();
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn add(left: &Register, right: &Register) -> Register {
    let mut sum = Register { vectors: left.vectors, bound: left.bound + right.bound };
    for (sum, right) in sum.vectors.iter_mut().zip(right.vectors) {
        *sum = sum.plus(right).tight();
    }
    bounded(sum, BOUND_MAX)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn subtract(left: &Register, right: &Register) -> Register {
    let mut difference = Register { vectors: left.vectors, bound: left.bound + right.bound };
    for (difference, subtrahend) in difference.vectors.iter_mut().zip(right.vectors) {
        *difference = difference.minus(subtrahend).plus_primes(ALL, i64::from(right.bound)).tight();
    }
    bounded(difference, BOUND_MAX)
}

#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn multiply(left: Register, right: Register) -> Register {
    let (smaller, mut product) = if left.bound <= right.bound { (left, right) } else { (right, left) };
    let smaller = bounded(smaller, SHIFTED_MAX);
    product.bound = 1 + (16 * smaller.bound * product.bound).div_ceil(84);
    for (product, smaller) in product.vectors.iter_mut().zip(smaller.vectors) {
        *product = product.times(smaller.shift4());
    }
    bounded(product, BOUND_MAX)
}

/// Times a factor that is there sixteen times and below the prime.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn scale(register: &Register, factor16: Lanes<Fr>) -> Register {
    let mut scaled = Register { vectors: register.vectors, bound: 2 };
    for vector in &mut scaled.vectors {
        *vector = vector.times(factor16);
    }
    scaled
}

/// The same elements below a bound, which is at least two.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn bounded(register: Register, bound_max: u32) -> Register {
    if register.bound <= bound_max {
        return register;
    }
    scale(&register, Lanes::splat(&split(words(&Fr::from(16)))))
}

/// Where the rows of a rotated block begin.
fn start(row: usize, rotation: i32, length: usize) -> usize {
    (row as i64 + i64::from(rotation)).rem_euclid(length as i64) as usize
}
