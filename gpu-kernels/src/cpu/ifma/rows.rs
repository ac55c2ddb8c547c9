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
    /// The same on all rows.
    scalars: Vec<Register>,
    /// Sixteen times the scalars.
    factors: Vec<Lanes<Fr>>,
    /// What the queries read for this block.
    queried: Vec<Register>,
    registers: Vec<Register>,
    /// 2^260: what is multiplied by it is the same element below `2 p`.
    one: Lanes<Fr>,
}

impl<'m> Machine<'m> {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn new(program: &'m RowProgram, columns: &'m Columns<'m, Vec<Fr>>, scalars: &[Fr]) -> Self {
        let splat = |scalar: &Fr| Lanes::splat(&split(words(scalar)));
        let register = |vector| Register { vectors: [vector; VECTORS], bound: 1 };
        Self {
            program,
            columns,
            scalars: scalars.iter().map(|scalar| register(splat(scalar))).collect(),
            factors: scalars.iter().map(|scalar| splat(&(scalar * Fr::from(16)))).collect(),
            queried: vec![register(Lanes::small(0)); program.queries.len()],
            registers: vec![register(Lanes::small(0)); program.registers],
            one: splat(&Fr::from(16)),
        }
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn run(&mut self, row: usize, values: &mut [Fr]) {
        self.query(row);
        let mut gathered = [Lanes::small(0); VECTORS];
        for step in &self.program.steps {
            match *step {
                Step::Compute(target, operation, left, right) => self.compute(target, operation, left, right),
                Step::Gather(gate) => self.gather(&mut gathered, gate),
            }
        }
        let mut block = [Fr::ZERO; ROWS];
        for (place, gathered) in block.as_chunks_mut().0.iter_mut().zip(gathered) {
            store_slice(place, gathered.times_loose(self.one).canonical());
        }
        values.copy_from_slice(&block[..values.len()]);
    }

    /// A block at the end of a column may have fewer rows: those behind are computed from any others.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn query(&mut self, row: usize) {
        for (query, register) in self.program.queries.iter().zip(&mut self.queried) {
            let Query { source, rotation } = *query;
            let column = self.columns.get(source);
            let start = start(row, rotation, column.len());
            let mut around = [Fr::ZERO; ROWS];
            let rows = column.get(start..start + ROWS).unwrap_or_else(|| {
                around.iter_mut().zip(start..).for_each(|(value, row)| *value = column[row % column.len()]);
                &around
            });
            for (vector, elements) in register.vectors.iter_mut().zip(rows.as_chunks().0) {
                *vector = load_slice(elements);
            }
        }
    }

    #[inline]
    fn at(&self, operand: Operand) -> &Register {
        match operand {
            Operand::Register(register) => &self.registers[register],
            Operand::Scalar(scalar) => &self.scalars[scalar],
            Operand::Query(query) => &self.queried[query],
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn compute(&mut self, target: usize, operation: Operation, left: Operand, right: Operand) {
        match (operation, left, right) {
            (Operation::Add, ..) => self.add(target, left, right),
            (Operation::Subtract, ..) => self.subtract(target, left, right),
            (_, Operand::Scalar(scalar), other) | (_, other, Operand::Scalar(scalar)) => {
                self.scale(target, other, self.factors[scalar]);
            }
            (Operation::Multiply, ..) => self.multiply(target, left, right),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn add(&mut self, target: usize, left: Operand, right: Operand) {
        for vector in 0..VECTORS {
            let (left, right) = (self.at(left).vectors[vector], self.at(right).vectors[vector]);
            self.registers[target].vectors[vector] = left.plus(right).tight();
        }
        self.bound(target, self.at(left).bound + self.at(right).bound);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn subtract(&mut self, target: usize, left: Operand, right: Operand) {
        let bound = self.at(right).bound;
        for vector in 0..VECTORS {
            let (left, right) = (self.at(left).vectors[vector], self.at(right).vectors[vector]);
            let difference = left.minus(right).plus_primes(ALL, i64::from(bound));
            self.registers[target].vectors[vector] = difference.tight();
        }
        self.bound(target, self.at(left).bound + bound);
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn multiply(&mut self, target: usize, left: Operand, right: Operand) {
        let (small, large) = if self.at(left).bound <= self.at(right).bound { (left, right) } else { (right, left) };
        let (mut small_bound, large_bound) = (self.at(small).bound, self.at(large).bound);
        let is_reduced = small_bound > SHIFTED_MAX;
        for vector in 0..VECTORS {
            let mut small = self.at(small).vectors[vector];
            if is_reduced {
                small = small.times(self.one);
            }
            self.registers[target].vectors[vector] = self.at(large).vectors[vector].times(small.shift4());
        }
        if is_reduced {
            small_bound = 2;
        }
        self.bound(target, 1 + (16 * small_bound * large_bound).div_ceil(84));
    }

    /// Times a number below the prime that is there sixteen times.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn scale(&mut self, target: usize, operand: Operand, factor: Lanes<Fr>) {
        for vector in 0..VECTORS {
            self.registers[target].vectors[vector] = self.at(operand).vectors[vector].times(factor);
        }
        self.registers[target].bound = 2;
    }

    /// Takes note of a register's bound, and makes its elements smaller where it is too large.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn bound(&mut self, target: usize, bound: u32) {
        self.registers[target].bound = bound;
        if bound > BOUND_MAX {
            self.scale(target, Operand::Register(target), self.one);
        }
    }

    /// What has been gathered stays below `(2 + BOUND_MAX) p`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn gather(&self, gathered: &mut [Lanes<Fr>; VECTORS], gate: Operand) {
        for (sum, gate) in gathered.iter_mut().zip(&self.at(gate).vectors) {
            *sum = sum.times_loose(self.factors[0]).plus(*gate).tight();
        }
    }
}

/// Where the rows of a rotated block begin.
fn start(row: usize, rotation: i32, length: usize) -> usize {
    (row as i64 + i64::from(rotation)).rem_euclid(length as i64) as usize
}
