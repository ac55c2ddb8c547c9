//! The state of a training run on disk, so that an interrupted run goes on where it stopped.
//!
//! Two files, each replaced in one step: `teacher.safetensors` holds the teacher's opinions, `state.safetensors` the
//! descent after the last whole epoch. Both name the settings and the data they belong to; another run's are refused.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use safetensors::SafeTensors;

use super::TrainError;
use super::descent::Descent;

const STATE: &str = "state.safetensors";
const TEACHER: &str = "teacher.safetensors";
const OPINIONS: &str = "opinions";
const BEST: &str = "best";

/// Where states are kept, and which run they belong to.
pub(super) struct Checkpoints {
    directory: Option<PathBuf>,
    run: String,
}

/// Where a run was when it was written down, beside its tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Position {
    /// Epochs done.
    pub epoch: usize,
    /// Steps taken.
    pub step: usize,
    /// State of the sequence of random choices.
    pub draw: u64,
    /// The best epoch and its figure.
    pub best: (usize, f64),
}

impl Checkpoints {
    /// Keeps states in `directory`, if there is one, for the run of this digest.
    pub(super) fn new(directory: Option<&Path>, run: [u8; 32]) -> Result<Self, TrainError> {
        if let Some(directory) = directory {
            std::fs::create_dir_all(directory).map_err(|source| unwritable(directory, source))?;
        }
        Ok(Self { directory: directory.map(Path::to_owned), run: hex::encode(run) })
    }

    /// The teacher's opinions of an earlier start of this run.
    pub(super) fn opinions(&self) -> Result<Option<Vec<f32>>, TrainError> {
        let Some((path, bytes)) = self.read(TEACHER)? else { return Ok(None) };
        self.metadata(&path, &bytes)?;
        let tensors = parse(&path, &bytes)?;
        Ok(Some(tensor(&path, &tensors, OPINIONS)?.to_vec1()?))
    }

    pub(super) fn save_opinions(&self, opinions: &[f32]) -> Result<(), TrainError> {
        let tensor = Tensor::from_slice(opinions, opinions.len(), &Device::Cpu)?;
        self.write(TEACHER, &[(OPINIONS.to_owned(), tensor)], HashMap::new())
    }

    /// Puts an earlier start's state into `descent` and returns where it was and the best average.
    pub(super) fn resume(&self, descent: &mut Descent) -> Result<Option<(Position, Vec<Tensor>)>, TrainError> {
        let Some((path, bytes)) = self.read(STATE)? else { return Ok(None) };
        let metadata = self.metadata(&path, &bytes)?;
        let tensors = parse(&path, &bytes)?;
        let position = Position::from_metadata(&metadata).ok_or_else(|| TrainError::Checkpoint(path.clone()))?;
        for (name, var) in descent.variables() {
            let value = tensor(&path, &tensors, &name)?;
            if value.shape() != var.shape() {
                return Err(TrainError::Checkpoint(path));
            }
            var.set(&value)?;
        }
        descent.step = position.step;
        let best = |index| tensor(&path, &tensors, &format!("{BEST}.{index}"));
        let best = (0..descent.average.variables().len()).map(best).collect::<Result<_, _>>()?;
        Ok(Some((position, best)))
    }

    pub(super) fn save(&self, descent: &Descent, best: &[Tensor], position: Position) -> Result<(), TrainError> {
        let state = descent.variables().into_iter().map(|(name, var)| (name, var.as_tensor().clone()));
        let best = best.iter().enumerate().map(|(index, tensor)| (format!("{BEST}.{index}"), tensor.clone()));
        self.write(STATE, &state.chain(best).collect::<Vec<_>>(), position.to_metadata())
    }

    fn read(&self, file: &str) -> Result<Option<(PathBuf, Vec<u8>)>, TrainError> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let path = directory.join(file);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some((path, bytes))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(TrainError::Checkpoint(path)),
        }
    }

    /// The metadata of a file, once it is known to be this run's.
    fn metadata(&self, path: &Path, bytes: &[u8]) -> Result<HashMap<String, String>, TrainError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|_| TrainError::Checkpoint(path.to_owned()))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        match metadata.get("run") {
            Some(run) if *run == self.run => Ok(metadata),
            _ => Err(TrainError::OtherRun(path.to_owned())),
        }
    }

    /// Writes beside the file and renames, so that a crash leaves the old file or the new one.
    fn write(
        &self,
        file: &str,
        tensors: &[(String, Tensor)],
        mut metadata: HashMap<String, String>,
    ) -> Result<(), TrainError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        metadata.insert("run".to_owned(), self.run.clone());
        let named = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let bytes = safetensors::serialize(named, Some(metadata)).map_err(candle_core::Error::from)?;
        let (path, part) = (directory.join(file), directory.join(format!("{file}.part")));
        let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &path));
        written.map_err(|source| unwritable(&path, source))
    }
}

impl Position {
    fn to_metadata(self) -> HashMap<String, String> {
        let entries = [
            ("epoch", self.epoch.to_string()),
            ("step", self.step.to_string()),
            ("draw", self.draw.to_string()),
            ("best_epoch", self.best.0.to_string()),
            // The bits, so that nothing is lost between two starts.
            ("best_value", self.best.1.to_bits().to_string()),
        ];
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    fn from_metadata(metadata: &HashMap<String, String>) -> Option<Self> {
        let get = |key: &str| metadata.get(key)?.parse::<u64>().ok();
        let count = |key: &str| get(key).and_then(|number| usize::try_from(number).ok());
        Some(Self {
            epoch: count("epoch")?,
            step: count("step")?,
            draw: get("draw")?,
            best: (count("best_epoch")?, f64::from_bits(get("best_value")?)),
        })
    }
}

fn parse<'b>(path: &Path, bytes: &'b [u8]) -> Result<SafeTensors<'b>, TrainError> {
    SafeTensors::deserialize(bytes).map_err(|_| TrainError::Checkpoint(path.to_owned()))
}

fn tensor(path: &Path, tensors: &SafeTensors<'_>, name: &str) -> Result<Tensor, TrainError> {
    use candle_core::safetensors::Load;
    let view = tensors.tensor(name).map_err(|_| TrainError::Checkpoint(path.to_owned()))?;
    Ok(view.load(&Device::Cpu)?)
}

fn unwritable(path: &Path, source: std::io::Error) -> TrainError {
    TrainError::WriteCheckpoint { path: path.to_owned(), source }
}
