//! A processor for one thread of PTX without branches, as the ISA's manual describes its instructions.

use std::collections::HashMap;

/// A kernel's instructions, in order.
pub struct Machine {
    instructions: Vec<Instruction>,
}

struct Instruction {
    name: String,
    operands: Vec<String>,
}

/// Words of 32 bits by address.
#[derive(Default)]
pub struct Memory(HashMap<u64, u32>);

impl Memory {
    pub fn read(&self, address: u64, bytes: u64) -> Vec<u8> {
        (0..bytes / 4).flat_map(|word| self.0[&(address + 4 * word)].to_le_bytes()).collect()
    }

    fn write(&mut self, address: u64, bytes: &[u8]) {
        for (word, bytes) in (0..).zip(bytes.chunks_exact(4)) {
            self.0.insert(address + 4 * word, u32::from_le_bytes(bytes.try_into().unwrap()));
        }
    }
}

impl Machine {
    /// The kernel of this name.
    pub fn of(ptx: &str, kernel: &str) -> Self {
        let start = ptx.find(&format!(".entry {kernel}(")).expect("the kernel is in the text");
        let body = &ptx[start..];
        let body = &body[body.find("\n{").expect("a kernel has a body") + 2..body.find("\n}").expect("and an end")];
        let code: String = body.lines().map(|line| line.split("//").next().unwrap_or("").trim()).collect();
        let statements = code.split(';').map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('.'));
        Self { instructions: statements.map(Instruction::parse).collect() }
    }

    /// Runs the kernel on parameters and memory; returns the memory.
    pub fn run(&self, parameters: &[u64], written: &[(u64, &[u8])]) -> Memory {
        let mut thread = Thread::default();
        written.iter().for_each(|(address, bytes)| thread.memory.write(*address, bytes));
        self.instructions.iter().for_each(|instruction| thread.execute(instruction, parameters));
        thread.memory
    }
}

impl Instruction {
    fn parse(statement: &str) -> Self {
        let (name, operands) = statement.split_once(char::is_whitespace).unwrap_or((statement, ""));
        let operands = operands.replace(['{', '}', '[', ']'], " ");
        let operands = operands.split(',').map(|operand| operand.trim().to_owned());
        Self { name: name.to_owned(), operands: operands.collect() }
    }
}

#[derive(Default)]
struct Thread {
    registers: HashMap<String, u64>,
    memory: Memory,
    carry: u64,
}

impl Thread {
    fn execute(&mut self, instruction: &Instruction, parameters: &[u64]) {
        let (name, operands) = (instruction.name.as_str(), &instruction.operands);
        match name {
            "ret" => {}
            "ld.param.u64" => {
                let index: usize = operands[1].rsplit('_').next().unwrap().parse().unwrap();
                self.registers.insert(operands[0].clone(), parameters[index]);
            }
            "ld.global.v4.u32" => {
                let address = self.address(&operands[4]);
                for (target, offset) in operands[..4].iter().zip((0..).step_by(4)) {
                    self.registers.insert(target.clone(), self.memory.0[&(address + offset)].into());
                }
            }
            "st.global.v4.u32" => {
                let address = self.address(&operands[0]);
                for (source, offset) in operands[1..].iter().zip((0..).step_by(4)) {
                    self.memory.0.insert(address + offset, self.value(source) as u32);
                }
            }
            _ => {
                let values: Vec<u64> = operands[1..].iter().map(|operand| self.value(operand)).collect();
                let result = self.compute(name, &values);
                self.registers.insert(operands[0].clone(), result);
            }
        }
    }

    fn compute(&mut self, name: &str, values: &[u64]) -> u64 {
        let low = |value: u64| value & u64::from(u32::MAX);
        let [a, b, c] = [0, 1, 2].map(|index| values.get(index).copied().map_or(0, low));
        let product = a * b;
        let mut parts = name.split('.');
        let operation = parts.next().unwrap();
        let writes_carry = name.contains(".cc.");
        let carry = if operation.ends_with('c') { self.carry } else { 0 };
        let part = if name.contains(".hi") { product >> 32 } else { low(product) };
        let wide = match operation {
            "cvta" | "mov" => return values[0],
            "selp" => return if values[2] == 1 { a } else { b },
            "setp" if name.starts_with("setp.eq") => return u64::from(a == b),
            "setp" if name.starts_with("setp.ne") => return u64::from(a != b),
            "and" => a & b,
            "mul" => part,
            "add" | "addc" => a + b + carry,
            "sub" | "subc" => a.wrapping_sub(b).wrapping_sub(carry),
            "mad" | "madc" => part + c + carry,
            _ => panic!("the machine has no {name}"),
        };
        if writes_carry {
            // A borrow leaves ones in the upper half.
            self.carry = (wide >> 32) & 1;
        }
        low(wide)
    }

    fn value(&self, operand: &str) -> u64 {
        match operand.strip_prefix('%') {
            Some(_) => self.registers[operand],
            None => operand.parse::<i64>().expect("a number") as u64,
        }
    }

    fn address(&self, operand: &str) -> u64 {
        let (register, offset) = operand.split_once('+').unwrap_or((operand, "0"));
        self.value(register) + offset.parse::<u64>().expect("an offset")
    }
}
