use std::sync::Mutex;

use futures::future::join;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use super::super::mime::tests::{letter, sender};
use super::*;

/// A server on loopback that answers as it is told, and remembers what it was told.
struct Fake {
    listener: TcpListener,
    heard: Mutex<Vec<String>>,
}

/// What a server says to what begins so; else 250.
type Script = &'static [(&'static str, &'static str)];

const USUAL: Script = &[
    ("EHLO", "250-mx.example\r\n250-SMTPUTF8\r\n250 AUTH PLAIN"),
    ("AUTH", "235 welcome"),
    ("DATA", "354 go on"),
    ("QUIT", "221 bye"),
];

impl Fake {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, heard: Mutex::default() }
    }

    fn server(&self, account: Option<Account>) -> Server {
        Server {
            host: "127.0.0.1".to_owned(),
            port: self.listener.local_addr().unwrap().port(),
            security: Security::None,
            account,
            timeout: Duration::from_secs(30),
        }
    }

    /// Serves one connection to its end.
    async fn serve(&self, greeting: &str, script: Script) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(format!("{greeting}\r\n").as_bytes()).await.unwrap();
        let mut in_text = false;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(1..) => self.heard.lock().unwrap().push(line.trim_end().to_owned()),
                _ => return,
            }
            let line = line.trim_end();
            if in_text && line != "." {
                continue;
            }
            let step = if in_text { "." } else { line };
            let known = script.iter().chain(USUAL).find(|(start, _)| step.starts_with(start));
            let answer = known.map_or("250 ok", |(_, answer)| *answer);
            in_text = step == "DATA" && answer.starts_with("354");
            if stream.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn mailer(server: Server) -> SmtpMailer {
    SmtpMailer::new(server, sender(), Path::new("/nowhere")).unwrap()
}

async fn send_to(fake: &Fake, script: Script, letter: &Letter) -> Result<(), MailError> {
    let mailer = mailer(fake.server(None));
    join(mailer.send(letter), fake.serve("220 mx.example", script)).await.0
}

#[tokio::test]
async fn a_message_is_handed_over_whole() {
    let fake = Fake::bind().await;
    let account = Account { name: "hub".to_owned(), password: Secret::new("pass word") };
    let mailer = mailer(fake.server(Some(account)));
    let letter = letter("您好");
    let (sent, ()) = join(mailer.send(&letter), fake.serve("220 mx.example", &[])).await;
    sent.unwrap();
    let heard = fake.heard();
    assert_eq!(
        heard[..5],
        [
            "EHLO hub.example",
            "AUTH PLAIN AGh1YgBwYXNzIHdvcmQ=",
            "MAIL FROM:<no-reply@hub.example>",
            "RCPT TO:<alice@example.com>",
            "DATA",
        ]
    );
    assert!(heard.contains(&format!("Message-ID: <{}@hub.example>", letter.id)));
    assert_eq!(heard[heard.len() - 3..], ["5oKo5aW9", ".", "QUIT"]);
}

#[tokio::test]
async fn an_address_outside_ascii_needs_a_server_that_knows_such_ones() {
    let other = Letter { to: "éva@example.com".to_owned(), ..letter("x") };
    let fake = Fake::bind().await;
    send_to(&fake, &[], &other).await.unwrap();
    assert!(fake.heard().contains(&"MAIL FROM:<no-reply@hub.example> SMTPUTF8".to_owned()));
    let fake = Fake::bind().await;
    let refused = send_to(&fake, &[("EHLO", "250 mx.example")], &other).await;
    assert!(matches!(refused, Err(MailError::Refused { code: 553 })), "{refused:?}");
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_pass() {
    for (script, code) in [
        (&[("RCPT", "550 no such user: alice@example.com")][..], 550),
        (&[(".", "554 not wanted")], 554),
    ] {
        let refused = send_to(&Fake::bind().await, script, &letter("x")).await;
        let Err(MailError::Refused { code: told }) = refused else { panic!("{refused:?}") };
        assert_eq!(told, code);
    }
    for script in [
        &[("RCPT", "450 later")][..],
        &[(".", "451 later")],
        &[("MAIL", "530 log in first")],
        &[("EHLO", "502 what?")],
        &[("DATA", "nonsense")],
        &[("DATA", "é")],
    ] {
        let refused = send_to(&Fake::bind().await, script, &letter("x")).await;
        let Err(MailError::Unavailable { source }) = refused else { panic!("{refused:?}") };
        assert!(!source.to_string().contains("alice"), "{source}");
    }
    let fake = Fake::bind().await;
    let mailer = mailer(fake.server(None));
    let letter = letter("x");
    let (busy, ()) = join(mailer.send(&letter), fake.serve("421 busy", &[])).await;
    assert!(matches!(busy, Err(MailError::Unavailable { .. })));
}

#[tokio::test]
async fn a_message_that_is_accepted_is_sent_whatever_is_said_afterwards() {
    send_to(&Fake::bind().await, &[("QUIT", "500 what?")], &letter("x")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_said_in_plain_text_where_tls_is_asked_for() {
    let authority = rcgen::generate_simple_self_signed(vec!["mx.example".to_owned()]).unwrap();
    let roots =
        std::env::temp_dir().join(format!("roots-{}.pem", crate::model::MailId::generate()));
    std::fs::write(&roots, authority.cert.pem()).unwrap();
    for security in [Security::StartTls, Security::Tls] {
        let fake = Fake::bind().await;
        let server = Server { security, timeout: Duration::from_millis(200), ..fake.server(None) };
        let mailer = SmtpMailer::new(server, sender(), &roots).unwrap();
        let letter = letter("x");
        let (refused, ()) = join(mailer.send(&letter), fake.serve("220 mx.example", &[])).await;
        assert!(matches!(refused, Err(MailError::Unavailable { .. })), "{refused:?}");
        let heard = fake.heard();
        let is_harmless = |line: &String| !line.contains("MAIL") && !line.contains("alice");
        assert!(heard.iter().all(is_harmless), "{heard:?}");
    }
    std::fs::write(&roots, "nothing").unwrap();
    let server = Server { security: Security::Tls, ..Fake::bind().await.server(None) };
    assert!(SmtpMailer::new(server, sender(), &roots).is_err());
    std::fs::remove_file(roots).unwrap();
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let fake = Fake::bind().await;
    let server = Server { timeout: Duration::from_millis(50), ..fake.server(None) };
    let refused = mailer(server).send(&letter("x")).await;
    assert!(matches!(refused, Err(MailError::Unavailable { .. })));
}
