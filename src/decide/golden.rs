//! Compares what is sent to AWS with files that a person can read in a review.

use std::env;
use std::fs;
use std::path::Path;

/// Holds `actual` against `tests/fixtures/golden/<name>`, or writes it there where `SPOTCTL_WRITE_GOLDEN` is set.
pub(super) fn check(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden").join(name);
    if env::var_os("SPOTCTL_WRITE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).unwrap();
        fs::write(&path, actual).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs; set SPOTCTL_WRITE_GOLDEN=1 to write it, then read the diff\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}
