//! The operators by name: reads a node's attributes and inputs, and calls the arithmetic.

use super::Fault;
use super::affine::{Affine, Budget, each_index, strides};
use super::classes::{self, Value};
use super::linear::{self, Binary, Convolution, Gemm};
use super::proto::Node;

/// A node with the values of its inputs.
pub(super) struct Call<'a> {
    pub node: &'a Node<'a>,
    /// By position; nothing where an optional input is left out.
    pub inputs: Vec<Option<&'a Value>>,
    /// Operator set of the file.
    pub opset: i64,
}

impl Call<'_> {
    /// The node's first output. Activations are not computed here, since they end a layer.
    pub fn apply(&self, budget: &mut Budget) -> Result<Value, Fault> {
        let standard = match self.node.domain {
            "" | "ai.onnx" => true,
            "ai.onnx.ml" => false,
            _ => return Err(Fault::Operator),
        };
        match (standard, self.node.operator) {
            (true, "Sigmoid") => return classes::sigmoid(self.affine(0)?),
            (true, "Softmax") => {
                let x = self.affine(0)?;
                let axis = self.axis("axis", if self.opset < 13 { 1 } else { -1 }, x.shape.len())?;
                return classes::softmax(x, axis, budget);
            }
            (false, "Scaler") | (true, _) => {}
            (false, "ZipMap") if self.inputs.iter().flatten().any(|input| input.is_probability()) => {}
            (false, _) => return Err(Fault::Operator),
        }
        if self.inputs.iter().flatten().any(|input| input.is_probability()) {
            if !known(self.node.operator) {
                return Err(Fault::Operator);
            }
            let class = self.input(1).and_then(|value| value.affine().ok()).and_then(|index| index.values());
            let class = class.and_then(|index| if let [index] = index { whole(*index) } else { None });
            return classes::apply(self.node.operator, &self.inputs, class, budget);
        }
        self.linear(budget).map(Value::Affine)
    }

    fn linear(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        match self.node.operator {
            "Identity" | "Cast" => Ok(self.affine(0)?.clone()),
            // Training is over: dropout passes everything on.
            "Dropout" => Ok(self.affine(0)?.clone()),
            "Constant" => self.constant_node(),
            "Add" => self.binary(Binary::Add, budget),
            "Sub" => self.binary(Binary::Sub, budget),
            "Mul" => self.binary(Binary::Mul, budget),
            "Div" => self.binary(Binary::Div, budget),
            "Neg" => {
                let minus = Affine::constant(Vec::new(), vec![-1.0]);
                linear::binary(Binary::Mul, self.affine(0)?, &minus, budget)
            }
            "MatMul" => linear::matmul(self.affine(0)?, self.affine(1)?, budget),
            "Gemm" => self.gemm(budget),
            "Conv" => self.convolution(budget),
            "BatchNormalization" => self.batch_normalisation(budget),
            "Scaler" => self.scaler(budget),
            "ReduceMean" | "ReduceSum" => self.reduce(budget),
            "GlobalAveragePool" => {
                let x = self.affine(0)?;
                let axes: Vec<usize> = (2..x.shape.len()).collect();
                linear::reduce(x, &axes, true, true, budget)
            }
            "Concat" => self.concat(budget),
            "Shape" => self.shape(),
            "Flatten" => self.flatten(),
            "Reshape" => self.reshape(),
            "Squeeze" => self.squeeze(),
            "Unsqueeze" => self.unsqueeze(),
            "Transpose" => self.transpose(budget),
            "Gather" => self.gather(budget),
            "Slice" => self.slice(budget),
            _ => Err(Fault::Operator),
        }
    }

    fn binary(&self, op: Binary, budget: &mut Budget) -> Result<Affine, Fault> {
        linear::binary(op, self.affine(0)?, self.affine(1)?, budget)
    }

    fn gemm(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let options = Gemm {
            alpha: self.float("alpha", 1.0),
            beta: self.float("beta", 1.0),
            transposed: [self.int("transA", 0) != 0, self.int("transB", 0) != 0],
        };
        let c = self.input(2).map(Value::affine).transpose()?;
        linear::gemm(&options, self.affine(0)?, self.affine(1)?, c, budget)
    }

    fn convolution(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let (x, weights) = (self.affine(0)?, self.constant(1)?);
        let bias = if self.input(2).is_some() { Some(self.constant(2)?) } else { None };
        let spatial = x.shape.len().saturating_sub(2);
        let by_dimension = |name| match self.sizes(name)? {
            sizes if sizes.is_empty() => Ok(vec![1; spatial]),
            sizes => Ok(sizes),
        };
        let pads = match self.text("auto_pad") {
            None | Some(b"NOTSET") => match self.sizes("pads")? {
                pads if pads.is_empty() => vec![(0, 0); spatial],
                pads if pads.len() == 2 * spatial => {
                    pads[..spatial].iter().copied().zip(pads[spatial..].iter().copied()).collect()
                }
                _ => return Err(Fault::Attribute("pads")),
            },
            Some(b"VALID") => vec![(0, 0); spatial],
            Some(_) => return Err(Fault::Attribute("auto_pad")),
        };
        let options = Convolution {
            strides: by_dimension("strides")?,
            dilations: by_dimension("dilations")?,
            pads,
            groups: usize::try_from(self.int("group", 1)).map_err(|_| Fault::Attribute("group"))?,
        };
        linear::convolution(&options, x, weights, bias, budget)
    }

    fn batch_normalisation(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        if self.int("training_mode", 0) != 0 {
            return Err(Fault::Attribute("training_mode"));
        }
        let values = |input| self.constant(input).map(|constant| constant.values().unwrap_or_default());
        let [scale, bias, mean, variance] = [values(1)?, values(2)?, values(3)?, values(4)?];
        let epsilon = self.float("epsilon", 1e-5);
        linear::batch_normalisation(self.affine(0)?, [scale, bias, mean, variance], epsilon, budget)
    }

    /// `(x - offset) * scale`, each one number for all or one for each feature.
    fn scaler(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let constant = |name, neutral: f64| {
            let values = self.node.attribute(name).map_or_else(|| vec![neutral], |a| a.floats.clone());
            Affine::constant(vec![values.len()], values)
        };
        let centred = linear::binary(Binary::Sub, self.affine(0)?, &constant("offset", 0.0), budget)?;
        linear::binary(Binary::Mul, &centred, &constant("scale", 1.0), budget)
    }

    fn reduce(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let rank = x.shape.len();
        let axes = self.axes(rank)?;
        if axes.is_empty() && self.int("noop_with_empty_axes", 0) != 0 {
            return Ok(x.clone());
        }
        let axes = if axes.is_empty() { (0..rank).collect() } else { axes };
        linear::reduce(x, &axes, self.int("keepdims", 1) != 0, self.node.operator == "ReduceMean", budget)
    }

    fn concat(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let parts: Vec<&Affine> = (0..self.inputs.len()).map(|input| self.affine(input)).collect::<Result<_, _>>()?;
        let rank = parts.first().map_or(0, |part| part.shape.len());
        linear::concat(&parts, self.axis("axis", 1, rank)?, budget)
    }

    fn constant_node(&self) -> Result<Affine, Fault> {
        let [attribute] = self.node.attributes.as_slice() else { return Err(Fault::Operator) };
        match (attribute.name, attribute) {
            ("value", a) if a.tensor.is_some() => {
                let tensor = a.tensor.as_ref().ok_or(Fault::Operator)?;
                Ok(Affine::constant(tensor.shape.clone(), tensor.values.clone()))
            }
            ("value_float", a) => Ok(Affine::constant(Vec::new(), vec![a.float.unwrap_or(0.0)])),
            ("value_int", a) => Ok(Affine::constant(Vec::new(), vec![a.int.unwrap_or(0) as f64])),
            ("value_floats", a) => Ok(Affine::constant(vec![a.floats.len()], a.floats.clone())),
            ("value_ints", a) => {
                Ok(Affine::constant(vec![a.ints.len()], a.ints.iter().map(|&int| int as f64).collect()))
            }
            _ => Err(Fault::Attribute("value")),
        }
    }

    fn shape(&self) -> Result<Affine, Fault> {
        if self.node.attribute("start").is_some() || self.node.attribute("end").is_some() {
            return Err(Fault::Attribute("start"));
        }
        let shape = &self.affine(0)?.shape;
        Ok(Affine::constant(vec![shape.len()], shape.iter().map(|&size| size as f64).collect()))
    }

    fn flatten(&self) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let rank = x.shape.len();
        let axis = match self.int("axis", 1) {
            axis if axis == rank as i64 => rank,
            _ => self.axis("axis", 1, rank)?,
        };
        let rows = linear::count(&x.shape[..axis])?;
        Ok(x.reshaped(vec![rows, linear::count(&x.shape[axis..])?]))
    }

    fn reshape(&self) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let asked = self.integers(1)?;
        let allow_zero = self.int("allowzero", 0) != 0;
        let mut shape = Vec::with_capacity(asked.len());
        for (dim, &size) in asked.iter().enumerate() {
            shape.push(match size {
                0 if !allow_zero => Some(*x.shape.get(dim).ok_or(Fault::Shape)?),
                -1 => None,
                size => Some(usize::try_from(size).map_err(|_| Fault::Shape)?),
            });
        }
        let known: Vec<usize> = shape.iter().copied().flatten().collect();
        let known = linear::count(&known)?;
        let free = shape.iter().filter(|size| size.is_none()).count();
        let rest = x.len().checked_div(known).unwrap_or(0);
        let fits = if free == 0 { known == x.len() } else { free == 1 && known * rest == x.len() };
        if !fits {
            return Err(Fault::Shape);
        }
        Ok(x.reshaped(shape.into_iter().map(|size| size.unwrap_or(rest)).collect()))
    }

    fn squeeze(&self) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let axes = self.axes(x.shape.len())?;
        let gone = |dim: usize| if axes.is_empty() { x.shape[dim] == 1 } else { axes.contains(&dim) };
        if axes.iter().any(|&axis| x.shape[axis] != 1) {
            return Err(Fault::Shape);
        }
        Ok(x.reshaped((0..x.shape.len()).filter(|&dim| !gone(dim)).map(|dim| x.shape[dim]).collect()))
    }

    fn unsqueeze(&self) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let asked = self.axes_asked()?;
        let rank = x.shape.len() + asked.len();
        let axes = places(&asked, rank)?;
        let mut sizes = x.shape.iter().copied();
        let shape = (0..rank).map(|dim| if axes.contains(&dim) { Some(1) } else { sizes.next() });
        Ok(x.reshaped(shape.collect::<Option<_>>().ok_or(Fault::Shape)?))
    }

    fn transpose(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let rank = x.shape.len();
        let perm = match self.node.attribute("perm") {
            Some(perm) => places(&perm.ints, rank)?,
            None => (0..rank).rev().collect(),
        };
        if perm.len() != rank {
            return Err(Fault::Attribute("perm"));
        }
        let own = strides(&x.shape);
        let steps: Vec<usize> = perm.iter().map(|&dim| own[dim]).collect();
        self.picked(x, perm.iter().map(|&dim| x.shape[dim]).collect(), &steps, 0, budget)
    }

    fn gather(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let axis = self.axis("axis", 0, x.shape.len())?;
        let (indices, index_shape) = (self.integers(1)?, &self.constant(1)?.shape);
        let size = x.shape[axis] as i64;
        let wanted: Option<Vec<usize>> = indices
            .iter()
            .map(|&index| usize::try_from(if index < 0 { index + size } else { index }).ok())
            .map(|index| index.filter(|&index| index < x.shape[axis]))
            .collect();
        let wanted = wanted.ok_or(Fault::Shape)?;
        let shape = [&x.shape[..axis], index_shape, &x.shape[axis + 1..]].concat();
        let (outer, inner) = (linear::count(&x.shape[..axis])?, linear::count(&x.shape[axis + 1..])?);
        budget.spend(linear::count(&shape)?)?;
        let place = |block: usize, index: usize| (block * x.shape[axis] + index) * inner;
        let places: Vec<usize> = (0..outer)
            .flat_map(|block| wanted.iter().map(move |&index| place(block, index)))
            .flat_map(|start| start..start + inner)
            .collect();
        x.picked(shape, &places, budget)
    }

    /// Steps forward only.
    fn slice(&self, budget: &mut Budget) -> Result<Affine, Fault> {
        let x = self.affine(0)?;
        let rank = x.shape.len();
        let (starts, ends, axes, steps) = if self.opset < 10 {
            let ints = |name| self.node.attribute(name).map_or_else(Vec::new, |a| a.ints.clone());
            (ints("starts"), ints("ends"), ints("axes"), Vec::new())
        } else {
            let optional = |input| if self.input(input).is_some() { self.integers(input) } else { Ok(Vec::new()) };
            (self.integers(1)?, self.integers(2)?, optional(3)?, optional(4)?)
        };
        let axes = if axes.is_empty() { (0..starts.len()).collect() } else { places(&axes, rank)? };
        if axes.len() != starts.len() || ends.len() != starts.len() || axes.len() > rank {
            return Err(Fault::Shape);
        }
        let (mut shape, mut strides, mut first) = (x.shape.clone(), strides(&x.shape), 0);
        for (which, &axis) in axes.iter().enumerate() {
            let size = x.shape[axis] as i64;
            let bound = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
            let step = match steps.get(which) {
                None => 1,
                Some(&step) => usize::try_from(step).ok().filter(|&step| step > 0).ok_or(Fault::Attribute("steps"))?,
            };
            let (start, end) = (bound(starts[which]), bound(ends[which]));
            shape[axis] = ((end - start).max(0) as usize).div_ceil(step);
            first += start as usize * strides[axis];
            strides[axis] = strides[axis].saturating_mul(step);
        }
        if axes.contains(&0) && shape[0] != x.shape[0] && x.base.is_some() {
            return Err(Fault::Batch);
        }
        self.picked(x, shape, &strides, first, budget)
    }

    /// The elements at `first` plus multiples of the strides.
    fn picked(
        &self,
        x: &Affine,
        shape: Vec<usize>,
        strides: &[usize],
        first: usize,
        budget: &mut Budget,
    ) -> Result<Affine, Fault> {
        budget.spend(linear::count(&shape)?)?;
        let mut places = Vec::new();
        each_index(&shape, |index| {
            places.push(first + index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>());
            Ok(())
        })?;
        x.picked(shape, &places, budget)
    }

    fn input(&self, place: usize) -> Option<&Value> {
        self.inputs.get(place).copied().flatten()
    }

    pub fn affine(&self, place: usize) -> Result<&Affine, Fault> {
        self.input(place).ok_or(Fault::Constant(place))?.affine()
    }

    fn constant(&self, place: usize) -> Result<&Affine, Fault> {
        self.affine(place).ok().filter(|affine| affine.values().is_some()).ok_or(Fault::Constant(place))
    }

    /// A constant of whole numbers.
    fn integers(&self, place: usize) -> Result<Vec<i64>, Fault> {
        let values = self.constant(place)?.values().unwrap_or_default();
        values.iter().map(|&value| whole(value)).collect::<Option<_>>().ok_or(Fault::Constant(place))
    }

    fn float(&self, name: &str, default: f64) -> f64 {
        self.node.attribute(name).and_then(|attribute| attribute.float).unwrap_or(default)
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attribute(name).and_then(|attribute| attribute.int).unwrap_or(default)
    }

    fn text(&self, name: &str) -> Option<&[u8]> {
        self.node.attribute(name).and_then(|attribute| attribute.text)
    }

    fn sizes(&self, name: &'static str) -> Result<Vec<usize>, Fault> {
        let ints = self.node.attribute(name).map_or(&[][..], |attribute| &attribute.ints);
        ints.iter().map(|&int| usize::try_from(int).map_err(|_| Fault::Attribute(name))).collect()
    }

    fn axis(&self, name: &'static str, default: i64, rank: usize) -> Result<usize, Fault> {
        Ok(places(&[self.int(name, default)], rank).map_err(|_| Fault::Attribute(name))?[0])
    }

    /// Axes of an operator that once had them as an attribute and now has them as its second input.
    fn axes(&self, rank: usize) -> Result<Vec<usize>, Fault> {
        places(&self.axes_asked()?, rank)
    }

    fn axes_asked(&self) -> Result<Vec<i64>, Fault> {
        match self.node.attribute("axes") {
            Some(axes) => Ok(axes.ints.clone()),
            None if self.input(1).is_some() => self.integers(1),
            None => Ok(Vec::new()),
        }
    }
}

/// Whether an operator is one of the supported ones, so that it is no wonder to meet it behind a probability.
fn known(operator: &str) -> bool {
    const KNOWN: [&str; 9] =
        ["Identity", "Cast", "ZipMap", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Sub", "Concat"];
    KNOWN.contains(&operator) || operator == "Gather"
}

/// Axes counted from 0, each once; negative ones count from the end.
fn places(axes: &[i64], rank: usize) -> Result<Vec<usize>, Fault> {
    let place = |&axis: &i64| {
        let from_start = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
        usize::try_from(from_start).ok().filter(|&axis| axis < rank)
    };
    let places: Vec<usize> = axes.iter().map(place).collect::<Option<_>>().ok_or(Fault::Shape)?;
    let mut seen = vec![false; rank];
    let twice = places.iter().any(|&axis| std::mem::replace(&mut seen[axis], true));
    if twice { Err(Fault::Shape) } else { Ok(places) }
}

/// The integer a double is, if it is one.
fn whole(value: f64) -> Option<i64> {
    (value.fract() == 0.0 && value.is_finite()).then_some(value as i64)
}
