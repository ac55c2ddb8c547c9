//! Flags of a suite's command line. Those of cargo's own are passed over.

use std::path::Path;

/// The words of the command line.
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Those of this process.
    pub fn read() -> Self {
        Self(std::env::args().collect())
    }

    /// Whether a flag is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// What follows a flag.
    pub fn value(&self, name: &str) -> Option<String> {
        let place = self.0.iter().position(|argument| argument == name)?;
        self.0.get(place + 1).cloned()
    }

    /// The number that follows a flag.
    ///
    /// # Panics
    /// If something else follows it.
    pub fn number(&self, name: &str, default: usize) -> usize {
        self.value(name).map_or(default, |text| text.parse().expect("a number"))
    }

    /// Prints the record with `--json`, writes it with `--record FILE`, a path from the repository's root. Says whether it
    /// was printed.
    pub fn deliver(&self, record: &str) -> bool {
        if let Some(path) = self.value("--record") {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
            std::fs::write(&path, record).expect("the record can be written");
            eprintln!("wrote {}", path.display());
        }
        let is_printed = self.has("--json");
        if is_printed {
            println!("{record}");
        }
        is_printed
    }
}
