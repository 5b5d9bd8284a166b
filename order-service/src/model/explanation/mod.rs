//! Why an order is in its state, in a sentence for people and a code for programs.
//!
//! Everything is read off the timeline, so that the sentence never says more than what is shown.

mod wording;

use chrono::{DateTime, Utc};

use self::wording::{Coded, Wording};
use super::history::{DONE, PENDING};
use super::{OrderStatus, Outcome, RefundReason, TimelineEntry, TimelineKind};

/// A language that explanations exist in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    En,
    /// Simplified Chinese.
    ZhCn,
}

impl Language {
    /// The language of a tag; English for what is not spoken here.
    pub fn of(tag: &str) -> Self {
        if tag == "zh-CN" { Self::ZhCn } else { Self::En }
    }
}

/// Why an order is in its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The reason, for programs.
    pub code: &'static str,
    /// What the sentence names: `until`, `at`, `reason`, `money`.
    pub parameters: Vec<(&'static str, String)>,
    wordings: Vec<Wording>,
}

impl Explanation {
    /// Explains the state that a timeline ends in; `None` for one without a transition.
    pub fn of(
        entries: &[TimelineEntry],
        expires_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Option<Self> {
        let of_kind = |kind| entries.iter().rev().filter(move |entry| entry.kind == kind);
        let last = of_kind(TimelineKind::Transition).next()?;
        let status = OrderStatus::from_name(&last.to)?;
        let view = View { entries, last, is_overdue: now >= expires_at };
        let (code, sentence) = view.sentence(status);
        let mut explanation = Self { code, parameters: Vec::new(), wordings: vec![sentence] };
        explanation.name("until", time(expires_at));
        explanation.name("at", time(last.time));
        explanation.name("reason", view.decline_reason().to_owned());
        if matches!(status, OrderStatus::Cancelled | OrderStatus::Expired) {
            let (money, clause) = view.money();
            explanation.parameters.push(("money", money.to_owned()));
            explanation.wordings.push(clause);
        }
        Some(explanation)
    }

    /// The sentence.
    pub fn text(&self, language: Language) -> String {
        let in_language = |wording: &Wording| match language {
            Language::En => wording.en,
            Language::ZhCn => wording.zh_cn,
        };
        let text: String = self.wordings.iter().map(in_language).collect();
        self.parameters
            .iter()
            .fold(text, |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    /// Adds a parameter if the sentence names it.
    fn name(&mut self, name: &'static str, value: String) {
        if self.wordings.iter().any(|wording| wording.en.contains(&format!("{{{name}}}"))) {
            self.parameters.push((name, value));
        }
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A timeline, as the explanation looks at it.
struct View<'a> {
    entries: &'a [TimelineEntry],
    last: &'a TimelineEntry,
    is_overdue: bool,
}

impl View<'_> {
    fn sentence(&self, status: OrderStatus) -> Coded {
        let by_owner = self.last.actor.starts_with("user:");
        match status {
            OrderStatus::Created if self.is_overdue => wording::PAYMENT_OVERDUE,
            OrderStatus::Created => wording::PAYMENT_PENDING,
            OrderStatus::PaymentFailed if self.attempt_is_open() => wording::PAYMENT_RETRIED,
            OrderStatus::PaymentFailed if self.is_overdue => wording::PAYMENT_DECLINED_OVERDUE,
            OrderStatus::PaymentFailed => wording::PAYMENT_DECLINED,
            OrderStatus::Paid => wording::PAYMENT_CAPTURED,
            OrderStatus::Cancelled if by_owner => wording::CANCELLED_BY_CUSTOMER,
            OrderStatus::Cancelled => wording::CANCELLED_BY_ADMINISTRATOR,
            OrderStatus::Expired => wording::NOT_PAID_IN_TIME,
            OrderStatus::Shipped => wording::SHIPPED,
            OrderStatus::Completed => wording::RECEIVED,
            OrderStatus::Refunding if by_owner => wording::REFUND_ASKED_BY_CUSTOMER,
            OrderStatus::Refunding => wording::REFUND_ASKED_BY_ADMINISTRATOR,
            OrderStatus::Refunded => wording::REFUNDED,
        }
    }

    /// What happens to the money of an order that is over without having been paid.
    fn money(&self) -> Coded {
        let late = |entry: &&TimelineEntry| {
            entry.kind == TimelineKind::Refund
                && [RefundReason::LateCapture, RefundReason::SurplusCapture]
                    .iter()
                    .any(|reason| entry.cause == reason.as_str())
        };
        match self.entries.iter().rev().find(late) {
            Some(refund) if refund.to == DONE => wording::MONEY_RETURNED,
            Some(_) => wording::MONEY_RETURNING,
            None if self.attempt_is_open() => wording::MONEY_UNDECIDED,
            None => wording::MONEY_NONE,
        }
    }

    fn attempt_is_open(&self) -> bool {
        let mut latest = self.entries.iter().rev();
        let latest = latest.find(|entry| entry.kind == TimelineKind::PaymentAttempt);
        latest.is_some_and(|entry| entry.to == PENDING)
    }

    fn decline_reason(&self) -> &str {
        let failed = Outcome::declined("").name();
        let is_decline = |entry: &&TimelineEntry| {
            entry.kind == TimelineKind::PaymentAttempt && entry.to == failed
        };
        let decline = self.entries.iter().rev().find(is_decline);
        decline.map(|entry| entry.cause.as_str()).filter(|cause| !cause.is_empty()).unwrap_or("-")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;

    use super::super::placement::PLACED;
    use super::*;
    use crate::model::{
        Actor, Mark, PaymentCase, Refund, TRANSITIONS, Timeline, Trigger, UserId, fixtures,
    };

    const EPOCH: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn mark(actor: Actor) -> Mark {
        Mark { at: EPOCH, actor, trace_id: String::new() }
    }

    fn system() -> Mark {
        mark(Actor::system("test"))
    }

    /// The entry of a step into `to`.
    fn step(to: OrderStatus, cause: &str, actor: &Actor) -> TimelineEntry {
        TimelineEntry {
            time: EPOCH,
            kind: TimelineKind::Transition,
            actor: actor.to_string(),
            from: None,
            to: to.to_string(),
            cause: cause.to_owned(),
            payment_id: None,
            trace_id: String::new(),
        }
    }

    fn started(case: &PaymentCase) -> TimelineEntry {
        TimelineEntry::attempt_started(&case.attempt, String::new())
    }

    fn settled(case: &PaymentCase, outcome: &Outcome) -> TimelineEntry {
        TimelineEntry::attempt_settled(case.attempt.id, outcome, system())
    }

    fn explain(entries: &[TimelineEntry], now: DateTime<Utc>) -> Explanation {
        Explanation::of(entries, EPOCH + TimeDelta::minutes(30), now).unwrap()
    }

    fn english(entries: &[TimelineEntry]) -> String {
        explain(entries, EPOCH).text(Language::En)
    }

    #[test]
    fn every_state_is_explained_whatever_led_there_and_whoever_did_it() {
        let placed = (OrderStatus::Created, PLACED);
        let steps = TRANSITIONS.iter().map(|(_, trigger, to)| (*to, trigger.cause()));
        let mut explained = BTreeSet::new();
        for (to, cause) in steps.chain([placed]) {
            let user = UserId::generate();
            for actor in [Actor::User(user), Actor::Admin(user), Actor::system("test")] {
                for now in [EPOCH, EPOCH + TimeDelta::hours(1)] {
                    let explanation = explain(&[step(to, cause, &actor)], now);
                    for language in [Language::En, Language::ZhCn] {
                        let text = explanation.text(language);
                        assert!(!text.contains(['{', '}']), "{text}");
                        assert!(text.ends_with(['.', '。']), "{text}");
                    }
                    explained.insert((to.as_str(), explanation.code));
                }
            }
        }
        let states: BTreeSet<&str> = explained.iter().map(|(state, _)| *state).collect();
        assert_eq!(states.len(), OrderStatus::ALL.len());
        let codes: BTreeSet<&str> = explained.iter().map(|(_, code)| *code).collect();
        assert_eq!(codes.len(), explained.len(), "a code belongs to one state");
    }

    #[test]
    fn both_languages_name_the_same() {
        for (_, wording) in wording::ALL {
            for name in ["{until}", "{at}", "{reason}"] {
                assert_eq!(wording.en.contains(name), wording.zh_cn.contains(name), "{wording:?}");
            }
        }
    }

    #[test]
    fn a_declined_payment_says_why_and_until_when_another_one_helps() {
        let case = fixtures::case_of(fixtures::order());
        let failed =
            step(OrderStatus::PaymentFailed, Trigger::Decline.cause(), &case.attempt.actor);
        let mut entries = vec![started(&case), failed, settled(&case, &fixtures::declined())];
        assert_eq!(
            english(&entries),
            "The payment was declined (card_declined); the order can be paid until \
             1970-01-01 00:30:00 UTC."
        );
        let explanation = explain(&entries, EPOCH);
        assert_eq!(
            explanation.text(Language::ZhCn),
            "付款被拒绝（card_declined）；订单可在 1970-01-01 00:30:00 UTC 之前重新支付。"
        );
        let until = ("until", "1970-01-01 00:30:00 UTC".to_owned());
        assert_eq!(explanation.parameters, [until, ("reason", "card_declined".to_owned())]);
        let late = explain(&entries, EPOCH + TimeDelta::minutes(30));
        assert_eq!(late.code, "PAYMENT_DECLINED_OVERDUE");
        entries.push(started(&fixtures::case_of(case.order)));
        assert_eq!(explain(&entries, EPOCH).code, "PAYMENT_RETRIED");
    }

    #[test]
    fn an_order_that_is_over_says_what_becomes_of_the_money() {
        let case = fixtures::case_of(fixtures::order());
        let owner = Actor::User(case.order.user_id);
        let cancelled = step(OrderStatus::Cancelled, Trigger::Cancel.cause(), &owner);
        let refund = Refund::requested(case.order.id, case.attempt.id, RefundReason::LateCapture);
        let captured = settled(&case, &Outcome::Captured);
        let asked = TimelineEntry::refund_asked(&refund, system());
        let done = TimelineEntry::refund_done(&refund, system());
        let told = [cancelled, started(&case), captured, asked, done];
        let money = |entries: &[TimelineEntry]| {
            let parameters = explain(entries, EPOCH).parameters;
            parameters.into_iter().find(|(name, _)| *name == "money").unwrap().1
        };
        let stages: Vec<String> = [1, 2, 4, 5].map(|upto| money(&told[..upto])).into();
        assert_eq!(stages, ["none", "undecided", "returning", "returned"]);
        assert_eq!(
            english(&told),
            "The customer cancelled the order at 1970-01-01 00:00:00 UTC; a payment was captured \
             all the same, and its money went back."
        );
    }

    #[test]
    fn nothing_is_said_of_an_order_without_a_step() {
        let case = fixtures::case_of(fixtures::order());
        assert_eq!(Explanation::of(&[started(&case)], EPOCH, EPOCH), None);
        assert!(!Timeline::latest(vec![started(&case)], 1).truncated);
    }

    #[test]
    fn what_is_not_spoken_is_english() {
        assert_eq!(Language::of("zh-CN"), Language::ZhCn);
        assert!(["en", "", "fr", "zh-TW"].iter().all(|tag| Language::of(tag) == Language::En));
    }
}
