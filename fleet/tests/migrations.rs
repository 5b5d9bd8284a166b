//! Expand, then contract: a schema is changed so that the version before can go on working on it.
//!
//! While a fleet is rolled, replicas of two versions work on one schema. So a migration may add what
//! the older one does not know, and may take away what it uses only when no replica of it can be left.
//! Such a statement says so in the comment before it: `-- contract: RELEASE`, the first release whose
//! code does without.

use std::fs;
use std::path::Path;

/// What begins a statement that takes something away, or changes what it is.
const DESTRUCTIVE: [&str; 3] = ["DROP ", "RENAME ", "TRUNCATE "];
/// The same, among the changes of a table.
const DESTRUCTIVE_CHANGES: [&str; 5] = [" DROP ", " RENAME ", " MODIFY ", " CHANGE ", " CONVERT "];

/// A statement with the comment before it.
struct Statement {
    comment: String,
    /// In capitals, with single blanks.
    text: String,
}

impl Statement {
    /// What the statement does to code that does not know of it, if anything.
    fn harm(&self) -> Option<String> {
        let text = format!("{} ", self.text);
        if let Some(word) = DESTRUCTIVE.iter().find(|word| text.starts_with(*word)) {
            return Some(word.trim().to_owned());
        }
        // Also inside the text of a prepared statement.
        let change = text.split_once("ALTER TABLE ")?.1;
        if let Some(word) = DESTRUCTIVE_CHANGES.iter().find(|word| change.contains(*word)) {
            return Some(word.trim().to_owned());
        }
        let columns = change.split("ADD COLUMN ").skip(1);
        let mut demanded =
            columns.filter(|column| column.contains("NOT NULL") && !column.contains("DEFAULT"));
        demanded.next().map(|column| format!("NOT NULL without a default: {column}"))
    }

    /// The release that the comment names.
    fn contract(&self) -> Option<&str> {
        let (_, after) = self.comment.split_once("contract:")?;
        let release = after.split_whitespace().next()?;
        let mut numbers = release.split('.').map(str::parse::<u32>);
        let is_release = numbers.clone().count() == 3 && numbers.all(|number| number.is_ok());
        is_release.then_some(release)
    }
}

/// Divides a file at its semicolons; no text in a migration contains one.
fn statements(sql: &str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let (mut comment, mut text) = (String::new(), String::new());
    for line in sql.lines() {
        let (code, remark) = line.split_once("--").unwrap_or((line, ""));
        comment.push_str(remark);
        comment.push('\n');
        let mut pieces = code.split(';').peekable();
        while let Some(piece) = pieces.next() {
            text.push_str(&piece.to_uppercase());
            text.push(' ');
            if pieces.peek().is_some() {
                let words: Vec<_> = text.split_whitespace().collect();
                let text_of = words.join(" ");
                statements.push(Statement { comment: std::mem::take(&mut comment), text: text_of });
                text.clear();
            }
        }
    }
    assert!(text.trim().is_empty(), "a statement without an end: {text}");
    statements
}

fn complaints(sql: &str) -> Vec<String> {
    let harmful = statements(sql).into_iter().filter(|statement| statement.contract().is_none());
    harmful.filter_map(|statement| statement.harm()).collect()
}

#[test]
fn no_migration_takes_away_what_the_version_before_needs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = 0;
    for service in fleet::services::Service::ALL {
        let Ok(folder) = fs::read_dir(root.join(service.name).join("migrations")) else { continue };
        for file in folder {
            let path = file.unwrap().path();
            let found = complaints(&fs::read_to_string(&path).unwrap());
            assert!(found.is_empty(), "{}: {found:?}; see docs/RESILIENCE.md", path.display());
            files += 1;
        }
    }
    assert!(files > 20, "{files} migrations");
}

#[test]
fn what_takes_away_is_seen() {
    for harmful in [
        "DROP TABLE orders;",
        "rename table a to b;",
        "TRUNCATE TABLE a;",
        "ALTER TABLE a\n    DROP COLUMN b;",
        "ALTER TABLE a ADD COLUMN c INT NULL, DROP KEY d;",
        "ALTER TABLE a RENAME COLUMN b TO c;",
        "ALTER TABLE a MODIFY b BIGINT NOT NULL;",
        "ALTER TABLE a CHANGE b c INT;",
        "ALTER TABLE a ADD COLUMN b INT NOT NULL;",
        "ALTER TABLE a ADD COLUMN b INT NULL, ADD COLUMN c INT NOT NULL;",
        "SET @change = IF(@missing, 'ALTER TABLE a DROP COLUMN b', 'DO 0');",
        "-- contract: soon\nDROP TABLE a;",
        "-- contract: 0.2.0\nDROP TABLE a; DROP TABLE b;",
    ] {
        assert!(!complaints(harmful).is_empty(), "{harmful}");
    }
}

#[test]
fn what_adds_or_says_when_is_not() {
    for harmless in [
        "CREATE TABLE IF NOT EXISTS a (b INT NOT NULL);",
        "ALTER TABLE a ADD COLUMN b INT NULL, ADD KEY c (b);",
        "ALTER TABLE a ADD COLUMN b INT NOT NULL DEFAULT 0;",
        "PREPARE x FROM @change; EXECUTE x; DEALLOCATE PREPARE x;",
        "-- Nobody reads it any more.\n-- contract: 0.2.0\nDROP TABLE a;",
        "-- One does not DROP TABLE here.\nDO 0;",
    ] {
        assert!(complaints(harmless).is_empty(), "{harmless}");
    }
}
