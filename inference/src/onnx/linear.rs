//! The operators of arithmetic, each on affine tensors.

use super::Fault;
use super::affine::{Affine, Budget, Builder, each_index, strides};

/// An elementwise operator of two tensors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// `a op b`, with the shapes broadcast to each other.
pub(super) fn binary(op: Binary, a: &Affine, b: &Affine, budget: &mut Budget) -> Result<Affine, Fault> {
    let shape = broadcast(&a.shape, &b.shape).ok_or(Fault::Shape)?;
    let (steps_a, steps_b) = (broadcast_strides(&a.shape, &shape), broadcast_strides(&b.shape, &shape));
    if matches!(op, Binary::Mul) && a.base.is_some() && b.base.is_some()
        || matches!(op, Binary::Div) && b.base.is_some()
    {
        return Err(Fault::Product);
    }
    let mut out = Builder::new(shape.clone(), count(&shape)?, &[a, b], budget)?;
    each_index(&shape, |index| {
        let (i, j) = (place(index, &steps_a), place(index, &steps_b));
        match op {
            Binary::Add => out.push(0.0, &[(1.0, a, i), (1.0, b, j)]),
            Binary::Sub => out.push(0.0, &[(1.0, a, i), (-1.0, b, j)]),
            Binary::Mul if a.base.is_none() => out.push(0.0, &[(a.offset(i), b, j)]),
            Binary::Mul => out.push(0.0, &[(b.offset(j), a, i)]),
            Binary::Div => out.push(0.0, &[(1.0 / b.offset(j), a, i)]),
        }
    })?;
    let mut made = out.finish();
    // A convolution stays one when a constant is added to it or scales it: whether by channel is checked later.
    made.conv = [a, b].into_iter().filter(|side| side.shape == shape).find_map(|side| side.conv);
    Ok(made)
}

/// `a b` over the last two dimensions; `b` is a matrix.
pub(super) fn matmul(a: &Affine, b: &Affine, budget: &mut Budget) -> Result<Affine, Fault> {
    let ([leading @ .., inner], [inner_b, columns]) = (a.shape.as_slice(), b.shape.as_slice()) else {
        return Err(Fault::Shape);
    };
    if inner != inner_b || leading.is_empty() {
        return Err(Fault::Shape);
    }
    let shape = [leading, &[*columns]].concat();
    let rows = count(leading)?;
    let product = |row: usize, column: usize, k: usize| (row * inner + k, k * columns + column);
    products(shape, (rows, *columns, *inner), product, a, b, budget)
}

/// Options of [`gemm`].
pub(super) struct Gemm {
    pub alpha: f64,
    pub beta: f64,
    pub transposed: [bool; 2],
}

/// `alpha a b + beta c`.
pub(super) fn gemm(
    options: &Gemm,
    a: &Affine,
    b: &Affine,
    c: Option<&Affine>,
    budget: &mut Budget,
) -> Result<Affine, Fault> {
    let matrix = |tensor: &Affine, transposed: bool| match tensor.shape.as_slice() {
        [rows, columns] if transposed => Ok((*columns, *rows)),
        [rows, columns] => Ok((*rows, *columns)),
        _ => Err(Fault::Shape),
    };
    let [transposed_a, transposed_b] = options.transposed;
    let ((rows, inner), (inner_b, columns)) = (matrix(a, transposed_a)?, matrix(b, transposed_b)?);
    if inner != inner_b {
        return Err(Fault::Shape);
    }
    let product = |row: usize, column: usize, k: usize| {
        let i = if transposed_a { k * rows + row } else { row * inner + k };
        let j = if transposed_b { column * inner + k } else { k * columns + column };
        (i, j)
    };
    let scaled = |tensor: Affine, factor: f64, budget: &mut Budget| match factor {
        1.0 => Ok(tensor),
        _ => binary(Binary::Mul, &tensor, &Affine::constant(Vec::new(), vec![factor]), budget),
    };
    let shape = vec![rows, columns];
    let product = products(shape.clone(), (rows, columns, inner), product, a, b, budget)?;
    let product = scaled(product, options.alpha, budget)?;
    match c {
        None => Ok(product),
        Some(c) if broadcast(&c.shape, &shape).as_ref() == Some(&shape) => {
            binary(Binary::Add, &product, &scaled(c.clone(), options.beta, budget)?, budget)
        }
        Some(_) => Err(Fault::Shape),
    }
}

