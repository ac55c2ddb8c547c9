//! Logistic regression by iteratively reweighted least squares, in double precision and in one order of summation.

/// Newton steps after which fitting ends whatever has changed: some eight are usual.
const STEPS_MAX: usize = 50;
/// A step this small is the end.
const STEP_MIN: f64 = 1e-9;
/// Times a step that made things worse is halved before fitting ends where it stands.
const HALVINGS_MAX: usize = 20;

/// Rows to fit: each gives its inputs (the caller's buffer has a 1 for the intercept in its last place), its target
/// between 0 and 1, and how much it counts.
pub(crate) trait Design {
    /// Inputs without the intercept.
    fn width(&self) -> usize;
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Fills `x` with the inputs of a row and gives target and weight.
    fn row(&self, row: usize, x: &mut [f64]) -> (f64, f64);
}

/// Coefficients of the inputs and, last, the intercept. `ridge` is the weight of half their sum of squares, which the
/// intercept is spared. Nothing when the rows do not determine them.
pub(crate) fn fit_logistic(design: &impl Design, ridge: f64) -> Option<Vec<f64>> {
    let mut at = vec![0.0; design.width() + 1];
    let mut here = Curvature::of(design, ridge, &at);
    for _ in 0..STEPS_MAX {
        let step = here.newton_step()?;
        let mut size = 1.0;
        let mut halvings = 0;
        let next = loop {
            let moved: Vec<f64> = at.iter().zip(&step).map(|(at, step)| at + size * step).collect();
            let there = Curvature::of(design, ridge, &moved);
            if there.loss <= here.loss {
                break Some((moved, there));
            }
            halvings += 1;
            if halvings > HALVINGS_MAX {
                break None;
            }
            size /= 2.0;
        };
        let Some((moved, there)) = next else { break };
        (at, here) = (moved, there);
        if step.iter().all(|step| (size * step).abs() < STEP_MIN) {
            break;
        }
    }
    at.iter().all(|value| value.is_finite()).then_some(at)
}

/// Probability of log-odds.
pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 { 1.0 / (1.0 + (-z).exp()) } else { z.exp() / (1.0 + z.exp()) }
}

/// Loss, gradient and second derivatives (lower triangle by rows) at one point.
struct Curvature {
    loss: f64,
    gradient: Vec<f64>,
    hessian: Vec<Vec<f64>>,
}

impl Curvature {
    fn of(design: &impl Design, ridge: f64, at: &[f64]) -> Self {
        let size = at.len();
        let (mut loss, mut gradient) = (0.0, vec![0.0; size]);
        let mut hessian: Vec<Vec<f64>> = (0..size).map(|row| vec![0.0; row + 1]).collect();
        let mut x = vec![1.0; size];
        for row in 0..design.rows() {
            let (target, weight) = design.row(row, &mut x[..size - 1]);
            let z: f64 = x.iter().zip(at).map(|(x, at)| x * at).sum();
            let p = sigmoid(z);
            // softplus(z) - target * z, in the form that does not overflow.
            loss += weight * (z.max(0.0) + (-z.abs()).exp().ln_1p() - target * z);
            let (residual, curvature) = (weight * (p - target), weight * p * (1.0 - p));
            for (index, line) in hessian.iter_mut().enumerate() {
                gradient[index] += residual * x[index];
                let factor = curvature * x[index];
                for (sum, x) in line.iter_mut().zip(&x) {
                    *sum += factor * x;
                }
            }
        }
        for index in 0..size - 1 {
            loss += ridge / 2.0 * at[index] * at[index];
            gradient[index] += ridge * at[index];
            hessian[index][index] += ridge;
        }
        Self { loss, gradient, hessian }
    }

