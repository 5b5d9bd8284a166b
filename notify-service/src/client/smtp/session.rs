//! What is said on one connection (RFC 5321). Nothing that the server says leaves this module but its codes:
//! servers repeat addresses.

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};

use super::super::MailError;

/// Longest line of an answer: twice what RFC 5321 allows.
const LINE_MAX: u64 = 1024;
/// Lines of an answer at most.
const LINES_MAX: usize = 100;

/// What a session runs on.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A server answered with an unexpected code.
#[derive(Debug, thiserror::Error)]
#[error("the server answered with code {0}")]
struct Unexpected(u16);

/// A server does not speak as expected.
#[derive(Debug, thiserror::Error)]
#[error("the server does not speak SMTP: {0}")]
struct Malformed(&'static str);

/// An answer.
struct Reply {
    code: u16,
    lines: Vec<String>,
}

/// A conversation with a server.
pub(super) struct Session {
    stream: BufReader<Box<dyn Stream>>,
    extensions: Vec<String>,
}

impl Session {
    /// Waits for the server's greeting and introduces itself as `me`.
    pub(super) async fn begin(stream: Box<dyn Stream>, me: &str) -> Result<Self, MailError> {
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        let greeting = session.reply().await?;
        expect(&greeting, &[220])?;
        session.introduce(me).await?;
        Ok(session)
    }

    /// Introduces itself anew, as after `STARTTLS`: what the server said before counts for nothing.
    pub(super) async fn resume(stream: Box<dyn Stream>, me: &str) -> Result<Self, MailError> {
        let mut session = Self { stream: BufReader::new(stream), extensions: Vec::new() };
        session.introduce(me).await?;
        Ok(session)
    }

    async fn introduce(&mut self, me: &str) -> Result<(), MailError> {
        let reply = self.command("EHLO ", me).await?;
        expect(&reply, &[250])?;
        let names = reply.lines.iter().skip(1).filter_map(|line| line.split(' ').next());
        self.extensions = names.map(str::to_ascii_uppercase).collect();
        Ok(())
    }

    /// Whether the server offers an extension.
    pub(super) fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|offered| offered == extension)
    }

    /// Asks for TLS and hands the connection out. What came before TLS and was not asked for is of
    /// somebody in between.
    pub(super) async fn start_tls(mut self) -> Result<Box<dyn Stream>, MailError> {
        if !self.offers("STARTTLS") {
            return Err(malformed("it offers no STARTTLS"));
        }
        self.must("STARTTLS", "", &[220]).await?;
        if !self.stream.buffer().is_empty() {
            return Err(malformed("it spoke before TLS"));
        }
        Ok(self.stream.into_inner())
    }

    /// Says something that the server has to agree to; if it does not, it may at another time, as soon
    /// as somebody has repaired it.
    pub(super) async fn must(
        &mut self,
        command: &str,
        argument: &str,
        codes: &[u16],
    ) -> Result<(), MailError> {
        let reply = self.command(command, argument).await?;
        expect(&reply, codes)
    }

    /// Says something that the server may refuse for good.
    pub(super) async fn may(
        &mut self,
        command: &str,
        argument: &str,
        codes: &[u16],
    ) -> Result<(), MailError> {
        let reply = self.command(command, argument).await?;
        refused_for_good(&reply)?;
        expect(&reply, codes)
    }

    /// Sends the message itself.
    pub(super) async fn text(&mut self, message: &str) -> Result<(), MailError> {
        // A line that begins with a dot gets another one, which the server takes away.
        let stuffed = message.replace("\r\n.", "\r\n..");
        self.say(&format!("{stuffed}.\r\n")).await?;
        let reply = self.reply().await?;
        refused_for_good(&reply)?;
        expect(&reply, &[250])
    }

    async fn command(&mut self, command: &str, argument: &str) -> Result<Reply, MailError> {
        self.say(&format!("{command}{argument}\r\n")).await?;
        self.reply().await
    }

    async fn say(&mut self, text: &str) -> Result<(), MailError> {
        self.stream.write_all(text.as_bytes()).await.map_err(MailError::unavailable)?;
        self.stream.flush().await.map_err(MailError::unavailable)
    }

    async fn reply(&mut self) -> Result<Reply, MailError> {
        let mut lines = Vec::new();
        while lines.len() < LINES_MAX {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code: u16 = code.ok_or_else(|| malformed("an answer without a code"))?;
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if is_last {
                return Ok(Reply { code, lines });
            }
        }
        Err(malformed("an answer without an end"))
    }

    async fn line(&mut self) -> Result<String, MailError> {
        let mut bytes = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_MAX);
        bounded.read_until(b'\n', &mut bytes).await.map_err(MailError::unavailable)?;
        let line = bytes.strip_suffix(b"\n").ok_or_else(|| malformed("a line without an end"))?;
        Ok(String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned())
    }
}

fn expect(reply: &Reply, codes: &[u16]) -> Result<(), MailError> {
    if codes.contains(&reply.code) {
        return Ok(());
    }
    Err(MailError::unavailable(Unexpected(reply.code)))
}

fn refused_for_good(reply: &Reply) -> Result<(), MailError> {
    match reply.code {
        code @ 500..=599 => Err(MailError::Refused { code }),
        _ => Ok(()),
    }
}

fn malformed(what: &'static str) -> MailError {
    MailError::unavailable(Malformed(what))
}
