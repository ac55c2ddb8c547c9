//! A program over blocks of rows: an instruction works on a block at a time, so that deciding what to do costs little
//! beside doing it.

use halo2curves_axiom::ff::Field;
use rayon::prelude::*;

use super::{Arithmetic, ifma::run_rows};
use crate::{
    Columns, Fr, RowProgram,
    program::{Operand, Operation, Query, Step},
};

/// Rows of a block: some forty registers of one kilobyte fit a core's first-level cache.
const BLOCK: usize = 32;

/// What a program gathers on every row.
pub fn run(program: &RowProgram, columns: &Columns<'_, Vec<Fr>>, scalars: &[Fr], arithmetic: Arithmetic) -> Vec<Fr> {
    if let Some(ifma) = arithmetic.lanes() {
        return run_rows(ifma, program, columns, scalars);
    }
    let mut values = vec![Fr::ZERO; columns.instance.len()];
    let new = || Machine::new(program, columns, scalars);
    values.par_chunks_mut(BLOCK).enumerate().for_each_init(new, |machine, (block, values)| {
        machine.run(block * BLOCK, values);
    });
    values
}

/// The registers of one thread.
struct Machine<'m> {
    program: &'m RowProgram,
    columns: &'m Columns<'m, Vec<Fr>>,
    scalars: &'m [Fr],
    registers: Vec<Vec<Fr>>,
    /// Queries whose rows go around the end of their column, copied.
    around: Vec<Vec<Fr>>,
    row: usize,
    length: usize,
}

impl<'m> Machine<'m> {
    fn new(program: &'m RowProgram, columns: &'m Columns<'m, Vec<Fr>>, scalars: &'m [Fr]) -> Self {
        let block = || vec![Fr::ZERO; BLOCK];
        let registers = (0..program.registers).map(|_| block()).collect();
        let around = program.queries.iter().map(|_| block()).collect();
        Self { program, columns, scalars, registers, around, row: 0, length: BLOCK }
    }

    fn run(&mut self, row: usize, values: &mut [Fr]) {
        (self.row, self.length) = (row, values.len());
        self.copy_around();
        for step in &self.program.steps {
            match *step {
                Step::Compute(target, operation, left, right) => {
                    let mut result = std::mem::take(&mut self.registers[target]);
                    self.compute(&mut result[..self.length], operation, left, right);
                    self.registers[target] = result;
                }
                Step::Gather(gate) => self.gather(values, gate),
            }
        }
    }

    fn copy_around(&mut self) {
        for (query, copy) in self.program.queries.iter().zip(&mut self.around) {
            let column = self.columns.get(query.source);
            let start = start(self.row, query.rotation, column.len());
            if start + self.length > column.len() {
                for (index, value) in copy[..self.length].iter_mut().enumerate() {
                    *value = column[(start + index) % column.len()];
                }
            }
        }
    }

    fn block(&self, operand: Operand) -> Block<'_> {
        match operand {
            Operand::Register(register) => Block::Rows(&self.registers[register][..self.length]),
            Operand::Scalar(scalar) => Block::Same(self.scalars[scalar]),
            Operand::Query(query) => {
                let Query { source, rotation } = self.program.queries[query];
                let column = self.columns.get(source);
                let start = start(self.row, rotation, column.len());
                let rows = column.get(start..start + self.length);
                Block::Rows(rows.unwrap_or(&self.around[query][..self.length]))
            }
        }
    }

    fn compute(&self, result: &mut [Fr], operation: Operation, left: Operand, right: Operand) {
        let (left, right) = (self.block(left), self.block(right));
        match operation {
            Operation::Add => apply(result, &left, &right, |left, right| left + right),
            Operation::Subtract => apply(result, &left, &right, |left, right| left - right),
            Operation::Multiply => apply(result, &left, &right, |left, right| left * right),
        }
    }

    fn gather(&self, values: &mut [Fr], gate: Operand) {
        let y = self.scalars[0];
        match self.block(gate) {
            Block::Rows(rows) => values.iter_mut().zip(rows).for_each(|(value, gate)| *value = *value * y + gate),
            Block::Same(gate) => values.iter_mut().for_each(|value| *value = *value * y + gate),
        }
    }
}

enum Block<'b> {
    Rows(&'b [Fr]),
    Same(Fr),
}

fn apply(result: &mut [Fr], left: &Block<'_>, right: &Block<'_>, operation: impl Fn(&Fr, &Fr) -> Fr) {
    match (left, right) {
        (Block::Rows(left), Block::Rows(right)) => {
            result
                .iter_mut()
                .zip(*left)
                .zip(*right)
                .for_each(|((result, left), right)| *result = operation(left, right));
        }
        (Block::Rows(left), Block::Same(right)) => {
            result.iter_mut().zip(*left).for_each(|(result, left)| *result = operation(left, right));
        }
        (Block::Same(left), Block::Rows(right)) => {
            result.iter_mut().zip(*right).for_each(|(result, right)| *result = operation(left, right));
        }
        (Block::Same(left), Block::Same(right)) => result.fill(operation(left, right)),
    }
}

/// Where the rows of a rotated block begin.
fn start(row: usize, rotation: i32, length: usize) -> usize {
    (row as i64 + i64::from(rotation)).rem_euclid(length as i64) as usize
}
