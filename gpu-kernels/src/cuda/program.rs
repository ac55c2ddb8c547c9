//! Row programs as CUDA: one thread computes one row, in straight-line code that is made for the program.
//!
//! Every number of the text is a place or a count from the program; nothing of a witness is in it.

use std::fmt::Write as _;

use super::{
    device::{Argument, Device, Memory, Shape},
    runtime::{Runtime, Vector},
    source::Source,
};
use crate::{
    Columns, Fr, KernelError, RowProgram,
    program::{Operand, Operation, Query, Source as Column, Step},
};

/// Threads of a block: with the compiler's bound of 255 registers, two blocks fit a multiprocessor.
const ROW_BLOCK: u32 = 128;

/// What generated code is built on. Multiplications are calls: the code of some thousand of them would not fit a
/// multiprocessor's instruction cache, nor compile in useful time.
const PRELUDE: &str = r#"
__noinline__ __device__ Fr multiply(Fr a, Fr b) { return a * b; }

// The row that lies `rotation` further, around the columns' end.
__device__ __forceinline__ u32 around(u32 row, int rotation, u32 rows) {
    int place = (int)row + rotation % (int)rows;
    if (place < 0) place += (int)rows;
    if (place >= (int)rows) place -= (int)rows;
    return (u32)place;
}

extern "C" __global__ void __launch_bounds__(128)
    row_program(Fr* out, const Fr* const* columns, const Fr* scalars, u32 rows) {
    u32 row = thread_index();
    if (row >= rows) return;
    Fr gathered = Fr::zero();
"#;

/// A program compiled for a device.
pub struct Program<D: Device> {
    module: D::Module,
    /// The columns that the kernel reads, in its order.
    columns: Vec<Column>,
    scalars: usize,
}

impl<D: Device> Program<D> {
    pub(super) fn new(runtime: &Runtime<D>, program: &RowProgram) -> Result<Self, KernelError> {
        let columns = columns(&program.queries);
        let module = runtime.device.compile(&source(program))?;
        Ok(Self { module, columns, scalars: program.scalars })
    }

    pub(super) fn run(
        &self,
        runtime: &Runtime<D>,
        columns: &Columns<'_, Vector<D>>,
        scalars: &[Fr],
    ) -> Result<Vector<D>, KernelError> {
        KernelError::unless_length("run: scalars", self.scalars, scalars.len())?;
        let rows = columns.instance.len();
        columns
            .fixed
            .iter()
            .chain(columns.advice)
            .try_for_each(|column| KernelError::unless_length("run: a column", rows, column.len()))?;
        let values = runtime.vector(rows)?;
        let there = runtime.addresses(self.columns.iter().map(|&column| columns.get(column)))?;
        let scalars = runtime.put(scalars)?;
        let arguments: [Argument; 4] =
            [values.memory().into(), (&there).into(), Argument::Address(scalars.address()), rows.into()];
        runtime.launch(&self.module, "row_program", Shape::cover(rows, ROW_BLOCK, 1), &arguments)?;
        Ok(values)
    }
}

/// The kernel of a program.
pub fn source(program: &RowProgram) -> Source {
    Source::over_fields("row_program", &text(program), vec!["row_program"])
}

fn text(program: &RowProgram) -> String {
    let (columns, rotations) = (columns(&program.queries), rotations(&program.queries));
    let mut text = PRELUDE.to_owned();
    let mut line = |content: std::fmt::Arguments<'_>| {
        writeln!(text, "    {content}").expect("writing to memory does not fail");
    };
    for (index, rotation) in rotations.iter().enumerate() {
        line(format_args!("const u32 row{index} = around(row, {rotation}, rows);"));
    }
    for register in 0..program.registers {
        line(format_args!("Fr r{register};"));
    }
    let operand = |operand: Operand| match operand {
        Operand::Register(register) => format!("r{register}"),
        Operand::Scalar(scalar) => format!("load(&scalars[{scalar}])"),
        Operand::Query(query) => {
            let Query { source, rotation } = program.queries[query];
            let column = place(&columns, source);
            format!("load(&columns[{column}][row{}])", place(&rotations, rotation))
        }
    };
    for step in &program.steps {
        match *step {
            Step::Compute(target, operation, left, right) => {
                let (left, right) = (operand(left), operand(right));
                match operation {
                    Operation::Add => line(format_args!("r{target} = {left} + {right};")),
                    Operation::Subtract => line(format_args!("r{target} = {left} - {right};")),
                    Operation::Multiply => line(format_args!("r{target} = multiply({left}, {right});")),
                }
            }
            Step::Gather(gate) => {
                line(format_args!("gathered = multiply(gathered, load(&scalars[0])) + {};", operand(gate)));
            }
        }
    }
    text.push_str("    store(&out[row], gathered);\n}\n");
    text
}

/// The columns that queries read, each once.
fn columns(queries: &[Query]) -> Vec<Column> {
    distinct(queries.iter().map(|query| query.source))
}

/// How far queries read, each once.
fn rotations(queries: &[Query]) -> Vec<i32> {
    distinct(queries.iter().map(|query| query.rotation))
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut distinct, value| {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
        distinct
    })
}

fn place<T: PartialEq>(values: &[T], value: T) -> usize {
    values.iter().position(|other| *other == value).expect("every query's column and rotation is listed")
}
