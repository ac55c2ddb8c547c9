//! tract, in this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tract_onnx::prelude::*;

use super::Runtime;
use super::ours::measure;
use super::record::Measured;

/// 1.0 as a feature.
const ONE: f32 = 1024.0;

/// A model optimised for each batch size.
pub struct Tract {
    path: PathBuf,
    width: usize,
    models: HashMap<usize, Arc<TypedRunnableModel>>,
}

impl Tract {
    pub fn new(path: &Path, width: usize) -> Self {
        Self { path: path.to_owned(), width, models: HashMap::new() }
    }

    fn model(&mut self, batch: usize) -> Arc<TypedRunnableModel> {
        let (path, shape) = (&self.path, [batch, self.width]);
        let made = self.models.entry(batch).or_insert_with(|| {
            let read = tract_onnx::onnx()
                .model_for_path(path)
                .and_then(|model| model.with_input_fact(0, f32::fact(shape).into()));
            read.and_then(|model| model.into_optimized())
                .and_then(|model| model.into_runnable())
                .expect("tract takes it")
        });
        made.clone()
    }

    fn input(&self, windows: &[Vec<i32>]) -> Tensor {
        let floats: Vec<f32> = windows.iter().flatten().map(|&x| x as f32 / ONE).collect();
        Tensor::from_shape(&[windows.len(), self.width], &floats).expect("windows have one width")
    }
}

impl Runtime for Tract {
    fn name(&self) -> String {
        "tract 0.23".to_owned()
    }

    fn scores(&mut self, windows: &[Vec<i32>]) -> Vec<f64> {
        let input = self.input(windows);
        let output = self.model(windows.len()).run(tvec!(input.into())).expect("tract runs");
        let scores = output[0].cast_to::<f64>().expect("numbers");
        scores.as_slice::<f64>().expect("of one type").to_vec()
    }

    fn measure(&mut self, windows: &[Vec<i32>], workers: usize, time: Duration) -> Option<Measured> {
        let (input, model) = (self.input(windows).into_tvalue(), self.model(windows.len()));
        Some(measure(windows.len(), workers, time, || {
            || drop(std::hint::black_box(model.run(tvec!(input.clone())).expect("tract runs")))
        }))
    }
}
