//! What is printed for people, editors and programs: help, schema, completions, the manual page, tables.

use super::support::{Folder, MINIMAL, root};

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let folder = Folder::new();
    let mut text = folder.spotctl(&["--help"]).exits(0).stdout();
    for command in [
        "init",
        "prices",
        "plan",
        "apply",
        "up",
        "down",
        "destroy",
        "status",
        "why",
        "reap",
        "quota",
        "quota request",
        "quota watch",
        "params",
        "render",
        "sandbox",
    ] {
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let help = folder.spotctl(&words).exits(0).stdout();
        let own = help.split("Global options").next().unwrap_or_default();
        text.extend(["\n# spotctl ", command, "\n", own]);
    }
    insta::with_settings!({snapshot_path => root().join("tests/fixtures"), prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("help", text);
    });
}

#[test]
fn the_schema_is_the_committed_one() {
    let printed = Folder::new().spotctl(&["schema"]).exits(0).stdout();
    let committed = std::fs::read_to_string(root().join("examples/spotctl.schema.json")).expect("the schema");
    assert_eq!(printed.trim_end(), committed.trim_end());
}

#[test]
fn completions_and_the_manual_page_are_written() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(folder.spotctl(&["completions", shell]).exits(0).stdout().contains("spotctl"));
    }
    assert!(folder.spotctl(&["man"]).exits(0).stdout().starts_with(".ie"));
    folder.spotctl(&["man", "up"]).exits(0);
    folder.spotctl(&["man", "nonsense"]).exits(2);
}

#[test]
fn a_table_is_what_a_person_sees() {
    let folder = Folder::with(MINIMAL);
    let up = folder.spotctl(&["--sandbox", "up"]).exits(0).stdout();
    let mut lines = up.lines();
    assert!(lines.next().unwrap_or_default().starts_with("WORKER"), "{up}");
    let row = lines.next().unwrap_or_default();
    assert!(row.starts_with("i-") && row.contains("running") && row.contains("spot"), "{up}");
    assert!(up.contains("it costs      0.1") && up.contains("it ends itself 8 h after its launch"), "{up}");
}

#[test]
fn policies_are_printed_as_json_that_can_be_pasted() {
    let folder = Folder::with(MINIMAL);
    for whose in ["worker", "operator", "launcher"] {
        let policy = folder.spotctl(&["--sandbox", "render", "policy", whose]).exits(0).json();
        assert_eq!(policy["Version"], "2012-10-17", "{whose}");
    }
    assert!(folder.spotctl(&["--sandbox", "render", "user-data"]).exits(0).stdout().starts_with("#!/bin/bash"));
}
