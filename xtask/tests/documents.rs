//! The documents name files that exist: a newcomer who follows `ARCHITECTURE.md` finds each hop where it says.

use std::path::Path;

/// Documents whose `code spans` and links are checked.
const DOCUMENTS: [&str; 4] = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "benches/README.md"];
/// First folders of the repository: a code span that begins with one of them is a path.
const FOLDERS: [&str; 9] =
    ["agents/", "inference/", "zkml/", "gpu-kernels/", "policies/", "deploy/", "benches/", "docs/", "xtask/"];

/// What a document names that is not there.
fn missing(root: &Path, document: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root.join(document)).expect("the document exists");
    let folder = Path::new(document).parent().expect("a file has a folder");
    let spans = text.split('`').skip(1).step_by(2).filter(|span| FOLDERS.iter().any(|f| span.starts_with(f)));
    let spans = spans.filter(|span| !span.contains(['*', '<', ' ', '$']) && !span.contains("NNNN"));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains(':'));
    let spans = spans.map(|span| (span, root.join(span)));
    let links = links.map(|link| (link, root.join(folder).join(link.split('#').next().unwrap_or(link))));
    spans.chain(links).filter(|(_, path)| !path.exists()).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn documents_name_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for document in DOCUMENTS {
        assert_eq!(missing(&root, document), Vec::<String>::new(), "{document}");
    }
}

#[test]
fn a_name_without_a_file_is_found() {
    let root = tempfile_folder();
    std::fs::create_dir_all(root.join("docs")).unwrap();
    std::fs::write(root.join("docs/here.md"), "").unwrap();
    std::fs::write(root.join("README.md"), "`docs/here.md` `docs/gone.md` `a word` [x](docs/here.md) [y](gone.md)")
        .unwrap();
    assert_eq!(missing(&root, "README.md"), ["docs/gone.md", "gone.md"]);
    std::fs::remove_dir_all(root).unwrap();
}

/// What `docs/forgeries.md` names by file and function and is not there, and rows that name nothing.
fn missing_tests(root: &Path, document: &str) -> Vec<String> {
    let rows = document.lines().filter(|line| line.starts_with("| ")).filter(|line| !line.starts_with("| forgery |"));
    let unnamed = rows.clone().filter(|row| !row.contains("::") || row.matches('|').count() != 4);
    let spans = document.split('`').skip(1).step_by(2).filter(|span| span.contains("::"));
    let gone = spans.filter(|span| !span.split_once("::").is_some_and(|(file, name)| has_test(&root.join(file), name)));
    unnamed.chain(gone).map(str::to_owned).collect()
}

/// Whether a file has a test of this name: a Rust function under `#[test]` or a Solidity function.
fn has_test(file: &Path, name: &str) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let names = |line: &str| {
        let rest = ["async fn ", "fn ", "function "].iter().find_map(|keyword| line.strip_prefix(keyword));
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let is_test = |index: usize| {
        lines[index].starts_with("function test")
            || index > 0 && ["#[test]", "#[tokio::test"].iter().any(|mark| lines[index - 1].starts_with(mark))
    };
    (0..lines.len()).any(|index| names(lines[index]) && is_test(index))
}

#[test]
fn every_forgery_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = std::fs::read_to_string(root.join("docs/forgeries.md")).expect("the table is committed");
    assert_eq!(missing_tests(&root, &document), Vec::<String>::new());
    assert!(document.matches("::").count() > 60, "the table has its rows");
}

#[test]
fn a_forgery_without_a_test_is_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = "tests/documents.rs";
    let row = |name: &str| format!("| what | `{here}::{name}` | gate |");
    assert_eq!(missing_tests(root, &row("every_forgery_has_a_test")), Vec::<String>::new());
    for name in ["every_forgery", "has_test", "every_forgery_has_a_tes"] {
        assert_eq!(missing_tests(root, &row(name)), [format!("{here}::{name}")]);
    }
    assert_eq!(missing_tests(root, "| what | no test | gate |"), ["| what | no test | gate |"]);
    assert_eq!(missing_tests(root, "`gone.rs::every_forgery_has_a_test`").len(), 1);
}

fn tempfile_folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("hygeia-documents-{}", std::process::id()))
}
