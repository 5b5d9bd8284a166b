//! What the tool prints: steps with their time, and tables. Standard output only.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use owo_colors::OwoColorize;

use crate::environment;

/// Prints one line; a closed pipe is nobody's error.
pub fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Prints one line on standard error.
pub fn error_line(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether a person reads standard output.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether standard output takes colours: a terminal, unless NO_COLOR asks otherwise.
pub fn is_coloured() -> bool {
    is_terminal() && environment::find("NO_COLOR").is_none()
}

/// Text of a stranger, without the characters that a terminal obeys.
pub fn printable(text: &str) -> String {
    let escape = |c: char| c.is_control() && c != '\t';
    if !text.contains(escape) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len()), |mut safe, c| {
        if escape(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
        safe
    })
}

/// Tells what is being done and how long it took.
#[derive(Clone, Debug)]
pub struct Progress {
    is_silent: bool,
    is_coloured: bool,
}

impl Progress {
    /// For a person: coloured on a terminal unless NO_COLOR asks otherwise.
    pub fn visible() -> Self {
        Self { is_silent: false, is_coloured: is_coloured() }
    }

    /// For tests.
    pub fn silent() -> Self {
        Self { is_silent: true, is_coloured: false }
    }

    /// Announces a step; its end is told by [`Step::done`].
    pub fn step(&self, what: &str) -> Step<'_> {
        self.print(&format!("{} {what} ...", self.mark("•")));
        Step { progress: self, what: what.to_owned(), start: Instant::now() }
    }

    /// Tells something that is ready, with the time it took.
    pub fn note(&self, what: &str, value: &str, elapsed: Duration) {
        let mark = self.mark("✓");
        self.print(&format!("{mark} {what:<28} {value} ({})", seconds(elapsed)));
    }

    /// Tells something that is neither a step nor a result.
    pub fn tell(&self, text: &str) {
        self.print(&format!("  {text}"));
    }

    fn mark(&self, sign: &str) -> String {
        if self.is_coloured { sign.green().to_string() } else { sign.to_owned() }
    }

    fn print(&self, text: &str) {
        if !self.is_silent {
            line(text);
        }
    }
}

/// A step that has been announced.
#[derive(Debug)]
pub struct Step<'a> {
    progress: &'a Progress,
    what: String,
    start: Instant,
}

impl Step<'_> {
    /// Tells that it is done.
    pub fn done(self, result: &str) {
        self.progress.note(&self.what, result, self.start.elapsed());
    }
}

/// A duration as people read it.
pub fn seconds(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{} ms", duration.as_millis())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

/// Rows as columns of equal width; the last column is never padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|c| width(c)).max())
        .map(Option::unwrap_or_default)
        .collect();
    rows.iter().map(|row| render(row, &widths)).collect()
}

fn render(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, wanted) in row.iter().zip(widths) {
        let padding = wanted.saturating_sub(width(cell)) + 2;
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', padding));
    }
    format!("  {}\n", text.trim_end())
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let rows = [row(&["API", "http://127.0.0.1:8080", ""]), row(&["Ordres ✓", "x", "note"])];
        assert_eq!(
            table(&rows),
            "  API       http://127.0.0.1:8080\n  Ordres ✓  x                      note\n"
        );
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(printable("a\u{1b}[2Jb\tc\r"), "a\\u{1b}[2Jb\tc\\r");
        assert_eq!(printable("订单 ✓"), "订单 ✓");
    }

    #[test]
    fn an_empty_table_is_empty() {
        assert_eq!(table(&[]), "");
    }

    #[test]
    fn short_times_are_in_milliseconds() {
        assert_eq!(seconds(Duration::from_millis(42)), "42 ms");
        assert_eq!(seconds(Duration::from_millis(1_250)), "1.2 s");
    }
}
