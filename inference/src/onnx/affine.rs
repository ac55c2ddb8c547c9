//! A tensor whose elements are affine in the activations of one layer: what every linear operator keeps.
//!
//! A constant is an affine tensor that depends on no layer. Between two activations any number of linear operators
//! compose into one such tensor, which then becomes one layer; so a scaler in front of the first layer, a batch
//! normalisation or a bias added apart from its product needs no rule of its own.

use super::Fault;

/// Most elements or terms a tensor may have, in units of [`Affine::units`]: four times a layer of the greatest width.
const UNITS_MAX: usize = 1 << 22;
/// Most multiplications an import may take: sixteen times those of eight layers of the greatest width; about a second.
const WORK_MAX: u64 = 1 << 27;

/// Elements in row-major order; the first dimension is the batch, which is 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Affine {
    pub shape: Vec<usize>,
    /// The activations the elements depend on; none for constants.
    pub base: Option<usize>,
    /// Channels in and kernel of the convolution that made it, if one did.
    pub conv: Option<(usize, usize)>,
    offsets: Vec<f64>,
    /// By element: activation and factor, by rising activation. Empty for constants.
    terms: Vec<Terms>,
}

pub(super) type Terms = Vec<(u32, f64)>;

/// What an import may still spend, and the memory that sums are taken in.
pub(super) struct Budget {
    work: u64,
    sums: Vec<f64>,
}

impl Budget {
    pub fn new() -> Self {
        Self { work: WORK_MAX, sums: Vec::new() }
    }

    pub fn spend(&mut self, work: usize) -> Result<(), Fault> {
        self.work = self.work.checked_sub(work as u64).ok_or(Fault::Work)?;
        Ok(())
    }
}

/// Builds an affine tensor element by element, within the bounds.
pub(super) struct Builder<'b> {
    made: Affine,
    units: usize,
    budget: &'b mut Budget,
}

impl Affine {
    pub fn constant(shape: Vec<usize>, values: Vec<f64>) -> Self {
        Self { shape, offsets: values, ..Self::default() }
    }

    /// The activations of a layer themselves: element by element, `order` says which.
    pub fn activations(base: usize, shape: Vec<usize>, order: impl Iterator<Item = usize>) -> Self {
        let terms: Vec<Terms> = order.map(|activation| vec![(activation as u32, 1.0)]).collect();
        Self { shape, base: Some(base), conv: None, offsets: vec![0.0; terms.len()], terms }
    }

    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Memory, in units of sixteen bytes.
    pub fn units(&self) -> usize {
        self.offsets.len() + self.terms.iter().map(|terms| terms.len() + 2).sum::<usize>()
    }

    pub fn offset(&self, element: usize) -> f64 {
        self.offsets[element]
    }

    pub fn terms(&self, element: usize) -> &[(u32, f64)] {
        self.terms.get(element).map_or(&[], Vec::as_slice)
    }

    /// The values, if they are constants.
    pub fn values(&self) -> Option<&[f64]> {
        self.base.is_none().then_some(&self.offsets)
    }

    /// No element can be negative, when no activation is.
    pub fn keeps_sign(&self) -> bool {
        self.offsets.iter().all(|&offset| offset >= 0.0)
            && self.terms.iter().flatten().all(|&(_, factor)| factor >= 0.0)
    }

    /// The elements in another shape.
    pub fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self { shape, conv: None, ..self.clone() }
    }

    /// Some of the elements, given by their places.
    pub fn picked(&self, shape: Vec<usize>, places: &[usize], budget: &mut Budget) -> Result<Self, Fault> {
        let mut builder = Builder::new(shape, places.len(), &[self], budget)?;
        for &place in places {
            builder.push(0.0, &[(1.0, self, place)])?;
        }
        Ok(builder.finish())
    }
}

impl<'b> Builder<'b> {
    /// For `count` elements that depend on what `sources` depend on, which must be one layer.
    pub fn new(shape: Vec<usize>, count: usize, sources: &[&Affine], budget: &'b mut Budget) -> Result<Self, Fault> {
        if count > UNITS_MAX {
            return Err(Fault::Work);
        }
        let mut bases: Vec<usize> = sources.iter().filter_map(|source| source.base).collect();
        bases.dedup();
        if bases.len() > 1 {
            return Err(Fault::Joins);
        }
        let made = Affine { shape, base: bases.first().copied(), ..Affine::default() };
        Ok(Self { made, units: 0, budget })
    }

    /// Appends `offset` plus the factors times the named elements.
    pub fn push(&mut self, offset: f64, parts: &[(f64, &Affine, usize)]) -> Result<(), Fault> {
        let work: usize = parts.iter().map(|&(_, source, element)| source.terms(element).len() + 1).sum();
        self.budget.spend(work)?;
        let offset = parts.iter().fold(offset, |sum, &(factor, source, element)| sum + factor * source.offset(element));
        self.made.offsets.push(offset);
        self.units += 1;
        if self.made.base.is_some() {
            let terms = match parts {
                [(factor, source, element)] => {
                    source.terms(*element).iter().map(|&(activation, weight)| (activation, factor * weight)).collect()
                }
                _ => sum(&mut self.budget.sums, parts),
            };
            self.units += terms.len() + 2;
            self.made.terms.push(terms);
        }
        if self.units > UNITS_MAX { Err(Fault::Work) } else { Ok(()) }
    }

    /// Accounts for work that appends nothing.
    pub fn spend(&mut self, work: usize) -> Result<(), Fault> {
        self.budget.spend(work)
    }

    pub fn finish(self) -> Affine {
        self.made
    }
}

/// Adds up terms in a dense row, which is left cleared.
fn sum(sums: &mut Vec<f64>, parts: &[(f64, &Affine, usize)]) -> Terms {
    let (mut least, mut end) = (u32::MAX, 0);
    for &(factor, source, element) in parts {
        let terms = source.terms(element);
        let (Some(first), Some(last)) = (terms.first(), terms.last()) else { continue };
        (least, end) = (least.min(first.0), end.max(last.0 + 1));
        if sums.len() < end as usize {
            sums.resize(end as usize, 0.0);
        }
        for &(activation, weight) in terms {
            sums[activation as usize] += factor * weight;
        }
    }
    let taken = (least..end).map(|activation| (activation, std::mem::take(&mut sums[activation as usize])));
    taken.filter(|&(_, weight)| weight != 0.0).collect()
}

/// Distance in row-major order between neighbours along each dimension.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for dim in (1..shape.len()).rev() {
        strides[dim - 1] = strides[dim] * shape[dim];
    }
    strides
}

/// Visits every index of a shape in row-major order.
pub(super) fn each_index(shape: &[usize], mut visit: impl FnMut(&[usize]) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut index = vec![0; shape.len()];
    if shape.contains(&0) {
        return Ok(());
    }
    loop {
        visit(&index)?;
        let Some(dim) = (0..shape.len()).rev().find(|&dim| index[dim] + 1 < shape[dim]) else { return Ok(()) };
        index[dim] += 1;
        index[dim + 1..].fill(0);
    }
}
