//! The ledger's file: lines of JSON, only ever appended.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::entry::Entry;

/// The open file. It is locked: two providers on one ledger would each miss half of it.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens or creates the file and tells every entry in it.
    ///
    /// A last line without an end was never answered for: the process died while it wrote it. It is
    /// cut off. Anything else that cannot be read is damage that nobody should build upon.
    pub fn open(path: &Path, mut tell: impl FnMut(Entry)) -> Result<Self> {
        let name = path.display().to_string();
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let file = options.open(path).with_context(|| format!("{name} cannot be opened"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!("another provider uses {name}"),
            Err(TryLockError::Error(error)) => return Err(error).context(name),
        }
        let mut reader = BufReader::new(&file);
        let (mut whole, mut line) = (0_u64, Vec::new());
        for number in 1_u64.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let entry = serde_json::from_slice(&line);
            tell(entry.with_context(|| format!("{name}: line {number} is damaged"))?);
            whole += read as u64;
        }
        file.set_len(whole)?;
        file.sync_all()?;
        sync_folder(path)?;
        let mut journal = Self { file };
        journal.file.seek(SeekFrom::End(0))?;
        Ok(journal)
    }

    /// Appends lines; they are on disk when this returns.
    pub fn append(&mut self, lines: &[u8]) -> Result<()> {
        self.file.write_all(lines)?;
        Ok(self.file.sync_data()?)
    }
}

/// A new file is lost with its name, unless its folder is on disk as well.
fn sync_folder(path: &Path) -> Result<()> {
    let absolute = std::path::absolute(path)?;
    let folder = absolute.parent().context("a ledger without a folder")?;
    Ok(File::open(folder)?.sync_all()?)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::sandbox::entry::Ending;
    use crate::sandbox::test_folder;

    fn entry(key: &str) -> Entry {
        let at = DateTime::from_timestamp(1_767_323_045, 0).unwrap();
        Entry::Ended { key: key.to_owned(), ending: Ending::Delivered, at }
    }

    fn line(key: &str) -> Vec<u8> {
        let mut line = serde_json::to_vec(&entry(key)).unwrap();
        line.push(b'\n');
        line
    }

    fn read(path: &Path) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        Journal::open(path, |entry| entries.push(entry))?;
        Ok(entries)
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let folder = test_folder("torn");
        let path = folder.join("ledger");
        let (first, second) = (line("one"), line("two"));
        for torn in 0..second.len() {
            std::fs::write(&path, [&first[..], &second[..torn]].concat()).unwrap();
            assert_eq!(read(&path).unwrap(), [entry("one")], "torn after {torn} bytes");
            assert_eq!(std::fs::read(&path).unwrap(), first);
        }
        let mut journal = Journal::open(&path, |_| {}).unwrap();
        journal.append(&second).unwrap();
        drop(journal);
        assert_eq!(read(&path).unwrap(), [entry("one"), entry("two")]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damage_before_the_end_stops_the_start() {
        let folder = test_folder("damage");
        let path = folder.join("ledger");
        let bytes = [line("one"), b"{}\n".to_vec(), line("two")].concat();
        std::fs::write(&path, &bytes).unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("line 2"));
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing was cut");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_providers_cannot_share_a_ledger() {
        let folder = test_folder("shared");
        let path = folder.join("ledger");
        let first = Journal::open(&path, |_| {}).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("another provider"));
        drop(first);
        assert!(read(&path).unwrap().is_empty());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
