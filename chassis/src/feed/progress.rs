//! What a follower of a feed reads next.
//!
//! News come first, always: reading everything anew can take long, and nobody's access may outlive
//! its end for that. Each turn reads the news to their end and then a bounded part of everything; a
//! turn that is cut off goes on where it was, page by page. Only when nothing is known yet,
//! everything comes first, because it is what tells where news begin.

use std::time::Duration;

use tokio::time::Instant;

/// Pages of everything that are read in one turn.
const PAGES: usize = 10;

/// A part of a feed that is read on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What happened since the last look.
    News,
    /// Everything that is in force.
    All,
}

/// How far a follower has come.
#[derive(Debug)]
pub struct Progress {
    /// Pause between two passes over everything.
    every: Duration,
    /// Where news go on; `None` until everything was read.
    news: Option<String>,
    /// Where everything goes on; `None` between two passes.
    all: Option<String>,
    /// When everything is read the next time.
    all_at: Instant,
    /// The news of this turn were not read to their end yet.
    has_news: bool,
    /// Pages of everything that this turn may still read.
    left: usize,
    /// This turn has gone back to the beginning of everything.
    has_restarted: bool,
}

impl Progress {
    /// Begins with everything, and reads it anew `every` so long after the end of the last time.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            news: None,
            all: Some(String::new()),
            all_at: Instant::now(),
            has_news: false,
            left: PAGES,
            has_restarted: false,
        }
    }

    /// Begins a turn.
    pub fn begin(&mut self) {
        self.has_news = self.news.is_some();
        self.left = PAGES;
        self.has_restarted = false;
        if self.all.is_none() && self.all_at <= Instant::now() {
            self.all = Some(String::new());
        }
    }

    /// What the turn reads next, and from which cursor; `None` at its end.
    pub fn due(&self) -> Option<(Part, &str)> {
        match (&self.news, &self.all) {
            (Some(cursor), _) if self.has_news => Some((Part::News, cursor.as_str())),
            (Some(_), Some(cursor)) if self.left > 0 => Some((Part::All, cursor.as_str())),
            (None, Some(cursor)) => Some((Part::All, cursor.as_str())),
            _ => None,
        }
    }

    /// Takes note of a page of `part`: where the next one begins, and whether it is there already.
    /// Returns whether everything has been read by this.
    pub fn advance(&mut self, part: Part, cursor: String, more: bool) -> bool {
        match part {
            Part::News => {
                self.news = Some(cursor);
                self.has_news = more;
                false
            }
            Part::All if more => {
                self.all = Some(cursor);
                self.left = self.left.saturating_sub(1);
                false
            }
            Part::All => {
                self.all = None;
                self.all_at = Instant::now() + self.every;
                self.news.get_or_insert(cursor);
                true
            }
        }
    }

    /// Takes note that the cursor of `part` was refused: everything is read from the beginning.
    /// Returns whether this turn goes on with that; a feed that refuses one cursor after the other is
    /// not asked without a pause.
    pub fn refused(&mut self, part: Part) -> bool {
        match part {
            Part::News => {
                self.news = None;
                self.has_news = false;
                self.all.get_or_insert_default();
            }
            Part::All => self.all = Some(String::new()),
        }
        !std::mem::replace(&mut self.has_restarted, true)
    }

    /// Whether everything was read once, so that nothing of it is missing.
    pub fn is_complete(&self) -> bool {
        self.news.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(1);

    fn due(progress: &Progress) -> Option<(Part, String)> {
        progress.due().map(|(part, cursor)| (part, cursor.to_owned()))
    }

    fn at(part: Part, cursor: &str) -> (Part, String) {
        (part, cursor.to_owned())
    }

    /// One that has read everything, and whose turn is over.
    fn complete() -> Progress {
        let mut progress = Progress::new(EVERY);
        progress.begin();
        assert!(progress.advance(Part::All, "n0".to_owned(), false));
        progress
    }

    #[tokio::test(start_paused = true)]
    async fn everything_comes_first_in_one_turn_and_goes_on_where_it_was_cut_off() {
        let mut progress = Progress::new(EVERY);
        for page in 0..50 {
            if page % 7 == 0 {
                progress.begin();
            }
            let cursor = if page == 0 { String::new() } else { format!("a{page}") };
            assert_eq!(due(&progress), Some(at(Part::All, &cursor)));
            assert!(!progress.advance(Part::All, format!("a{}", page + 1), true));
            assert!(!progress.is_complete());
        }
        assert!(progress.advance(Part::All, "n0".to_owned(), false));
        assert!(progress.is_complete());
        assert_eq!(due(&progress), None);
        progress.begin();
        assert_eq!(due(&progress), Some(at(Part::News, "n0")));
    }

    #[tokio::test(start_paused = true)]
    async fn news_come_before_a_pass_over_everything_that_takes_many_turns() {
        let mut progress = complete();
        tokio::time::advance(EVERY).await;
        let mut pages = 0;
        for turn in 0..3 {
            progress.begin();
            for more in [true, false] {
                assert!(matches!(progress.due(), Some((Part::News, _))));
                progress.advance(Part::News, format!("n{turn}"), more);
            }
            while let Some((part, _)) = progress.due() {
                assert_eq!(part, Part::All);
                pages += 1;
                progress.advance(part, format!("a{pages}"), true);
            }
            assert_eq!(pages, PAGES * (turn + 1));
        }
        progress.begin();
        progress.advance(Part::News, "n9".to_owned(), false);
        assert_eq!(due(&progress), Some(at(Part::All, &format!("a{pages}"))));
        assert!(progress.advance(Part::All, "later".to_owned(), false));
        progress.begin();
        assert_eq!(due(&progress), Some(at(Part::News, "n9")), "news go on where they were");
        progress.advance(Part::News, "n10".to_owned(), false);
        assert_eq!(due(&progress), None, "everything was just read");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_cursor_leads_back_to_the_beginning_once_in_a_turn() {
        let mut progress = complete();
        progress.begin();
        assert!(progress.refused(Part::News));
        assert_eq!(due(&progress), Some(at(Part::All, "")));
        assert!(!progress.is_complete());
        progress.advance(Part::All, "a1".to_owned(), true);
        assert!(!progress.refused(Part::All), "once in a turn");
        progress.begin();
        assert_eq!(due(&progress), Some(at(Part::All, "")));
        assert!(progress.advance(Part::All, "n1".to_owned(), false));
        assert_eq!(due(&progress), None, "the turn is over, whatever was refused in it");
    }
}
