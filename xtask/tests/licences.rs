//! Every dependency's licence is one that `deny.toml` allows.
//!
//! `cargo deny` is the fuller check; this one runs wherever the tests do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What `deny.toml` allows: for every crate, and for single ones.
struct Policy {
    allowed: Vec<String>,
    exceptions: BTreeMap<String, Vec<String>>,
}

impl Policy {
    /// Reads the two lists out of the file, each entry of which stands on its own line.
    fn parse(text: &str) -> Self {
        let allowed = list(text, "allow").flat_map(quoted).collect();
        let exceptions = list(text, "exceptions").filter(|line| line.starts_with('{')).map(|line| {
            let mut words = quoted(line).into_iter();
            (words.next().expect("an exception names a crate"), words.collect())
        });
        Self { allowed, exceptions: exceptions.collect() }
    }

    fn permits(&self, krate: &str, licence: &str) -> bool {
        let exception = self.exceptions.get(krate);
        let allowed = |id: &str| self.allowed.iter().chain(exception.into_iter().flatten()).any(|known| known == id);
        Expression::parse(licence).is_some_and(|expression| expression.holds(&allowed))
    }
}

fn list<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let opening = format!("{name} = [");
    let lines = text.lines().skip_while(move |line| *line != opening).skip(1);
    lines.take_while(|line| *line != "]").map(str::trim).filter(|line| !line.starts_with('#'))
}

fn quoted(line: &str) -> Vec<String> {
    line.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// An SPDX licence expression.
#[derive(Debug, PartialEq)]
enum Expression {
    Id(String),
    All(Vec<Expression>),
    Any(Vec<Expression>),
}

impl Expression {
    /// Parses an expression; `/` is the older way to write OR.
    fn parse(text: &str) -> Option<Self> {
        let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let mut words = spaced.split_whitespace().collect::<Vec<_>>();
        words.reverse();
        let expression = Self::any(&mut words)?;
        words.is_empty().then_some(expression)
    }

    fn any(words: &mut Vec<&str>) -> Option<Self> {
        Self::chain(words, "OR", Self::all, Self::Any)
    }

    fn all(words: &mut Vec<&str>) -> Option<Self> {
        Self::chain(words, "AND", Self::one, Self::All)
    }

    fn chain(
        words: &mut Vec<&str>,
        operator: &str,
        part: fn(&mut Vec<&str>) -> Option<Self>,
        join: fn(Vec<Self>) -> Self,
    ) -> Option<Self> {
        let mut parts = vec![part(words)?];
        while words.last() == Some(&operator) {
            words.pop();
            parts.push(part(words)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(join(parts)) }
    }

    fn one(words: &mut Vec<&str>) -> Option<Self> {
        let word = words.pop()?;
        if word == "(" {
            let inner = Self::any(words)?;
            return (words.pop() == Some(")")).then_some(inner);
        }
        if ["OR", "AND", "WITH", ")"].contains(&word) {
            return None;
        }
        if words.last() == Some(&"WITH") {
            words.pop();
            return Some(Self::Id(format!("{word} WITH {}", words.pop()?)));
        }
        Some(Self::Id(word.to_owned()))
    }

    fn holds(&self, allowed: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Id(id) => allowed(id),
            Self::All(parts) => parts.iter().all(|part| part.holds(allowed)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(allowed)),
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn policy() -> Policy {
    Policy::parse(&fs::read_to_string(root().join("deny.toml")).expect("deny.toml is committed"))
}

/// The packages that are built for the target that `deny.toml` names.
fn dependencies() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let nodes = metadata["resolve"]["nodes"].as_array().expect("a resolved graph");
    let used = nodes.iter().filter_map(|node| node["id"].as_str()).collect::<Vec<_>>();
    let packages = metadata["packages"].as_array().expect("packages");
    let external = packages.iter().filter(|package| !package["source"].is_null());
    external.filter(|package| used.contains(&package["id"].as_str().expect("an id"))).cloned().collect()
}

/// The licence of a package whose manifest names a file instead, where the file is one we know.
fn named_by_file(package: &Value) -> Option<&'static str> {
    let manifest = Path::new(package["manifest_path"].as_str()?);
    let text = fs::read_to_string(manifest.parent()?.join(package["license_file"].as_str()?)).ok()?;
    let words: Vec<&str> = text.split_whitespace().take(7).collect();
    // The title, and the last clause of the terms: the whole text is there.
    let is_apache = words.starts_with(&["Apache", "License", "Version", "2.0,", "January", "2004"]);
    (is_apache && text.contains("9. Accepting Warranty or Additional Liability.")).then_some("Apache-2.0")
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let policy = policy();
    let refused = dependencies().into_iter().filter_map(|package| {
        let name = package["name"].as_str().expect("a name");
        let licence =
            package["license"].as_str().or_else(|| named_by_file(&package)).unwrap_or("no licence in its manifest");
        (!policy.permits(name, licence)).then(|| format!("{name} {}: {licence}", package["version"]))
    });
    let refused = refused.collect::<Vec<_>>();
    assert!(refused.is_empty(), "not allowed by deny.toml:\n{}", refused.join("\n"));
}

#[test]
fn the_policy_is_read_whole() {
    let policy = policy();
    assert!(policy.allowed.len() >= 5, "{:?}", policy.allowed);
    assert_eq!(policy.exceptions["fastrlp"], ["MPL-2.0"]);
}

#[test]
fn expressions_are_understood() {
    let policy = Policy::parse(
        "allow = [\n    \"MIT\",\n    \"Apache-2.0 WITH LLVM-exception\",\n]\nexceptions = [\n    # why\n    \
         { crate = \"odd\", allow = [\"MPL-2.0\"] },\n]\n",
    );
    for (licence, permitted) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("GPL-3.0 OR MIT", true),
        ("GPL-3.0/MIT", true),
        ("GPL-3.0 AND MIT", false),
        ("(GPL-3.0 OR MIT) AND MIT", true),
        ("MIT AND GPL-3.0 OR MIT", true),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("MPL-2.0", false),
        ("(MIT", false),
        ("MIT MIT", false),
        ("", false),
    ] {
        assert_eq!(policy.permits("plain", licence), permitted, "{licence}");
    }
    assert!(policy.permits("odd", "MPL-2.0"));
}
