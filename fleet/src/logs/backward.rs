//! Reads a log from its end, so that a huge one costs no more than what is shown of it.

use std::collections::VecDeque;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::entry::Entry;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Longest line that is kept whole; of a longer one, the beginning.
pub(super) const LINE_MAX: usize = 256 * 1024;
/// Rows kept of one entry: more than any backtrace has.
pub(super) const ROWS_MAX: usize = 1_000;
/// Entries in a row that tell no time, of which the time is still sought.
const TIMELESS_MAX: usize = 1_000;

/// The lines of a file, the last one first.
#[derive(Debug)]
struct Lines {
    file: File,
    /// Everything before it is unread.
    position: u64,
    /// The beginning of what was read, not yet returned.
    buffer: Vec<u8>,
    is_over: bool,
}

impl Lines {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                let line = self.buffer.split_off(end + 1);
                self.buffer.pop();
                return Ok(Some(line));
            }
            if self.position == 0 {
                let line = std::mem::take(&mut self.buffer);
                let is_first = !std::mem::replace(&mut self.is_over, true);
                return Ok(is_first.then_some(line));
            }
            self.read_chunk()?;
        }
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.position).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; length];
        self.position -= length as u64;
        self.file.read_exact_at(&mut chunk, self.position)?;
        chunk.append(&mut self.buffer);
        // There is no line break in what came after the chunk: it is the end of one line.
        chunk.truncate(LINE_MAX.max(length));
        self.buffer = chunk;
        Ok(())
    }
}

/// The entries of a file, the last one first.
#[derive(Debug)]
pub(super) struct Entries {
    lines: Lines,
    service: &'static str,
    /// Read already, the next one first; those at the front tell no time.
    waiting: VecDeque<Entry>,
}

impl Entries {
    /// The entries before `end`.
    pub(super) fn before(file: File, end: u64, service: &'static str) -> Self {
        let lines = Lines { file, position: end, buffer: Vec::new(), is_over: false };
        Self { lines, service, waiting: VecDeque::new() }
    }

    /// The next entry towards the beginning. One that tells no time has that of the one before it
    /// in the file.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let is_known = |first: &Entry| first.time.is_some();
            if self.waiting.front().is_some_and(is_known) || self.waiting.len() > TIMELESS_MAX {
                return Ok(self.waiting.pop_front());
            }
            let Some(entry) = self.read()? else {
                return Ok(self.waiting.pop_front());
            };
            for timeless in &mut self.waiting {
                timeless.time = entry.time;
            }
            self.waiting.push_back(entry);
        }
    }

    fn read(&mut self) -> io::Result<Option<Entry>> {
        let mut rows = VecDeque::new();
        let mut left_out = 0_usize;
        while let Some(bytes) = self.lines.next()? {
            let line = String::from_utf8_lossy(&bytes);
            if let Some(mut entry) = Entry::begin(&line, self.service) {
                add_rows(&mut entry.text, rows, left_out);
                return Ok(Some(entry));
            }
            // What follows the last line break is no row.
            if line.is_empty() && rows.is_empty() {
                continue;
            }
            rows.push_front(line.into_owned());
            if rows.len() > ROWS_MAX {
                rows.pop_back();
                left_out += 1;
            }
        }
        let Some(first) = rows.pop_front() else { return Ok(None) };
        let mut entry = Entry::without_head(first);
        add_rows(&mut entry.text, rows, left_out);
        Ok(Some(entry))
    }
}

/// Adds further rows to what is shown of an entry, and how many are not shown.
fn add_rows(text: &mut String, rows: impl IntoIterator<Item = String>, left_out: usize) {
    for row in rows {
        text.push('\n');
        text.push_str(&row);
    }
    if left_out > 0 {
        let _ = write!(text, "\n({left_out} more rows)");
    }
}

/// Where the last whole line of a file ends: somebody may be in the middle of the next one.
pub(super) fn end_of_lines(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let size = usize::try_from(end).map_or(CHUNK, |left| left.min(CHUNK));
        let mut chunk = vec![0; size];
        let start = end - size as u64;
        file.read_exact_at(&mut chunk, start)?;
        if let Some(found) = chunk.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + found as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Folder;
    use super::*;

    fn read(text: &[u8]) -> Vec<Entry> {
        let folder = Folder::new();
        let path = folder.write("order-service.log", text);
        let file = File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut entries = Entries::before(file, length, "order-service");
        let mut all = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            all.push(entry);
        }
        all
    }

    fn line(second: u32, text: &str) -> String {
        format!("2026-01-02T03:04:{second:02}Z  INFO t: {text}\n")
    }

    #[test]
    fn the_last_entry_comes_first_with_all_its_rows() {
        let text = line(1, "one") + &line(2, "two") + "   row\n\n   last row\n" + &line(3, "three");
        let texts: Vec<String> = read(text.as_bytes()).into_iter().map(|one| one.text).collect();
        assert!(texts[0].ends_with("three") && texts[2].ends_with("one"), "{texts:?}");
        assert!(texts[1].ends_with("two\n   row\n\n   last row"), "{texts:?}");
        assert!(read(b"").is_empty());
    }

    #[test]
    fn lines_across_chunks_are_whole() {
        let long = "é".repeat(CHUNK);
        let text = line(1, "one") + &line(2, &long) + &line(3, "three");
        let entries = read(text.as_bytes());
        assert_eq!(entries.len(), 3);
        assert!(entries[1].text.ends_with(&long));
    }

    #[test]
    fn of_a_line_without_end_the_beginning_is_kept() {
        let text = line(1, "one") + line(2, &"x".repeat(3 * LINE_MAX)).trim_end();
        let entries = read(text.as_bytes());
        assert_eq!(entries.len(), 2);
        assert!(entries[0].text.starts_with("2026-01-02T03:04:02Z"));
        assert!(entries[0].text.len() <= LINE_MAX + CHUNK, "{}", entries[0].text.len());
    }

    #[test]
    fn more_rows_than_are_kept_are_counted() {
        let text = line(1, "one") + &"row\n".repeat(ROWS_MAX + 7);
        let entries = read(text.as_bytes());
        assert_eq!(entries.len(), 1);
        assert!(entries[0].text.ends_with("row\n(7 more rows)"));
    }

    #[test]
    fn what_tells_no_time_has_that_of_the_entry_before_it() {
        let text = line(1, "one") + "thread 'main' panicked at x:\nboom\norder-service: boom\n";
        let entries = read(text.as_bytes());
        assert_eq!(entries.len(), 3);
        assert!(entries.iter().all(|entry| entry.time == entries[2].time));
        assert!(entries[1].text.ends_with("\nboom"), "{entries:?}");
        assert_eq!(read(b"order-service: boom\n")[0].time, None);
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let mut text = line(1, "one").into_bytes();
        text.extend(b"\xff\xfe\n");
        assert!(read(&text)[0].text.ends_with("\u{fffd}\u{fffd}"));
    }

    #[test]
    fn the_end_of_the_last_whole_line_is_found() {
        let folder = Folder::new();
        for (text, end) in [("", 0), ("half", 0), ("one\n", 4), ("one\nhalf", 4)] {
            let file = File::open(folder.write("a.log", text.as_bytes())).unwrap();
            assert_eq!(end_of_lines(&file, text.len() as u64).unwrap(), end, "{text}");
        }
        let long = format!("one\n{}", "x".repeat(2 * CHUNK));
        let file = File::open(folder.write("a.log", long.as_bytes())).unwrap();
        assert_eq!(end_of_lines(&file, long.len() as u64).unwrap(), 4);
    }
}
