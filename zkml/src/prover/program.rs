//! Gates as a straight-line program that runs over blocks of rows.
//!
//! Equal parts of expressions are computed once, and what depends on challenges alone once for all rows. An instruction
//! works on a block of rows at a time, so that deciding what to do costs little beside doing it.

use std::collections::HashMap;

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::Expression,
    poly::Rotation,
};
use rayon::prelude::*;

/// Rows of a block: some forty registers of one kilobyte fit a core's first-level cache.
const BLOCK: usize = 32;

/// Values of all columns on a coset.
pub struct Columns<'c> {
    /// Fixed columns.
    pub fixed: &'c [Vec<Fr>],
    /// Advice columns.
    pub advice: &'c [Vec<Fr>],
    /// The instance column.
    pub instance: &'c [Fr],
}

/// All gates of a circuit, combined by powers of a challenge.
pub struct Program {
    scalars: Vec<Scalar>,
    queries: Vec<Query>,
    steps: Vec<Step>,
    registers: usize,
}

/// A number that is the same on all rows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Scalar {
    /// The challenge that combines the gates: always the first.
    Combining,
    Constant(Fr),
    Challenge(usize),
    Sum(usize, usize),
    Difference(usize, usize),
    Product(usize, usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Query {
    source: Source,
    rotation: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Fixed(usize),
    Advice(usize),
    Instance,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Register(usize),
    Query(usize),
    Scalar(usize),
}

enum Step {
    /// The first register is where the result goes.
    Compute(usize, Operation, Operand, Operand),
    /// Multiplies what has been gathered by the combining challenge, and adds a gate.
    Gather(Operand),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operation {
    Add,
    Subtract,
    Multiply,
}

impl Program {
    /// Compiles the gates, in the order in which the verifier combines them.
    pub fn compile<'e>(gates: impl Iterator<Item = &'e Expression<Fr>>) -> Self {
        let mut graph = Graph::default();
        graph.scalar(Scalar::Combining);
        let gates: Vec<Node> = gates.map(|gate| graph.add(gate)).collect();
        let mut emitter = Emitter::new(&graph, &gates);
        gates.iter().for_each(|&gate| emitter.gather(gate));
        let Emitter { steps, registers, .. } = emitter;
        Self { scalars: graph.scalars, queries: graph.queries, steps, registers }
    }

    /// All numbers that are the same on every row.
    pub fn scalars(&self, challenges: &[Fr], y: Fr) -> Vec<Fr> {
        let mut values: Vec<Fr> = Vec::with_capacity(self.scalars.len());
        for scalar in &self.scalars {
            values.push(match *scalar {
                Scalar::Combining => y,
                Scalar::Constant(value) => value,
                Scalar::Challenge(index) => challenges[index],
                Scalar::Sum(left, right) => values[left] + values[right],
                Scalar::Difference(left, right) => values[left] - values[right],
                Scalar::Product(left, right) => values[left] * values[right],
            });
        }
        values
    }

    /// The combined gates on every row.
    pub fn run(&self, columns: &Columns<'_>, scalars: &[Fr]) -> Vec<Fr> {
        let mut values = vec![Fr::ZERO; columns.instance.len()];
        let new = || Machine::new(self, columns, scalars);
        values.par_chunks_mut(BLOCK).enumerate().for_each_init(new, |machine, (block, values)| {
            machine.run(block * BLOCK, values);
        });
        values
    }
}

/// The registers of one thread.
struct Machine<'m> {
    program: &'m Program,
    columns: &'m Columns<'m>,
    scalars: &'m [Fr],
    registers: Vec<Vec<Fr>>,
    /// Queries whose rows go around the end of their column, copied.
    around: Vec<Vec<Fr>>,
    row: usize,
    length: usize,
}

