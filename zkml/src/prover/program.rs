//! Compiles the gates of a circuit into a straight-line program for all rows.
//!
//! Equal parts of expressions are computed once, and what depends on challenges alone once for all rows.

use std::collections::HashMap;

use halo2_axiom::{
    halo2curves::{bn256::Fr, ff::Field},
    plonk::Expression,
    poly::Rotation,
};
use hygeia_gpu_kernels::{
    RowProgram,
    program::{Operand, Operation, Query, Source, Step},
};

/// All gates of a circuit, combined by powers of a challenge.
pub struct Program {
    scalars: Vec<Scalar>,
    rows: RowProgram,
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

impl Program {
    /// Compiles the gates, in the order in which the verifier combines them.
    pub fn compile<'e>(gates: impl Iterator<Item = &'e Expression<Fr>>) -> Self {
        let mut graph = Graph::default();
        graph.scalar(Scalar::Combining);
        let gates: Vec<Node> = gates.map(|gate| graph.add(gate)).collect();
        let mut emitter = Emitter::new(&graph, &gates);
        gates.iter().for_each(|&gate| emitter.gather(gate));
        let Emitter { steps, registers, .. } = emitter;
        let rows = RowProgram { queries: graph.queries, steps, registers, scalars: graph.scalars.len() };
        Self { scalars: graph.scalars, rows }
    }

    /// What is computed on every row.
    pub fn rows(&self) -> &RowProgram {
        &self.rows
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
