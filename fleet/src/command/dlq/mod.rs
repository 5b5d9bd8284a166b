//! `ehub dlq`: the events that could not be processed, the mails that could not be sent, and what becomes of
//! them.
//!
//! notify-service keeps both for a decision; it is asked through the gateway, as an
//! administrator, so that who decided and why stays on record. What other consumers gave up lies in their
//! queues of the broker, which are only counted here.

mod mails;

use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use uuid::Uuid;

use super::administrator::Administrator;
use crate::harness::{Api, Reply};
use crate::layout::Layout;
use crate::local::{AdministratorAddresses, NAMESPACE};
use crate::middleware::queues::{self, Queue};
use crate::ui;

const PATH: &str = "/api/v1/admin/dead-letters";
/// The largest page that the API gives.
const PAGE: u64 = 100;
/// The consumer whose dead letters are kept for a decision.
const KEEPER: &str = "notify-service";

/// Options of `dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo ehub dlq list\n  \
    cargo ehub dlq show 01983c7e-0000-7000-8000-000000000000\n  \
    cargo ehub dlq replay 01983c7e-0000-7000-8000-000000000000\n  \
    cargo ehub dlq discard 01983c7e-0000-7000-8000-000000000000 --reason \"a test event\"\n  \
    cargo ehub dlq mails\n  \
    cargo ehub dlq resend 01983c7e-0000-7000-8000-000000000000")]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    administrator: Administrator,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Lists dead letters, the newest first
    List {
        /// Only those that are open, or were replayed or discarded
        #[arg(long, value_enum, default_value_t = Status::Open)]
        status: Status,
        /// Letters listed at most
        #[arg(short = 'n', long, value_name = "N", default_value_t = PAGE,
            value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
    },
    /// Shows one dead letter with its content
    Show {
        /// Its id, as `list` shows it
        id: Uuid,
    },
    /// Processes one dead letter again; an event has its effect once, however often it is replayed
    Replay {
        /// Its id, as `list` shows it
        id: Uuid,
    },
    /// Gives one dead letter up, for good
    Discard {
        /// Its id, as `list` shows it
        id: Uuid,
        /// Why; it stays with the letter, beside who decided
        #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
        reason: String,
    },
    /// Lists mails that were given up, the newest first; their addresses are told nobody
    Mails {
        /// Mails listed at most
        #[arg(short = 'n', long, value_name = "N", default_value_t = PAGE,
            value_parser = clap::value_parser!(u64).range(1..=10_000))]
        limit: u64,
    },
    /// Has one mail sent after all, as long as its link is good
    Resend {
        /// Its id, as `mails` shows it
        id: Uuid,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    Open,
    Replayed,
    Discarded,
    All,
}

impl Status {
    fn query(self) -> &'static str {
        match self {
            Self::Open => "&status=OPEN",
            Self::Replayed => "&status=REPLAYED",
            Self::Discarded => "&status=DISCARDED",
            Self::All => "",
        }
    }
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let admin = args.administrator.login().await?;
    match &args.action {
        Action::List { status, limit } => {
            let letters = items(&admin, PATH, status.query(), *limit).await?;
            ui::line(&table(&letters));
            if args.administrator.is_local() {
                tell_of_queues().await;
            }
        }
        Action::Show { id } => {
            let letter = admin.get(&format!("{PATH}/{id}")).await?;
            ui::line(&show(&answer(letter)?));
        }
        Action::Replay { id } => {
            ui::line(&decided(&decide(&admin, *id, "replay", &json!({})).await?));
        }
        Action::Discard { id, reason } => {
            let body = json!({"reason": reason});
            ui::line(&decided(&decide(&admin, *id, "discard", &body).await?));
        }
        Action::Mails { limit } => ui::line(&mails::list(&admin, *limit).await?),
        Action::Resend { id } => ui::line(&mails::resend(&admin, *id).await?),
    }
    Ok(ExitCode::SUCCESS)
}

/// As many pages as it takes.
async fn items(admin: &Api, path: &str, filter: &str, limit: u64) -> Result<Vec<Value>> {
    let (mut items, mut token) = (Vec::new(), String::new());
    loop {
        let left = limit.saturating_sub(items.len() as u64).min(PAGE);
        let path = format!("{path}?page_size={left}{filter}{token}");
        let page = answer(admin.get(&path).await?)?;
        let found = page["items"].as_array().context("no items in the answer")?;
        items.extend(found.iter().cloned());
        match page["next_page_token"].as_str().filter(|next| !next.is_empty()) {
            Some(next) if (items.len() as u64) < limit => token = format!("&page_token={next}"),
            _ => return Ok(items),
        }
    }
}

async fn decide(admin: &Api, id: Uuid, verdict: &str, body: &Value) -> Result<Value> {
    answer(admin.post(&format!("{PATH}/{id}/{verdict}"), body).await?)
}

fn parse_reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a reason has words".to_owned()),
        reason => Ok(reason.to_owned()),
    }
}

