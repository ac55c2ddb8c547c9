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

fn tempfile_folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("hygeia-documents-{}", std::process::id()))
}
