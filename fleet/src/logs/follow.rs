//! Follows a log: what is added to it, also after it was cut off, set aside or made anew.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use super::backward::{LINE_MAX, ROWS_MAX};
use super::entry::Entry;

/// Bytes taken at a time: a process that writes faster is read in several steps.
const STEP: usize = 1024 * 1024;

/// A log that is followed.
#[derive(Debug)]
pub(super) struct Follower {
    service: &'static str,
    path: PathBuf,
    file: Option<File>,
    /// Everything before it was read.
    position: u64,
    /// The beginning of a line whose end is not written yet.
    half: Vec<u8>,
    /// The last entry, as long as further rows may come.
    last: Option<Entry>,
    rows: usize,
}

/// What one look at a log has brought.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Whole entries.
    pub(super) entries: Vec<Entry>,
    /// Whether the file was cut off since the last look.
    pub(super) is_cut: bool,
    /// Whether there may be more at once.
    pub(super) has_more: bool,
}

impl Follower {
    /// Follows a log from `position`; `None` in place of a file that is still to come.
    pub(super) fn new(
        service: &'static str,
        path: PathBuf,
        file: Option<File>,
        position: u64,
    ) -> Self {
        Self { service, path, file, position, half: Vec::new(), last: None, rows: 0 }
    }

    /// Takes what is new. Never waits.
    pub(super) fn look(&mut self) -> io::Result<News> {
        let mut news = News::default();
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &self.file else { return Ok(news) };
        let mut chunk = vec![0; STEP];
        let length = file.read_at(&mut chunk, self.position)?;
        chunk.truncate(length);
        self.position += length as u64;
        if length > 0 {
            self.take(&chunk, &mut news.entries);
            news.has_more = length == STEP;
            return Ok(news);
        }
        // Nothing came: whatever the last entry has, it has.
        news.entries.extend(self.last.take());
        if file.metadata()?.len() < self.position {
            self.begin_anew();
            news.is_cut = true;
        } else if self.was_replaced()? {
            self.file = None;
            self.begin_anew();
            news.has_more = true;
        }
        Ok(news)
    }

    fn open(&mut self) -> io::Result<()> {
        match File::open(&self.path) {
            Ok(file) => self.file = Some(file),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn begin_anew(&mut self) {
        self.position = 0;
        self.half.clear();
    }

    /// Whether another file bears the name now; none at all is one that is still to come.
    fn was_replaced(&self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(false) };
        match std::fs::metadata(&self.path) {
            Ok(found) => {
                let ours = file.metadata()?;
                Ok((found.dev(), found.ino()) != (ours.dev(), ours.ino()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, chunk: &[u8], entries: &mut Vec<Entry>) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_MAX.saturating_sub(self.half.len());
            let (piece, is_whole) = match piece.split_last() {
                Some((b'\n', piece)) => (piece, true),
                _ => (piece, false),
            };
            self.half.extend_from_slice(piece.get(..room).unwrap_or(piece));
            if is_whole {
                let line = std::mem::take(&mut self.half);
                self.add(&String::from_utf8_lossy(&line), entries);
            }
        }
    }

    fn add(&mut self, line: &str, entries: &mut Vec<Entry>) {
        if let Some(mut entry) = Entry::begin(line, self.service) {
            let before = self.last.take();
            if entry.time.is_none() {
                entry.time = before.as_ref().and_then(|before| before.time);
            }
            entries.extend(before);
            self.last = Some(entry);
            self.rows = 0;
            return;
        }
        self.rows += 1;
        match &mut self.last {
            Some(_) if self.rows > ROWS_MAX => {}
            Some(entry) => {
                entry.text.push('\n');
                entry.text.push_str(line);
            }
            None => self.last = Some(Entry::without_head(line.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::super::fixtures::Folder;
    use super::*;

    fn follower(folder: &Folder) -> Follower {
        Follower::new("order-service", folder.path("order-service.log"), None, 0)
    }

    fn append(folder: &Folder, text: &str) {
        let path = folder.path("order-service.log");
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Looks until there is nothing more; as many looks as that takes, and no time.
    fn texts(follower: &mut Follower) -> Vec<String> {
        let mut texts = Vec::new();
        let mut quiet = 0;
        while quiet < 2 {
            let news = follower.look().unwrap();
            quiet = if news.entries.is_empty() && !news.has_more { quiet + 1 } else { 0 };
            texts.extend(news.entries.into_iter().map(|entry| entry.text));
        }
        texts
    }

    const ONE: &str = "2026-01-02T03:04:01Z  INFO t: one\n";
    const TWO: &str = "2026-01-02T03:04:02Z  INFO t: two\n";

    #[test]
    fn a_log_that_is_still_to_come_is_followed_from_its_beginning() {
        let folder = Folder::new();
        let mut follower = follower(&folder);
        assert!(texts(&mut follower).is_empty());
        append(&folder, ONE);
        assert_eq!(texts(&mut follower), [ONE.trim_end()]);
    }

    #[test]
    fn an_entry_is_told_whole() {
        let folder = Folder::new();
        let mut follower = follower(&folder);
        let (half, rest) = TWO.split_at(30);
        append(&folder, &format!("{ONE}   row\n{half}"));
        assert_eq!(texts(&mut follower), [format!("{ONE}   row")]);
        append(&folder, rest);
        assert_eq!(texts(&mut follower), [TWO.trim_end()]);
    }

    #[test]
    fn a_log_that_was_cut_off_is_read_from_its_new_beginning() {
        let folder = Folder::new();
        let mut follower = follower(&folder);
        append(&folder, &format!("{ONE}{ONE}"));
        assert_eq!(texts(&mut follower).len(), 2);
        folder.write("order-service.log", b"");
        assert!(follower.look().unwrap().is_cut);
        append(&folder, TWO);
        assert_eq!(texts(&mut follower), [TWO.trim_end()]);
    }

    #[test]
    fn a_log_that_was_set_aside_is_read_to_its_end_and_the_new_one_after_it() {
        let folder = Folder::new();
        let mut follower = follower(&folder);
        append(&folder, ONE);
        assert_eq!(texts(&mut follower).len(), 1);
        append(&folder, TWO);
        let path = folder.path("order-service.log");
        fs::rename(&path, folder.path("order-service.log.old")).unwrap();
        append(&folder, ONE);
        assert_eq!(texts(&mut follower), [TWO.trim_end(), ONE.trim_end()]);
    }

    #[test]
    fn endless_lines_and_rows_take_bounded_room() {
        let folder = Folder::new();
        let mut follower = follower(&folder);
        append(&folder, &format!("{}\n", "x".repeat(2 * STEP)));
        assert_eq!(texts(&mut follower)[0].len(), LINE_MAX);
        append(&folder, &format!("{ONE}{}", "row\n".repeat(ROWS_MAX + 9)));
        assert_eq!(texts(&mut follower)[0].lines().count(), ROWS_MAX + 1);
    }
}
