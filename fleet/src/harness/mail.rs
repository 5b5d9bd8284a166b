//! What a fleet sent by e-mail: notify-service leaves each message as a file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// How long a message may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// More messages than a test has sent.
const FILES_MAX: &str = "100000";

/// The messages of a fleet.
#[derive(Clone, Debug)]
pub struct Mailbox {
    folder: PathBuf,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The whole message.
    pub text: String,
}

impl Mail {
    /// The link in it.
    pub fn link(&self) -> Result<&str> {
        let is_link = |line: &&str| line.starts_with("http") && line.contains("#token=");
        self.text.lines().find(is_link).with_context(|| format!("no link in {}", self.text))
    }

    /// The token in its link.
    pub fn token(&self) -> Result<&str> {
        let link = self.link()?;
        Ok(link.split_once("#token=").map(|(_, token)| token).unwrap_or_default())
    }
}

impl Mailbox {
    pub(super) fn in_state(state: &Path) -> Self {
        Self { folder: state.join("mail") }
    }

    /// What tells notify-service to leave its messages here.
    pub(super) fn variables(&self) -> [(String, String); 2] {
        let variable = |end: &str, value: String| (format!("EH_NOTIFY__MAIL__{end}"), value);
        [
            variable("FOLDER", self.folder.display().to_string()),
            variable("FOLDER_FILES_MAX", FILES_MAX.to_owned()),
        ]
    }

    /// Takes the folder away with what is in it: no message can be left until [`Mailbox::open`].
    pub fn close(&self) -> Result<()> {
        if self.folder.is_dir() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        // Where a file is, no folder can be made.
        std::fs::write(&self.folder, "").context("the place of the folder cannot be taken")
    }

    /// Lets messages be left again.
    pub fn open(&self) -> Result<()> {
        std::fs::remove_file(&self.folder).context("the folder is not closed")
    }

    /// The messages to an address, oldest first.
    pub fn mails_to(&self, address: &str) -> Result<Vec<Mail>> {
        // With or without brackets: both are an address (RFC 5322).
        let names = |line: &str| {
            line.strip_prefix("To: ").is_some_and(|to| to.trim_matches(['<', '>']) == address)
        };
        let mut found = Vec::new();
        for path in self.files()? {
            // The oldest may be removed meanwhile.
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if text.lines().any(names) {
                found.push((path, Mail { text }));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found.into_iter().map(|(_, mail)| mail).collect())
    }

    /// Waits for the message to an address that comes after `before` others.
    pub async fn mail_to(&self, address: &str, before: usize) -> Result<Mail> {
        wait::until("a message by e-mail", PATIENCE, || async {
            Ok(self.mails_to(address)?.into_iter().nth(before))
        })
        .await
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        if !self.folder.exists() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&self.folder)?;
        let paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "eml")).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_their_address_and_links_in_them() {
        let state = std::env::temp_dir().join(format!("ehub-mail-{}", rand::random::<u64>()));
        let mailbox = Mailbox::in_state(&state);
        assert!(mailbox.mails_to("a@x.example").unwrap().is_empty());
        let folder = state.join("mail");
        std::fs::create_dir_all(&folder).unwrap();
        let text = |to: &str, token: &str| {
            format!("To: {to}\r\n\r\nOpen:\r\nhttps://x.example/#token={token}\r\n")
        };
        std::fs::write(folder.join("2.eml"), text("a@x.example", "two")).unwrap();
        std::fs::write(folder.join("1.eml"), text("<a@x.example>", "one")).unwrap();
        std::fs::write(folder.join("3.eml"), text("b@x.example", "three")).unwrap();
        std::fs::write(folder.join(".4"), text("a@x.example", "unfinished")).unwrap();
        let mails = mailbox.mails_to("a@x.example").unwrap();
        let tokens: Vec<_> = mails.iter().map(|mail| mail.token().unwrap()).collect();
        assert_eq!(tokens, ["one", "two"]);
        mailbox.close().unwrap();
        assert!(std::fs::create_dir_all(&folder).is_err());
        mailbox.open().unwrap();
        assert!(mailbox.mails_to("a@x.example").unwrap().is_empty());
        std::fs::remove_dir_all(state).unwrap();
    }
}
