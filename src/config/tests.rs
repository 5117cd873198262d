//! From text to spec or to findings, as the rest of the program sees it.

use std::path::Path;

use super::*;

#[test]
fn the_files_that_the_repository_ships_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["examples/minimal/spotctl.yaml", "examples/worker-gpu/spotctl.yaml"] {
        load(&root.join(name)).unwrap();
    }
    let values = load_env(&root.join("examples/worker-gpu/.env.example")).unwrap();
    assert_eq!(values.len(), 10);
    parse(&template("w"), Path::new("spotctl.yaml")).unwrap();
    assert!(env_file::parse(env_template(), Path::new(".env")).unwrap().is_empty());
}