/// The body, or what the fleet says against it together with what can be done.
fn answer(reply: Reply) -> Result<Value> {
    let advice = match reply.code() {
        "DEAD_LETTER_NOT_FOUND" => "there is no such dead letter; cargo ehub dlq list shows all",
        "DEAD_LETTER_DECIDED" => "somebody has decided before; cargo ehub dlq show tells who",
        "REPLAY_FAILED" => "it cannot be processed as it is, and stays open; cargo ehub dlq show",
        "DEAD_MAIL_NOT_FOUND" => "no such mail is dead; cargo ehub dlq mails shows those that are",
        "PERMISSION_DENIED" => "only administrators may; name one by --email",
        _ => "cargo ehub status tells whether notify-service is well",
    };
    reply.require(200).context(advice)
}

fn text(letter: &Value, member: &str) -> String {
    letter[member].as_str().map_or_else(|| "-".to_owned(), ui::printable)
}

fn table(letters: &[Value]) -> String {
    if letters.is_empty() {
        return "  no dead letters\n".to_owned();
    }
    columns(["id", "created_at", "routing_key", "status", "reason"], letters)
}

/// These members of each, one line for each.
fn columns<const N: usize>(names: [&str; N], items: &[Value]) -> String {
    let head = names.map(str::to_owned).to_vec();
    let rows = items.iter().map(|item| names.map(|name| text(item, name)).to_vec());
    ui::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

fn show(letter: &Value) -> String {
    const MEMBERS: [&str; 10] = [
        "id",
        "event_id",
        "routing_key",
        "reason",
        "status",
        "created_at",
        "decided_at",
        "decided_by",
        "decision_reason",
        "payload_encoding",
    ];
    let rows = MEMBERS.map(|member| vec![member.to_owned(), text(letter, member)]);
    let payload = letter["payload"].as_str().unwrap_or_default();
    let parsed = serde_json::from_str::<Value>(payload).ok();
    let pretty = parsed.and_then(|value| serde_json::to_string_pretty(&value).ok());
    let payload = pretty.unwrap_or_else(|| payload.to_owned());
    let payload: Vec<String> = payload.lines().map(ui::printable).collect();
    format!("{}\n{}", ui::table(&rows), payload.join("\n"))
}

fn decided(letter: &Value) -> String {
    let [id, status, by] = ["id", "status", "decided_by"].map(|member| text(letter, member));
    format!("{id} is {status}, decided by {by}")
}

/// What other consumers gave up; where the broker cannot be asked, nothing is said.
async fn tell_of_queues() {
    let local = Layout::discover().and_then(|layout| AdministratorAddresses::load(&layout));
    let Some(management) = local.ok().and_then(|local| local.amqp_management) else { return };
    if let Ok(queues) = queues::list(&management, NAMESPACE).await {
        queues.iter().filter_map(remark).for_each(|remark| ui::line(&remark));
    }
}

fn remark(queue: &Queue) -> Option<String> {
    let Queue { name, messages, .. } = queue;
    if !queue.is_dead() || *messages == 0 {
        return None;
    }
    if name.contains(KEEPER) {
        return Some(format!("{messages} more are on their way, in the queue {name}"));
    }
    Some(format!(
        "{messages} dead letters of another consumer are in the queue {name}; its service decides on \
         none: look at them in RabbitMQ's management (cargo ehub status shows where)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Value {
        json!({"id": "l-1", "event_id": null, "routing_key": "order.paid", "reason": "rejected\u{1b}[2J",
            "status": "OPEN", "created_at": "2026-01-02T03:04:05.006Z", "decided_at": null,
            "decided_by": null, "payload": "{\"a\":1}", "payload_encoding": "utf-8"})
    }

    #[test]
    fn letters_are_listed_without_what_a_terminal_would_obey() {
        let text = table(&[letter()]);
        assert!(text.contains("l-1") && text.contains("rejected\\u{1b}[2J"), "{text}");
        assert!(table(&[]).contains("no dead letters"));
    }

    #[test]
    fn a_letter_is_shown_with_its_content() {
        let text = show(&letter());
        assert!(
            text.contains("event_id          -") && text.ends_with("{\n  \"a\": 1\n}"),
            "{text}"
        );
        let mut half = letter();
        half["payload"] = json!("{\"half\":\u{7}");
        assert!(show(&half).ends_with("{\"half\":\\u{7}"));
    }

    #[test]
    fn a_reason_has_words() {
        assert_eq!(parse_reason(" a test event ").as_deref(), Ok("a test event"));
        assert!(parse_reason("  ").is_err());
    }

    #[test]
    fn a_decision_names_who_made_it() {
        let letter = json!({"id": "l-1", "status": "DISCARDED", "decided_by": "u-1"});
        assert_eq!(decided(&letter), "l-1 is DISCARDED, decided by u-1");
    }

    #[test]
    fn only_dead_letters_that_nobody_has_kept_are_remarked_on() {
        let queue = |name: &str, messages| Queue { name: name.to_owned(), messages, consumers: 0 };
        assert!(remark(&queue("n.notify-service.dead", 2)).unwrap().contains("on their way"));
        assert!(remark(&queue("n.order-service.dead", 2)).unwrap().contains("another consumer"));
        assert_eq!(remark(&queue("n.order-service.dead", 0)), None);
        assert_eq!(remark(&queue("n.order-service", 2)), None);
    }
}
