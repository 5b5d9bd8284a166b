use futures::future::join;

use super::super::mime::tests::{letter, sender};
use super::fake::{Fake, GREETING, Identity, OFFERS_TLS, Script};
use super::*;

fn account() -> Account {
    Account { name: "hub".to_owned(), password: Secret::new("pass word") }
}

fn mailer(server: Server) -> SmtpMailer {
    SmtpMailer::new(server, sender(), Path::new("/nowhere")).unwrap()
}

async fn send_to(fake: &Fake, script: Script, letter: &Letter) -> Result<(), MailError> {
    let mailer = mailer(fake.server(None));
    join(mailer.send(letter), fake.serve(GREETING, script)).await.0
}

/// Sends to a server that proves itself by `identity`, where the authority of `believed` is believed.
async fn send_by_tls(
    fake: &Fake,
    (identity, believed): (&Identity, &Identity),
    script: Script,
    letter: &Letter,
) -> Result<(), MailError> {
    let mailer = SmtpMailer::new(fake.server(Some(account())), sender(), &believed.roots).unwrap();
    join(mailer.send(letter), fake.serve_tls(identity, script)).await.0
}

fn cause(refused: Result<(), MailError>) -> String {
    let Err(MailError::Unavailable { source }) = refused else { panic!("{refused:?}") };
    source.to_string()
}

#[tokio::test]
async fn a_message_is_handed_over_whole_under_tls() {
    let (identity, letter) = (Identity::of("127.0.0.1"), letter("您好"));
    for (security, beginning) in
        [(Security::StartTls, &["EHLO hub.example", "STARTTLS"][..]), (Security::Tls, &[])]
    {
        let fake = Fake::bind(security).await;
        send_by_tls(&fake, (&identity, &identity), &[OFFERS_TLS], &letter).await.unwrap();
        let heard = fake.heard();
        let commands = [
            "EHLO hub.example",
            "AUTH PLAIN AGh1YgBwYXNzIHdvcmQ=",
            "MAIL FROM:<no-reply@hub.example>",
            "RCPT TO:<alice@example.com>",
            "DATA",
        ];
        let commands = [beginning, &commands].concat();
        assert_eq!(heard[..commands.len()], commands);
        assert!(heard.contains(&format!("Message-ID: <{}@hub.example>", letter.id)));
        assert_eq!(heard[heard.len() - 3..], ["5oKo5aW9", ".", "QUIT"]);
    }
}

#[tokio::test]
async fn a_server_that_is_another_or_that_nobody_vouches_for_hears_nothing() {
    let (identity, letter) = (Identity::of("127.0.0.1"), letter("x"));
    let (other, stranger) = (Identity::of("mx.example"), Identity::of("127.0.0.1"));
    for security in [Security::Tls, Security::StartTls] {
        for who in [(&other, &other), (&identity, &stranger)] {
            let fake = Fake::bind(security).await;
            let refused = send_by_tls(&fake, who, &[OFFERS_TLS], &letter).await;
            assert!(cause(refused).contains("certificate"));
            let is_harmless = |line: &String| line.starts_with("EHLO") || line == "STARTTLS";
            assert!(fake.heard().iter().all(is_harmless), "{:?}", fake.heard());
        }
    }
}

#[tokio::test]
async fn what_is_said_before_tls_counts_for_nothing_under_it() {
    const AHEAD: Script =
        &[OFFERS_TLS, ("STARTTLS", "220 go\r\n250-mx.example\r\n250 AUTH PLAIN\r\n235 welcome")];
    let identity = Identity::of("127.0.0.1");
    let fake = Fake::bind(Security::StartTls).await;
    cause(send_by_tls(&fake, (&identity, &identity), AHEAD, &letter("x")).await);
    assert_eq!(fake.heard(), ["EHLO hub.example", "STARTTLS"]);
}

#[tokio::test]
async fn an_account_that_is_not_let_in_may_be_at_another_time() {
    let identity = Identity::of("127.0.0.1");
    for script in
        [&[("AUTH", "535 who?")][..], &[("AUTH", "354 go on")], &[("EHLO", "250 mx.example")]]
    {
        let fake = Fake::bind(Security::Tls).await;
        cause(send_by_tls(&fake, (&identity, &identity), script, &letter("x")).await);
        assert!(fake.heard().iter().all(|line| !line.starts_with("MAIL")));
    }
}

