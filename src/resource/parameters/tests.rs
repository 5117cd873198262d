//! Diffs of an invented `.env` and an invented account.

use super::*;

fn wish(env: &[(&str, &str)]) -> Desired {
    let text = "name: w\ncontainer: {image: i}\nparameters: {plain: [PLAIN]}\n";
    let spec = crate::config::parse(text, std::path::Path::new("x")).unwrap();
    let env = env.iter().map(|(key, value)| ((*key).to_owned(), SecretString::from(*value))).collect();
    desired(&spec, Some(&env))
}

fn found(rows: &[(&str, &str, bool)], owned: &[&str]) -> Observed {
    Observed {
        found: rows
            .iter()
            .map(|(key, text, is_plain)| {
                ((*key).to_owned(), Found { text: SecretString::from(*text), is_plain: *is_plain })
            })
            .collect(),
        owned: owned.iter().map(|key| (*key).to_owned()).collect(),
    }
}

const KEEP: Leave = Leave { adopt: false, prune: false };

fn steps(wish: &Desired, observed: &Observed, leave: Leave) -> Vec<(String, Step)> {
    diff(wish, observed, leave).unwrap().steps
}

#[test]
fn only_what_differs_is_written() {
    let wish = wish(&[("A", "1"), ("B", "2"), ("C", "3"), ("PLAIN", "4")]);
    let observed = found(&[("A", "1", false), ("B", "x", false), ("PLAIN", "4", false)], &["A", "B", "PLAIN"]);
    let expected = [("B", Step::Overwrite), ("C", Step::Create), ("PLAIN", Step::Retype)];
    assert_eq!(steps(&wish, &observed, KEEP), expected.map(|(key, step)| (key.to_owned(), step)));
}

#[test]
fn what_vanished_is_reported_and_removed_only_when_asked_and_ours() {
    let wish = wish(&[("A", "1")]);
    let observed = found(&[("A", "1", false), ("OLD", "x", false), ("THEIRS", "y", false)], &["A", "OLD"]);
    let kept = diff(&wish, &observed, KEEP).unwrap();
    assert_eq!((kept.vanished, kept.changes.len()), (vec!["OLD".to_owned()], 0));
    let pruned = steps(&wish, &observed, Leave { prune: true, ..KEEP });
    assert_eq!(pruned, [("OLD".to_owned(), Step::Remove)]);
}

#[test]
fn an_untagged_parameter_is_used_but_never_overwritten_unless_adopted() {
    let observed = found(&[("A", "1", false)], &[]);
    assert!(steps(&wish(&[("A", "1")]), &observed, KEEP).is_empty());
    let error = diff(&wish(&[("A", "secret-value")]), &observed, KEEP).unwrap_err();
    assert!(error.hints[0].contains("--adopt") && !format!("{error:?}").contains("secret-value"));
    let adopt = Leave { adopt: true, ..KEEP };
    let adopted = steps(&wish(&[("A", "2")]), &observed, adopt);
    assert_eq!(adopted, [("A".to_owned(), Step::Adopt { overwrite: true })]);
}

#[test]
fn no_debug_text_shows_a_value() {
    let shown = format!("{:?} {:?}", wish(&[("A", "hush-1")]), found(&[("A", "hush-2", false)], &[]));
    assert!(!shown.contains("hush"), "{shown}");
}
