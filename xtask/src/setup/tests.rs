//! Setup's bookkeeping, with a tool that only writes a file.

use std::cell::{Cell, RefCell};

use super::*;

struct Note {
    pin: RefCell<&'static str>,
    installs: Cell<u32>,
    breaks: Cell<bool>,
}

impl Note {
    fn new(pin: &'static str) -> Self {
        Self { pin: RefCell::new(pin), installs: Cell::new(0), breaks: Cell::new(false) }
    }
}

impl Tool for Note {
    fn title(&self) -> String {
        "a note".to_owned()
    }

    fn name(&self) -> &'static str {
        "note"
    }

    fn pin(&self) -> Result<String> {
        Ok((*self.pin.borrow()).to_owned())
    }

    fn is_intact(&self, tools: &Tools) -> bool {
        tools.path("note.txt").is_file()
    }

    fn install(&self, tools: &Tools, scratch: &Path) -> Result<()> {
        assert_eq!(fs::read_dir(scratch)?.count(), 0, "scratch is empty");
        self.installs.set(self.installs.get() + 1);
        if self.breaks.get() {
            bail!("broken half-way");
        }
        fs::write(scratch.join("note.txt"), "note")?;
        fs::rename(scratch.join("note.txt"), tools.path("note.txt"))?;
        Ok(())
    }
}

fn with_folder(test: impl FnOnce(&Path)) {
    let name = std::thread::current().name().unwrap_or("test").replace(':', "-");
    let folder = std::env::temp_dir().join(format!("hygeia-{name}-{}", std::process::id()));
    empty(&folder).unwrap();
    test(&folder);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_tool_is_installed_once_and_again_only_for_a_reason() {
    with_folder(|folder| {
        let tools = Tools { root: folder.to_path_buf() };
        let note = Note::new("note==1");
        let settled = |note: &Note| {
            settle(&tools, note).unwrap();
            note.installs.get()
        };
        assert_eq!(settled(&note), 1, "first run");
        assert_eq!(settled(&note), 1, "second run");
        note.pin.replace("note==2");
        assert_eq!(settled(&note), 2, "changed pin");
        fs::remove_file(tools.path("note.txt")).unwrap();
        assert_eq!(settled(&note), 3, "missing file");
        assert_eq!(settled(&note), 3, "repaired");
    });
}

#[test]
fn a_broken_installation_leaves_no_stamp() {
    with_folder(|folder| {
        let tools = Tools { root: folder.to_path_buf() };
        let note = Note::new("note==1");
        settle(&tools, &note).unwrap();
        note.pin.replace("note==2");
        note.breaks.set(true);
        assert_eq!(settle(&tools, &note).unwrap_err().to_string(), "broken half-way");
        assert_eq!(stamp::read(&tools, "note"), None);
        note.breaks.set(false);
        settle(&tools, &note).unwrap();
        assert_eq!(stamp::read(&tools, "note"), Some(stamp::digest("note==2")));
    });
}

#[test]
fn the_folder_may_be_a_link_whose_target_is_not_there_yet() {
    with_folder(|folder| {
        std::os::unix::fs::symlink("elsewhere/tools", folder.join(".tools")).unwrap();
        let opened = open_folder(&folder.join(".tools")).unwrap();
        assert_eq!(opened, fs::canonicalize(folder).unwrap().join("elsewhere/tools"));
        assert_eq!(open_folder(&folder.join(".tools")).unwrap(), opened, "again");
        assert!(open_folder(&folder.join("absent/deep")).unwrap().is_dir());
    });
}

#[test]
fn a_program_is_placed_over_an_older_one() {
    with_folder(|folder| {
        let tools = Tools { root: folder.to_path_buf() };
        for answer in ["exit 1", "exit 0"] {
            let source = folder.join("source");
            let _ = fs::remove_file(&source);
            fs::write(&source, format!("#!/bin/sh\n{answer}\n")).unwrap();
            place_program(&tools, &source, "program").unwrap();
        }
        assert!(program_answers(&tools, "program", "--version"));
    });
}