impl<'m> Machine<'m> {
    fn new(program: &'m Program, columns: &'m Columns<'m>, scalars: &'m [Fr]) -> Self {
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
            let column = column(self.columns, query.source);
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
                let column = column(self.columns, source);
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

fn column<'c>(columns: &'c Columns<'_>, source: Source) -> &'c [Fr] {
    match source {
        Source::Fixed(index) => &columns.fixed[index],
        Source::Advice(index) => &columns.advice[index],
        Source::Instance => columns.instance,
    }
}

/// Where the rows of a rotated block begin.
fn start(row: usize, rotation: i32, length: usize) -> usize {
    (row as i64 + i64::from(rotation)).rem_euclid(length as i64) as usize
}

/// A part of an expression.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Node {
    Scalar(usize),
    Query(usize),
    /// Computed row by row.
    Computed(usize),
}

/// Expressions with equal parts brought together.
#[derive(Default)]
struct Graph {
    scalars: Vec<Scalar>,
    queries: Vec<Query>,
    computed: Vec<(Operation, Node, Node)>,
    scalar_of: HashMap<Scalar, usize>,
    query_of: HashMap<Query, usize>,
    computed_of: HashMap<(Operation, Node, Node), usize>,
}

impl Graph {
    fn add(&mut self, expression: &Expression<Fr>) -> Node {
        match expression {
            Expression::Constant(value) => self.scalar(Scalar::Constant(*value)),
            Expression::Challenge(challenge) => self.scalar(Scalar::Challenge(challenge.index())),
            Expression::Selector(_) => unreachable!("a key with selectors has no prover"),
            Expression::Fixed(query) => self.query(Source::Fixed(query.column_index()), query.rotation()),
            Expression::Advice(query) => self.query(Source::Advice(query.column_index()), query.rotation()),
            Expression::Instance(query) => self.query(Source::Instance, query.rotation()),
            Expression::Negated(inner) => {
                let inner = self.add(inner);
                let zero = self.scalar(Scalar::Constant(Fr::ZERO));
                self.compute(Operation::Subtract, zero, inner)
            }
            Expression::Sum(left, right) => match right.as_ref() {
                Expression::Negated(right) => self.binary(Operation::Subtract, left, right),
                right => self.binary(Operation::Add, left, right),
            },
            Expression::Product(left, right) => self.binary(Operation::Multiply, left, right),
            Expression::Scaled(inner, factor) => {
                let (inner, factor) = (self.add(inner), self.scalar(Scalar::Constant(*factor)));
                self.compute(Operation::Multiply, inner, factor)
            }
        }
    }

    fn binary(&mut self, operation: Operation, left: &Expression<Fr>, right: &Expression<Fr>) -> Node {
        let (left, right) = (self.add(left), self.add(right));
        self.compute(operation, left, right)
    }

    fn scalar(&mut self, scalar: Scalar) -> Node {
        let next = self.scalars.len();
        let index = *self.scalar_of.entry(scalar).or_insert(next);
        if index == next {
            self.scalars.push(scalar);
        }
        Node::Scalar(index)
    }

    fn query(&mut self, source: Source, rotation: Rotation) -> Node {
        let (query, next) = (Query { source, rotation: rotation.0 }, self.queries.len());
        let index = *self.query_of.entry(query).or_insert(next);
        if index == next {
            self.queries.push(query);
        }
        Node::Query(index)
    }

    fn compute(&mut self, operation: Operation, left: Node, right: Node) -> Node {
        if let (Node::Scalar(left), Node::Scalar(right)) = (left, right) {
            return self.scalar(match operation {
                Operation::Add => Scalar::Sum(left, right),
                Operation::Subtract => Scalar::Difference(left, right),
                Operation::Multiply => Scalar::Product(left, right),
            });
        }
        let (key, next) = ((operation, left, right), self.computed.len());
        let index = *self.computed_of.entry(key).or_insert(next);
        if index == next {
            self.computed.push(key);
        }
        Node::Computed(index)
    }
}

/// Puts the graph into an order, and its results into registers that are free again when nothing needs them.
struct Emitter<'g> {
    graph: &'g Graph,
    uses_left: Vec<usize>,
    register_of: Vec<Option<usize>>,
    free: Vec<usize>,
    registers: usize,
    steps: Vec<Step>,
}

impl<'g> Emitter<'g> {
    fn new(graph: &'g Graph, gates: &[Node]) -> Self {
        let mut uses_left = vec![0; graph.computed.len()];
        let operands = graph.computed.iter().flat_map(|&(_, left, right)| [left, right]);
        for node in operands.chain(gates.iter().copied()) {
            if let Node::Computed(index) = node {
                uses_left[index] += 1;
            }
        }
        let register_of = vec![None; graph.computed.len()];
        Self { graph, uses_left, register_of, free: Vec::new(), registers: 0, steps: Vec::new() }
    }

    fn gather(&mut self, gate: Node) {
        let operand = self.emit(gate);
        self.steps.push(Step::Gather(operand));
        self.release(gate);
    }

    fn emit(&mut self, node: Node) -> Operand {
        match node {
            Node::Scalar(scalar) => Operand::Scalar(scalar),
            Node::Query(query) => Operand::Query(query),
            Node::Computed(index) => Operand::Register(match self.register_of[index] {
                Some(register) => register,
                None => self.emit_computed(index),
            }),
        }
    }

    fn emit_computed(&mut self, index: usize) -> usize {
        let (operation, left, right) = self.graph.computed[index];
        let operands = (self.emit(left), self.emit(right));
        // The target must not be an operand: it is taken before they are free.
        let target = self.free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        });
        self.steps.push(Step::Compute(target, operation, operands.0, operands.1));
        self.release(left);
        self.release(right);
        self.register_of[index] = Some(target);
        target
    }

    fn release(&mut self, node: Node) {
        if let Node::Computed(index) = node {
            self.uses_left[index] -= 1;
            if self.uses_left[index] == 0 {
                self.free.extend(self.register_of[index]);
            }
        }
    }
}