    /// The step to the minimum of the parabola at this point. Nothing when it has none.
    fn newton_step(&self) -> Option<Vec<f64>> {
        let factor = cholesky(&self.hessian)?;
        let size = self.gradient.len();
        let mut step: Vec<f64> = self.gradient.iter().map(|gradient| -gradient).collect();
        for row in 0..size {
            let sum: f64 = (0..row).map(|column| factor[row][column] * step[column]).sum();
            step[row] = (step[row] - sum) / factor[row][row];
        }
        for row in (0..size).rev() {
            let sum: f64 = (row + 1..size).map(|below| factor[below][row] * step[below]).sum();
            step[row] = (step[row] - sum) / factor[row][row];
        }
        Some(step)
    }
}

/// The lower triangle whose product with its transpose is a symmetric matrix. Nothing when that is not positive.
fn cholesky(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    let mut factor: Vec<Vec<f64>> = matrix.to_vec();
    for row in 0..matrix.len() {
        for column in 0..=row {
            let sum: f64 = (0..column).map(|k| factor[row][k] * factor[column][k]).sum();
            let rest = matrix[row][column] - sum;
            factor[row][column] = if column == row {
                if rest <= 0.0 || !rest.is_finite() {
                    return None;
                }
                rest.sqrt()
            } else {
                rest / factor[column][column]
            };
        }
    }
    Some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Rows(Vec<(Vec<f64>, f64, f64)>);

    impl Design for Rows {
        fn width(&self) -> usize {
            self.0[0].0.len()
        }

        fn rows(&self) -> usize {
            self.0.len()
        }

        fn row(&self, row: usize, x: &mut [f64]) -> (f64, f64) {
            let (inputs, target, weight) = &self.0[row];
            x.copy_from_slice(inputs);
            (*target, *weight)
        }
    }

    #[test]
    fn coefficients_of_a_known_law_are_found() {
        // Targets are the probabilities themselves: the fit must return the law that made them.
        let row = |n: i32| {
            let x = vec![f64::from(n % 7 - 3) / 2.0, f64::from(n * 5 % 11 - 5) / 4.0];
            let z = 1.5 * x[0] - 0.75 * x[1] - 2.0;
            (x, sigmoid(z), 1.0 + f64::from(n % 3))
        };
        let found = fit_logistic(&Rows((0..200).map(row).collect()), 0.0).unwrap();
        for (found, expected) in found.iter().zip([1.5, -0.75, -2.0]) {
            assert!((found - expected).abs() < 1e-7, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_ridge_holds_what_the_rows_leave_open() {
        let separable = || Rows(vec![(vec![-1.0], 0.0, 1.0), (vec![1.0], 1.0, 1.0)]);
        let held = fit_logistic(&separable(), 1.0).unwrap();
        assert!(held[0] > 0.4 && held[0] < 1.5, "{held:?}");
        // One input twice: without a ridge there is no single best.
        let twice = Rows((0..20).map(|n| (vec![f64::from(n), f64::from(n)], f64::from(n % 2), 1.0)).collect());
        assert_eq!(fit_logistic(&twice, 0.0), None);
        assert!(fit_logistic(&twice, 0.1).is_some());
    }

    #[test]
    fn a_weight_is_as_good_as_repeated_rows() {
        let rows = [(0.5, 1.0), (-0.5, 0.0), (1.0, 0.0), (2.0, 1.0), (-1.0, 1.0)];
        let once = Rows(rows.iter().enumerate().map(|(n, &(x, y))| (vec![x], y, 1.0 + n as f64)).collect());
        let repeated = rows.iter().enumerate().flat_map(|(n, &row)| std::iter::repeat_n(row, n + 1));
        let copies = Rows(repeated.map(|(x, y)| (vec![x], y, 1.0)).collect());
        let (once, copies) = (fit_logistic(&once, 0.1).unwrap(), fit_logistic(&copies, 0.1).unwrap());
        assert!(once.iter().zip(&copies).all(|(a, b)| (a - b).abs() < 1e-9), "{once:?} {copies:?}");
    }
}
