//! Rank-1 constraints, once for all provers: each says of three linear combinations of the variables that the product of
//! the first two is the third.
//!
//! A [`System`] is built with its constraints to make keys, and without them to prove: then only values are computed.

use std::collections::BTreeMap;

use halo2curves_axiom::bn256::Fr;
use halo2curves_axiom::ff::Field;

/// A linear combination: each variable with its factor. Variable 0 is the number one, then come the public ones.
pub type Row = Vec<(usize, Fr)>;

/// `a * b = c`.
pub struct Constraint {
    /// The first factor.
    pub a: Row,
    /// The second factor.
    pub b: Row,
    /// The product.
    pub c: Row,
}

/// Constraints and the values that satisfy them.
pub struct System {
    /// The constraints; none where only values are computed.
    pub constraints: Vec<Constraint>,
    /// The value of each variable.
    pub values: Vec<Fr>,
    /// How many of them are public.
    pub public: usize,
    records: bool,
}

/// A linear combination and its value.
#[derive(Clone)]
pub struct Number {
    terms: BTreeMap<usize, Fr>,
    /// What it comes to.
    pub value: Fr,
    /// Whether it is the same for every witness.
    is_constant: bool,
}

impl System {
    /// With constraints, to make keys or to check values against them.
    pub fn recording(public: &[Fr]) -> Self {
        Self::new(public, true)
    }

    /// Without constraints, to prove.
    pub fn computing(public: &[Fr]) -> Self {
        Self::new(public, false)
    }

    fn new(public: &[Fr], records: bool) -> Self {
        let values = std::iter::once(Fr::ONE).chain(public.iter().copied()).collect();
        Self { constraints: Vec::new(), values, public: public.len(), records }
    }

    /// Whether constraints are recorded.
    pub fn is_recording(&self) -> bool {
        self.records
    }

    /// A new private variable.
    pub fn variable(&mut self, value: Fr) -> Number {
        self.values.push(value);
        self.number(self.values.len() - 1, false)
    }

    /// A public variable, counted from 0.
    pub fn public(&self, index: usize) -> Number {
        self.number(index + 1, false)
    }

    /// A number that is the same for every witness.
    pub fn constant(&self, value: Fr) -> Number {
        self.number(0, true).times(value)
    }

    fn number(&self, variable: usize, is_constant: bool) -> Number {
        let terms = if self.records { BTreeMap::from([(variable, Fr::ONE)]) } else { BTreeMap::new() };
        Number { terms, value: self.values[variable], is_constant }
    }

    /// Demands `a * b = c`.
    pub fn multiply(&mut self, a: &Number, b: &Number, c: &Number) {
        if self.records {
            self.constraints.push(Constraint { a: a.row(), b: b.row(), c: c.row() });
        }
    }

    /// Demands that two numbers are equal.
    pub fn equal(&mut self, a: &Number, b: &Number) {
        let (one, zero) = (self.constant(Fr::ONE), self.constant(Fr::ZERO));
        self.multiply(&a.clone().minus(b), &one, &zero);
    }

    /// The product of two numbers, as a new variable unless it is the same for every witness.
    pub fn product(&mut self, a: &Number, b: &Number) -> Number {
        let value = a.value * b.value;
        if a.is_constant && b.is_constant {
            return self.constant(value);
        }
        let product = self.variable(value);
        self.multiply(a, b, &product);
        product
    }

    /// Demands that a number is 0 or 1.
    pub fn boolean(&mut self, bit: &Number) {
        let other = bit.clone().minus(&self.constant(Fr::ONE));
        let zero = self.constant(Fr::ZERO);
        self.multiply(bit, &other, &zero);
    }

    /// The lowest digits of a number to base 2 as new variables, put together again.
    pub fn digits(&mut self, number: u64, count: u32) -> Number {
        let mut sum = self.constant(Fr::ZERO);
        for place in 0..count {
            let bit = self.variable(Fr::from((number >> place) & 1));
            self.boolean(&bit);
            sum = sum.plus(&bit.times(Fr::from(1 << place)));
        }
        sum
    }

    /// The first constraint that the values do not satisfy.
    #[cfg(test)]
    pub fn unsatisfied(&self) -> Option<usize> {
        let value = |row: &Row| row.iter().map(|(variable, factor)| self.values[*variable] * factor).sum::<Fr>();
        self.constraints.iter().position(|row| value(&row.a) * value(&row.b) != value(&row.c))
    }
}

impl Number {
    /// The sum of two.
    pub fn plus(mut self, other: &Self) -> Self {
        for (variable, factor) in &other.terms {
            *self.terms.entry(*variable).or_insert(Fr::ZERO) += factor;
        }
        self.value += other.value;
        self.is_constant &= other.is_constant;
        self
    }

    /// The difference of two.
    pub fn minus(self, other: &Self) -> Self {
        self.plus(&other.clone().times(-Fr::ONE))
    }

    /// A multiple.
    pub fn times(mut self, factor: Fr) -> Self {
        self.terms.values_mut().for_each(|known| *known *= factor);
        self.value *= factor;
        self
    }

    /// The same where no constraint is recorded and its value is known otherwise.
    pub fn with_value(self, value: Fr) -> Self {
        debug_assert!(self.terms.is_empty(), "constraints are computed from their terms");
        Self { value, is_constant: false, ..self }
    }

    fn row(&self) -> Row {
        self.terms.iter().filter(|(_, factor)| **factor != Fr::ZERO).map(|(place, factor)| (*place, *factor)).collect()
    }
}
