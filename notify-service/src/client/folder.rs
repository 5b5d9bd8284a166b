//! Adapter for development: each message is a file that mail programs open.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use lettre::message::header::ContentTransferEncoding;
use tokio::fs::{self, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::mime::{self, Message, Sender};
use super::{MailError, Mailer};
use crate::model::{Letter, MailId};

/// How the files end.
const ENDING: &str = ".eml";

/// Leaves messages in a folder, the latest ones only.
#[derive(Debug)]
pub struct FolderMailer {
    folder: PathBuf,
    files_max: usize,
    sender: Sender,
}

impl FolderMailer {
    /// Leaves messages of `sender` in `folder`, which is made when it is missing; `files_max` of them at
    /// most.
    pub fn new(folder: impl Into<PathBuf>, files_max: usize, sender: Sender) -> Self {
        Self { folder: folder.into(), files_max, sender }
    }

    async fn write(&self, id: MailId, message: &Message) -> io::Result<()> {
        fs::create_dir_all(&self.folder).await?;
        self.make_room().await?;
        let unfinished = self.folder.join(format!(".{id}"));
        write_private(&unfinished, &message.bytes).await?;
        fs::rename(unfinished, self.folder.join(format!("{id}{ENDING}"))).await
    }

    /// Removes the oldest messages: their names begin with the time. Other files are not touched, and
    /// other processes may do the same.
    async fn make_room(&self) -> io::Result<()> {
        let mut names = Vec::new();
        let mut entries = fs::read_dir(&self.folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let name = entry.file_name().into_string().unwrap_or_default();
            if name.strip_suffix(ENDING).is_some_and(|id| MailId::parse(id).is_ok()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        let surplus = (names.len() + 1).saturating_sub(self.files_max);
        for name in &names[..surplus.min(names.len())] {
            match fs::remove_file(self.folder.join(name)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// For the account of this process alone: whoever reads the file has the link.
async fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(path).await?;
    file.write_all(bytes).await?;
    file.flush().await
}

#[async_trait]
impl Mailer for FolderMailer {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        // As it is, for people who open the file.
        let message = mime::write(letter, &self.sender, ContentTransferEncoding::EightBit)?;
        self.write(letter.id, &message).await.map_err(MailError::unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mime::tests::{letter, sender};
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("notify-mail-{}", MailId::generate())))
        }

        fn names(&self) -> Vec<String> {
            let entries = std::fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn a_message_is_a_file_and_one_sent_twice_is_one() {
        let folder = Folder::new();
        let mailer = FolderMailer::new(&folder.0, 3, sender());
        let letter = letter("https://hub.example/#token=x\n");
        mailer.send(&letter).await.unwrap();
        mailer.send(&letter).await.unwrap();
        assert_eq!(folder.names(), [format!("{}.eml", letter.id)]);
        let path = folder.0.join(&folder.names()[0]);
        assert!(
            std::fs::read_to_string(&path).unwrap().contains("https://hub.example/#token=x\r\n")
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn the_latest_messages_stay_and_what_is_none_too() {
        let folder = Folder::new();
        std::fs::create_dir_all(&folder.0).unwrap();
        std::fs::write(folder.0.join("0.eml"), "mine").unwrap();
        let mailer = FolderMailer::new(&folder.0, 3, sender());
        let letters: Vec<_> = (0..5).map(|n| letter(&n.to_string())).collect();
        for letter in &letters {
            mailer.send(letter).await.unwrap();
        }
        let kept = letters[2..].iter().map(|letter| format!("{}.eml", letter.id));
        assert_eq!(
            folder.names(),
            ["0.eml".to_owned()].into_iter().chain(kept).collect::<Vec<_>>()
        );
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_may_be_there_at_another_time() {
        let folder = Folder::new();
        std::fs::write(&folder.0, "a file").unwrap();
        let mailer = FolderMailer::new(&folder.0, 3, sender());
        let refused = mailer.send(&letter("x")).await;
        assert!(matches!(refused, Err(MailError::Unavailable { .. })));
        std::fs::remove_file(&folder.0).unwrap();
    }
}
