//! Gates as a straight-line program that is run on every row.

/// Values of all columns, each with one element a row.
#[derive(Debug)]
pub struct Columns<'c, V> {
    /// Fixed columns.
    pub fixed: &'c [V],
    /// Advice columns.
    pub advice: &'c [V],
    /// The instance column.
    pub instance: &'c V,
}

impl<'c, V> Columns<'c, V> {
    /// The column that a query reads.
    pub fn get(&self, source: Source) -> &'c V {
        match source {
            Source::Fixed(index) => &self.fixed[index],
            Source::Advice(index) => &self.advice[index],
            Source::Instance => self.instance,
        }
    }
}

/// What is computed on every row from the columns and from numbers that are the same on all rows.
///
/// The result of a row begins at zero; each [`Step::Gather`] multiplies it by the scalar 0 and adds. Whoever makes a program
/// sees to it that registers are written before they are read, and that all indices are in range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProgram {
    /// What is read from columns.
    pub queries: Vec<Query>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Registers of a row.
    pub registers: usize,
    /// Numbers that are the same on all rows.
    pub scalars: usize,
}

/// A column, read some rows away. Rows go around the end of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Query {
    /// The column.
    pub source: Source,
    /// Rows ahead; behind where negative.
    pub rotation: i32,
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// A fixed column.
    Fixed(usize),
    /// An advice column.
    Advice(usize),
    /// The instance column.
    Instance,
}

/// What a step works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Register(usize),
    /// What a query reads.
    Query(usize),
    /// A number that is the same on all rows.
    Scalar(usize),
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The register is where the result goes. It is none of the operands.
    Compute(usize, Operation, Operand, Operand),
    /// Multiplies what has been gathered by the scalar 0, and adds.
    Gather(Operand),
}

/// What is done with two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Left plus right.
    Add,
    /// Left less right.
    Subtract,
    /// Left times right.
    Multiply,
}
