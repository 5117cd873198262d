//! Two stores on one file are two processes.

use std::fs;

use tempfile::TempDir;

use super::*;

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("sandbox.json");
    (folder, path)
}

/// Another process's.
fn store(path: &Path) -> Store {
    Store::new(path.to_owned())
}

fn put(store: &Store, key: &str, value: &str) {
    store.change(|world| world.principals.insert(key.to_owned(), value.to_owned())).unwrap();
}

fn get(store: &Store, key: &str) -> Option<String> {
    store.change(|world| world.principals.get(key).cloned()).unwrap()
}

/// So much that the state is no small one.
fn grown(path: &Path) -> Store {
    let store = store(path);
    put(&store, "much", &"x".repeat(usize::try_from(SMALL).unwrap()));
    store
}

fn journals(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut journals: Vec<String> = names.filter(|name| name.ends_with(".journal")).collect();
    journals.sort();
    journals
}

#[test]
fn two_on_one_file_see_what_the_other_wrote() {
    for begin in [store, grown] {
        let (_folder, path) = folder();
        let (one, other) = (begin(&path), store(&path));
        for round in ["a", "b", "c"] {
            put(&one, "one", round);
            assert_eq!(get(&other, "one").as_deref(), Some(round));
            put(&other, "other", round);
            assert_eq!(get(&one, "other").as_deref(), Some(round));
        }
        assert_eq!(get(&store(&path), "other").as_deref(), Some("c"), "and whoever comes new");
    }
}

#[test]
fn a_small_state_is_in_its_file_whole_and_a_large_ones_file_stays_while_the_journal_grows() {
    let (_folder, path) = folder();
    let small = store(&path);
    put(&small, "a", "1");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(r#""principals":{"a":"1"}"#) && journals(&path).is_empty(), "{text}");

    let large = grown(&path);
    let before = fs::metadata(&path).unwrap();
    put(&large, "a", "2");
    assert!(Seen::new(File::open(&path).unwrap()).unwrap().is_current(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
    assert_eq!(fs::read_to_string(path.with_extension("0.journal")).unwrap(), "{\"principals\":{\"a\":[\"2\"]}}\n");
}

#[test]
fn a_journal_as_long_as_the_state_is_folded_into_it() {
    let (_folder, path) = folder();
    let (one, other) = (grown(&path), store(&path));
    let long = "y".repeat(usize::try_from(SMALL).unwrap());
    for round in 0..4 {
        put(&one, "long", &format!("{long}{round}"));
        put(&one, "short", &round.to_string());
        assert_eq!(get(&other, "short"), Some(round.to_string()));
    }
    assert_eq!(journals(&path).len(), 1, "{:?}", journals(&path));
    assert_ne!(journals(&path), ["sandbox.0.journal"]);
    let length = fs::metadata(path.with_file_name(&journals(&path)[0])).unwrap().len();
    assert!(length <= fs::metadata(&path).unwrap().len() + SMALL * 2, "{length}");
}

#[test]
fn who_was_killed_over_a_line_leaves_the_state_before_it() {
    let (_folder, path) = folder();
    put(&grown(&path), "a", "1");
    let journal = path.with_extension("0.journal");
    let whole = fs::read(&journal).unwrap();
    let (one, running) = (store(&path), store(&path));
    assert_eq!(get(&running, "a").as_deref(), Some("1"));
    for cut in 1..whole.len() {
        let half = [&whole, &whole[..cut]].concat();
        fs::write(&journal, half).unwrap();
        assert_eq!(get(&one, "a").as_deref(), Some("1"), "cut at {cut}");
    }
    put(&one, "b", "2");
    for store in [running, store(&path)] {
        assert_eq!(get(&store, "a").as_deref(), Some("1"));
        assert_eq!(get(&store, "b").as_deref(), Some("2"));
    }
}

#[test]
fn who_was_killed_over_the_whole_state_leaves_the_state_before_it() {
    for begin in [store, grown] {
        let (_folder, path) = folder();
        put(&begin(&path), "a", "1");
        fs::write(path.with_extension("next"), "{\"iam\":").unwrap();
        // Killed after the rename, before the journal that was folded was removed: it is named no more.
        fs::write(path.with_extension("7.journal"), "{\"principals\":{\"a\":[\"9\"]}}\n").unwrap();
        assert_eq!(get(&store(&path), "a").as_deref(), Some("1"));
        put(&store(&path), "b", "2");
        assert_eq!(get(&store(&path), "a").as_deref(), Some("1"));
    }
}

#[test]
fn a_state_that_somebody_put_back_or_took_away_is_seen() {
    for begin in [store, grown] {
        let (_folder, path) = folder();
        let running = begin(&path);
        put(&running, "a", "1");
        let text = fs::read(&path).unwrap();
        put(&running, "a", "2");
        // In place, as somebody's editor does; the journal went with the state that it was of.
        for journal in journals(&path) {
            fs::remove_file(path.with_file_name(journal)).unwrap();
        }
        fs::write(&path, &text).unwrap();
        let before = serde_json::from_slice::<World>(&text).unwrap().principals.get("a").cloned();
        assert_eq!(get(&running, "a"), before);

        put(&running, "a", "3");
        fs::remove_file(&path).unwrap();
        assert_eq!(get(&running, "a"), None);
        put(&running, "b", "4");
        assert_eq!((get(&store(&path), "a"), get(&store(&path), "b").as_deref()), (None, Some("4")));
    }
}

#[test]
fn who_only_looks_writes_nothing() {
    let (_folder, path) = folder();
    let store = store(&path);
    assert_eq!(get(&store, "a"), None);
    assert!(!path.exists());
    put(&store, "a", "1");
    let before = Seen::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    assert!(before.is_current(&path).unwrap());
}

#[test]
fn a_large_account_that_was_forgotten_is_forgotten_everywhere() {
    let (_folder, path) = folder();
    let (one, other) = (grown(&path), store(&path));
    // Its second journal.
    for round in ["1", "2", "3"] {
        put(&one, "more", &round.repeat(usize::try_from(SMALL).unwrap()));
    }
    put(&one, "a", "1");
    assert_eq!(get(&other, "a").as_deref(), Some("1"));
    assert_ne!(journals(&path), ["sandbox.0.journal"]);
    one.change(|world| *world = World::default()).unwrap();
    for store in [other, one, store(&path)] {
        assert_eq!(get(&store, "a"), None);
    }
}

#[test]
fn a_file_that_is_no_state_is_an_error_and_is_left_as_it_is() {
    let (_folder, path) = folder();
    fs::write(&path, "[]").unwrap();
    let error = store(&path).change(|_| ()).unwrap_err();
    assert!(error.to_string().contains("is no sandbox's state"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "[]");
}