#[tokio::test]
async fn an_address_outside_ascii_needs_a_server_that_knows_such_ones() {
    let other = Letter { to: "éva@example.com".to_owned(), ..letter("x") };
    let fake = Fake::bind(Security::None).await;
    send_to(&fake, &[], &other).await.unwrap();
    let heard = fake.heard();
    assert!(heard.contains(&"MAIL FROM:<no-reply@hub.example> SMTPUTF8".to_owned()));
    assert!(heard.contains(&"RCPT TO:<éva@example.com>".to_owned()));
    let fake = Fake::bind(Security::None).await;
    let refused = send_to(&fake, &[("EHLO", "250 mx.example")], &other).await;
    assert!(matches!(refused, Err(MailError::Refused { code: 553 })), "{refused:?}");
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_pass() {
    for (script, code) in [
        (&[("RCPT", "550 no such user: alice@example.com")][..], 550),
        (&[(".", "554 not wanted")], 554),
    ] {
        let fake = Fake::bind(Security::None).await;
        let refused = send_to(&fake, script, &letter("x")).await;
        let Err(MailError::Refused { code: told }) = refused else { panic!("{refused:?}") };
        assert_eq!(told, code);
    }
    for script in [
        &[("RCPT", "450 later, alice@example.com")][..],
        &[(".", "451 later, alice@example.com")],
        &[(".", "354 go on, alice@example.com")],
        &[("RCPT", "354 go on, alice@example.com")],
        &[("MAIL", "530 log in first")],
        &[("MAIL", "354 go on")],
        &[("EHLO", "502 what?")],
        &[("DATA", "250 alice@example.com")],
        &[("DATA", "nonsense about alice@example.com")],
        &[("DATA", "é")],
    ] {
        let fake = Fake::bind(Security::None).await;
        let told = cause(send_to(&fake, script, &letter("x")).await);
        assert!(!told.contains("alice"), "{told}");
    }
    let fake = Fake::bind(Security::None).await;
    let (mailer, letter) = (mailer(fake.server(None)), letter("x"));
    let (busy, ()) = join(mailer.send(&letter), fake.serve("421 busy", &[])).await;
    cause(busy);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_told_from_a_connection_that_is_lost() {
    for script in [
        &[(".", "250")][..],
        &[(".", "nonsense about alice@example.com")],
        &[(".", "250 \u{fffd} for alice@example.com")],
        &[(".", "250-one\r\n251 another")],
    ] {
        let fake = Fake::bind(Security::None).await;
        let unclear = send_to(&fake, script, &letter("x")).await.unwrap_err();
        assert!(matches!(unclear, MailError::Unclear), "{script:?}: {unclear:?}");
    }
    let (identity, letter) = (Identity::of("127.0.0.1"), letter("x"));
    let fake = Fake::bind(Security::Tls).await;
    let script: Script = &[OFFERS_TLS, (".", "250 \u{fffd}")];
    let unclear = send_by_tls(&fake, (&identity, &identity), script, &letter).await;
    assert!(matches!(unclear, Err(MailError::Unclear)), "{unclear:?}");
    for script in [&[(".", "")][..], &[("DATA", "")], &[("DATA", "250")]] {
        let fake = Fake::bind(Security::None).await;
        cause(send_to(&fake, script, &letter).await);
    }
}

#[tokio::test]
async fn an_answer_that_the_library_panics_at_is_nonsense_and_no_end() {
    const BLANK: Script = &[("EHLO", "250-mx.example\r\n250- \r\n250 AUTH PLAIN")];
    let (identity, letter) = (Identity::of("127.0.0.1"), letter("x"));
    let fake = Fake::bind(Security::None).await;
    assert_eq!(cause(send_to(&fake, BLANK, &letter).await), Malformed.to_string());
    for security in [Security::StartTls, Security::Tls] {
        let fake = Fake::bind(security).await;
        let refused = send_by_tls(&fake, (&identity, &identity), BLANK, &letter).await;
        assert_eq!(cause(refused), Malformed.to_string());
    }
}

#[tokio::test]
async fn a_message_that_is_accepted_is_sent_whatever_is_said_afterwards() {
    let fake = Fake::bind(Security::None).await;
    send_to(&fake, &[("QUIT", "500 what?")], &letter("x")).await.unwrap();
}

#[tokio::test]
async fn nothing_is_said_in_plain_text_where_tls_is_asked_for() {
    let identity = Identity::of("127.0.0.1");
    for security in [Security::StartTls, Security::Tls] {
        let fake = Fake::bind(security).await;
        let server = Server { timeout: Duration::from_millis(200), ..fake.server(Some(account())) };
        let mailer = SmtpMailer::new(server, sender(), &identity.roots).unwrap();
        let letter = letter("x");
        let (refused, ()) = join(mailer.send(&letter), fake.serve(GREETING, &[])).await;
        cause(refused);
        let is_harmful =
            |line: &String| ["MAIL", "AUTH", "alice"].iter().any(|word| line.contains(word));
        assert!(!fake.heard().iter().any(is_harmful), "{:?}", fake.heard());
    }
    std::fs::write(&identity.roots, "nothing").unwrap();
    let server = Fake::bind(Security::Tls).await.server(None);
    assert!(SmtpMailer::new(server, sender(), &identity.roots).is_err());
}

#[tokio::test]
async fn no_password_is_said_in_plain_text() {
    let fake = Fake::bind(Security::None).await;
    let (mailer, letter) = (mailer(fake.server(Some(account()))), letter("x"));
    let (refused, ()) = join(mailer.send(&letter), fake.serve(GREETING, &[])).await;
    assert_eq!(cause(refused), InPlainText.to_string());
    assert_eq!(fake.heard(), ["EHLO hub.example"]);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let fake = Fake::bind(Security::None).await;
    let server = Server { timeout: Duration::from_millis(50), ..fake.server(None) };
    cause(mailer(server).send(&letter("x")).await);
}

#[tokio::test]
async fn a_server_that_never_ends_its_answer_is_not_listened_to_for_ever() {
    let fake = Fake::bind(Security::None).await;
    let (mailer, letter) = (mailer(fake.server(None)), letter("x"));
    let endless = "2".repeat(512 * 1024);
    let (refused, ()) = join(mailer.send(&letter), fake.serve(&endless, &[])).await;
    assert!(cause(refused).contains("too much"));
}
