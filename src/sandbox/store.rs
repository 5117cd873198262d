//! Where the state lies: in one JSON file and, once that is large, in a journal of what became of it since.
//!
//! | file | holds |
//! |---|---|
//! | `sandbox.json` | the state, whole; replaced by a rename |
//! | `sandbox.N.journal` | what became of it since, one line a request; `N` is the journal that the state names |
//! | `sandbox.lock` | nothing; whoever holds its lock is alone |
//!
//! Each request locks, reads what others have written since this process last looked (nothing, most of the time), answers,
//! writes and unlocks, so that processes side by side see one account. A process that is killed leaves the old state or the
//! new one: a line without its end counts for nothing, and a state that is written whole names a journal that is not there.
//!
//! A small state is always written whole, so that anybody can read its file. With a large one each request would take as
//! long as the account is large; there only the difference is appended, until the journal is as long as the state.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::world::World;

pub mod delta;
pub mod shared;

use delta::Part;

/// Up to so many bytes a state is small: that of a dozen workers is, each with its user data.
const SMALL: u64 = 512 * 1024;

/// The files, and what this process has read of them.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    known: Mutex<Known>,
}

/// The state as it was when it was last read or written.
#[derive(Debug, Default)]
struct Known {
    world: World,
    /// Of the whole state's file; `None`: there was none.
    file: Option<Seen>,
    /// Bytes of the journal that are in `world`.
    journal: u64,
}

/// A file that was seen. It is held open, so that no other can get its number.
#[derive(Debug)]
struct Seen {
    file: File,
    length: u64,
    modified: (i64, i64),
}

impl Seen {
    fn new(file: File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self { file, length: about.len(), modified: (about.mtime(), about.mtime_nsec()) })
    }

    /// Whether the file of this path is still this one, as it was.
    fn is_current(&self, path: &Path) -> io::Result<bool> {
        let (own, there) = (self.file.metadata()?, fs::metadata(path)?);
        let is_same = (own.dev(), own.ino()) == (there.dev(), there.ino());
        Ok(is_same && self.length == there.len() && self.modified == (there.mtime(), there.mtime_nsec()))
    }
}

impl Store {
    /// The store in this file; nothing is read yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// Runs `change` alone on the state.
    ///
    /// # Errors
    /// The state cannot be read or written; then it is as it was.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> io::Result<T> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = File::create(self.path.with_extension("lock"))?;
        lock.lock()?;
        self.catch_up(&mut known)?;
        let mut world = known.world.clone();
        let result = change(&mut world);
        // Where it goes on is no part of the account, whatever becomes of that.
        world.journal = known.world.journal;
        if let Some(delta) = world.delta(&known.world)? {
            let is_small = known.file.as_ref().is_none_or(|file| file.length <= SMALL.max(known.journal));
            let written = if is_small {
                self.write_whole(&mut known, &mut world)
            } else {
                self.append(&mut known, &(delta.to_string() + "\n"))
            };
            if let Err(error) = written {
                // Whatever is there now is read again.
                *known = Known::default();
                return Err(error);
            }
            known.world = world;
        }
        Ok(result)
    }

    /// Reads what others have written.
    fn catch_up(&self, known: &mut Known) -> io::Result<()> {
        let is_current = match &known.file {
            Some(seen) => seen.is_current(&self.path).or_else(absent)?,
            None => false,
        };
        if !is_current {
            *known = Known::default();
            let Some(mut file) = File::open(&self.path).map(Some).or_else(absent)? else { return Ok(()) };
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            known.world = serde_json::from_slice(&text).map_err(|error| no_state(&self.path, &error))?;
            known.file = Some(Seen::new(file)?);
        }
        self.read_journal(known)
    }

    /// Carries out the whole lines that are new.
    fn read_journal(&self, known: &mut Known) -> io::Result<()> {
        let path = self.journal(&known.world);
        let Some(mut file) = File::open(&path).map(Some).or_else(absent)? else { return Ok(()) };
        file.seek(SeekFrom::Start(known.journal))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        for line in text.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let carried_out = serde_json::from_slice(line).and_then(|delta| known.world.apply(delta));
            if let Err(error) = carried_out {
                *known = Known::default();
                return Err(no_state(&path, &error));
            }
            known.journal += line.len() as u64;
        }
        Ok(())
    }

    fn append(&self, known: &mut Known, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(self.journal(&known.world))?;
        // What somebody was killed over lies behind the last whole line.
        file.set_len(known.journal)?;
        file.seek(SeekFrom::Start(known.journal))?;
        file.write_all(line.as_bytes())?;
        known.journal += line.len() as u64;
        Ok(())
    }

    fn write_whole(&self, known: &mut Known, world: &mut World) -> io::Result<()> {
        let old = (known.journal > 0).then(|| self.journal(&known.world));
        world.journal += u64::from(old.is_some());
        // Where somebody has removed the state alone, or was killed over his first line.
        fs::remove_file(self.journal(world)).or_else(absent)?;
        let next = self.path.with_extension("next");
        let mut file = File::create(&next)?;
        file.write_all(&serde_json::to_vec(world)?)?;
        fs::rename(next, &self.path)?;
        known.file = Some(Seen::new(file)?);
        known.journal = 0;
        // Left behind by whoever is killed here; nothing names it any more.
        old.map_or(Ok(()), |old| fs::remove_file(old).or_else(absent))
    }

    fn journal(&self, world: &World) -> PathBuf {
        self.path.with_extension(format!("{}.journal", world.journal))
    }
}

/// What is not there is not an error here.
fn absent<T: Default>(error: io::Error) -> io::Result<T> {
    if error.kind() == ErrorKind::NotFound { Ok(T::default()) } else { Err(error) }
}

fn no_state(path: &Path, error: &serde_json::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("{} is no sandbox's state: {error}", path.display()))
}

#[cfg(test)]
mod tests;