/// Sums of products of one side that is constant with another that need not be.
fn products(
    shape: Vec<usize>,
    (rows, columns, inner): (usize, usize, usize),
    places: impl Fn(usize, usize, usize) -> (usize, usize),
    a: &Affine,
    b: &Affine,
    budget: &mut Budget,
) -> Result<Affine, Fault> {
    if a.base.is_some() && b.base.is_some() {
        return Err(Fault::Product);
    }
    let mut out = Builder::new(shape, rows.checked_mul(columns).ok_or(Fault::Work)?, &[a, b], budget)?;
    let mut parts = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            parts.clear();
            parts.extend((0..inner).map(|k| match places(row, column, k) {
                (i, j) if b.base.is_none() => (b.offset(j), a, i),
                (i, j) => (a.offset(i), b, j),
            }));
            out.push(0.0, &parts)?;
        }
    }
    Ok(out.finish())
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + bias` by channel, which is the second dimension.
pub(super) fn batch_normalisation(
    x: &Affine,
    [scale, bias, mean, variance]: [&[f64]; 4],
    epsilon: f64,
    budget: &mut Budget,
) -> Result<Affine, Fault> {
    let channels = *x.shape.get(1).ok_or(Fault::Shape)?;
    if [scale, bias, mean, variance].iter().any(|values| values.len() != channels) {
        return Err(Fault::Shape);
    }
    let mut shape = vec![1; x.shape.len()];
    shape[1] = channels;
    let factors: Vec<f64> = (0..channels).map(|c| scale[c] / (variance[c] + epsilon).sqrt()).collect();
    let offsets = (0..channels).map(|c| bias[c] - mean[c] * factors[c]).collect();
    let scaled = binary(Binary::Mul, x, &Affine::constant(shape.clone(), factors), budget)?;
    binary(Binary::Add, &scaled, &Affine::constant(shape, offsets), budget)
}

/// Sum or mean over some dimensions, which stay as 1 or go.
pub(super) fn reduce(x: &Affine, axes: &[usize], keep: bool, mean: bool, budget: &mut Budget) -> Result<Affine, Fault> {
    if axes.contains(&0) {
        return Err(Fault::Batch);
    }
    let reduced: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
    let members = count(&reduced)?;
    let factor = if mean { 1.0 / members as f64 } else { 1.0 };
    let steps = strides(&x.shape);
    let kept_dims: Vec<usize> = (0..x.shape.len()).filter(|dim| !axes.contains(dim)).collect();
    let kept: Vec<usize> = kept_dims.iter().map(|&dim| x.shape[dim]).collect();
    let shape = if keep {
        x.shape.iter().enumerate().map(|(dim, &size)| if axes.contains(&dim) { 1 } else { size }).collect()
    } else {
        kept.clone()
    };
    let mut out = Builder::new(shape, count(&kept)?, &[x], budget)?;
    let mut parts = Vec::new();
    each_index(&kept, |index| {
        let start: usize = index.iter().zip(&kept_dims).map(|(i, &dim)| i * steps[dim]).sum();
        parts.clear();
        each_index(&reduced, |inner| {
            let offset: usize = inner.iter().zip(axes).map(|(i, &axis)| i * steps[axis]).sum();
            parts.push((factor, x, start + offset));
            Ok(())
        })?;
        out.push(0.0, &parts)
    })?;
    Ok(out.finish())
}

/// Options of [`convolution`], by spatial dimension.
pub(super) struct Convolution {
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Zeros before and after.
    pub pads: Vec<(usize, usize)>,
    pub groups: usize,
}

/// Convolution of `x` `[1, channels, ...]` with weights `[out, channels / groups, ...]`.
pub(super) fn convolution(
    options: &Convolution,
    x: &Affine,
    weights: &Affine,
    bias: Option<&Affine>,
    budget: &mut Budget,
) -> Result<Affine, Fault> {
    let ([1, channels, size @ ..], [outputs, inner, kernel @ ..]) = (x.shape.as_slice(), weights.shape.as_slice())
    else {
        return Err(Fault::Shape);
    };
    let (groups, spatial) = (options.groups, size.len());
    let fits = kernel.len() == spatial
        && [options.strides.len(), options.dilations.len(), options.pads.len()] == [spatial; 3]
        && inner.checked_mul(groups) == Some(*channels)
        && groups > 0
        && outputs % groups == 0
        && bias.is_none_or(|bias| bias.shape == [*outputs])
        && !kernel.contains(&0)
        && !options.strides.contains(&0)
        && !options.dilations.contains(&0);
    if !fits {
        return Err(Fault::Shape);
    }
    let steps: Option<Vec<usize>> = (0..spatial)
        .map(|dim| {
            let (before, after) = options.pads[dim];
            let padded = size[dim].checked_add(before)?.checked_add(after)?;
            let reach = (kernel[dim] - 1).checked_mul(options.dilations[dim])?.checked_add(1)?;
            Some(padded.checked_sub(reach)? / options.strides[dim] + 1)
        })
        .collect();
    let steps = steps.ok_or(Fault::Shape)?;
    let shape = [&[1, *outputs], steps.as_slice()].concat();
    let (steps_x, steps_w) = (strides(&x.shape), strides(&weights.shape));
    let mut sources = vec![x, weights];
    sources.extend(bias);
    let total = count(&shape)?;
    let mut out = Builder::new(shape.clone(), total, &sources, budget)?;
    let taps = [&[*inner], kernel].concat();
    let taps_count = count(&taps)?;
    let mut parts = Vec::new();
    each_index(&shape, |index| {
        out.spend(taps_count)?;
        let (output, at) = (index[1], &index[2..]);
        let first_channel = output / (outputs / groups) * inner;
        parts.clear();
        each_index(&taps, |tap| {
            let mut place = (first_channel + tap[0]) * steps_x[1];
            for dim in 0..spatial {
                let padded = at[dim] * options.strides[dim] + tap[1 + dim] * options.dilations[dim];
                match padded.checked_sub(options.pads[dim].0) {
                    Some(inside) if inside < size[dim] => place += inside * steps_x[2 + dim],
                    _ => return Ok(()),
                }
            }
            let weight = output * steps_w[0] + tap.iter().zip(&steps_w[1..]).map(|(i, step)| i * step).sum::<usize>();
            parts.push((weights.offset(weight), x, place));
            Ok(())
        })?;
        out.push(bias.map_or(0.0, |bias| bias.offset(output)), &parts)
    })?;
    let mut made = out.finish();
    made.conv = Some((*channels, count(kernel)?));
    Ok(made)
}

/// The tensors one after the other along a dimension.
pub(super) fn concat(parts: &[&Affine], axis: usize, budget: &mut Budget) -> Result<Affine, Fault> {
    let first = parts.first().ok_or(Fault::Shape)?;
    let alike = |part: &&&Affine| {
        part.shape.len() == first.shape.len()
            && (0..first.shape.len()).all(|dim| dim == axis || part.shape[dim] == first.shape[dim])
    };
    if axis >= first.shape.len() || !parts.iter().all(|part| alike(&part)) {
        return Err(Fault::Shape);
    }
    let mut shape = first.shape.clone();
    shape[axis] = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(part.shape[axis])).ok_or(Fault::Work)?;
    if axis == 0 && parts.iter().any(|part| part.base.is_some()) {
        return Err(Fault::Batch);
    }
    let (outer, inner) = (count(&shape[..axis])?, count(&shape[axis + 1..])?);
    let mut out = Builder::new(shape.clone(), count(&shape)?, parts, budget)?;
    for block in 0..outer {
        for part in parts {
            let run = part.shape[axis] * inner;
            for element in block * run..(block + 1) * run {
                out.push(0.0, &[(1.0, part, element)])?;
            }
        }
    }
    Ok(out.finish())
}

/// Number of elements of a shape.
pub(super) fn count(shape: &[usize]) -> Result<usize, Fault> {
    shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size)).ok_or(Fault::Work)
}

/// The shape both broadcast to: aligned at the end, a 1 or nothing stretches.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], dim: usize| (dim + shape.len()).checked_sub(rank).map_or(1, |dim| shape[dim]);
    let both = |dim| match (size(a, dim), size(b, dim)) {
        (a, b) if a == b => Some(a),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    };
    (0..rank).map(both).collect()
}

/// Strides of a tensor read by the indices of a shape it broadcasts to.
fn broadcast_strides(from: &[usize], to: &[usize]) -> Vec<usize> {
    let own = strides(from);
    let stride = |dim: usize| match (dim + from.len()).checked_sub(to.len()) {
        Some(dim) if from[dim] != 1 => own[dim],
        _ => 0,
    };
    (0..to.len()).map(stride).collect()
}

fn place(index: &[usize], strides: &[usize]) -> usize {
    index.iter().zip(strides).map(|(i, stride)| i * stride).sum()
}
