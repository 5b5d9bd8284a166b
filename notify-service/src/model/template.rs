//! The wording of each topic in each language.

use super::{Happening, Locale, Topic};

/// A rendered notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wording {
    /// One line, at most 200 characters.
    pub title: String,
    /// A sentence or two, at most 1,000 characters.
    pub body: String,
}

/// Words a happening of `topic` for a reader of `locale`.
pub fn render(happening: &Happening, topic: Topic, locale: Locale) -> Wording {
    let (title, body) = match locale {
        Locale::En => english(topic),
        Locale::ZhCn => chinese(topic),
    };
    Wording { title: title.to_owned(), body: fill(body, happening, locale) }
}

/// Replaces `{subject}`, `{name}` and `{reason}`. The values are inserted once and never searched
/// for placeholders themselves, so a name such as `{reason}` stays what it is.
fn fill(template: &str, happening: &Happening, locale: Locale) -> String {
    let mut filled = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(&value(name, happening, locale));
        rest = tail;
    }
    filled.push_str(rest);
    filled
}

fn value(name: &str, happening: &Happening, locale: Locale) -> String {
    let facts = &happening.facts;
    match name {
        "name" => facts.display_name.clone().unwrap_or_default(),
        "reason" => match (&facts.failure_reason, locale) {
            (Some(reason), _) => reason.replace('_', " "),
            (None, Locale::En) => "no reason given".to_owned(),
            (None, Locale::ZhCn) => "未说明原因".to_owned(),
        },
        _ => happening.subject.to_string(),
    }
}

const fn english(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::UserRegistered => ("Welcome", "Welcome, {name}. Your account is ready."),
        Topic::PasswordChanged => (
            "Password changed",
            "Your password was changed and other sessions were ended. If this was not you, contact support.",
        ),
        Topic::UserDisabled => ("Account disabled", "An administrator disabled your account."),
        Topic::SessionStarted => (
            "New login",
            "Someone logged in to your account. If this was not you, change your password.",
        ),
        Topic::TokenReuseDetected => (
            "Session ended for safety",
            "A refresh token was used twice, so its session was ended. Please log in again.",
        ),
        Topic::OrderCreated => ("Order placed", "We received your order {subject}."),
        Topic::OrderPaid => ("Order paid", "Your order {subject} was paid. Thank you."),
        Topic::OrderPaymentFailed => {
            ("Payment failed", "The payment of your order {subject} failed: {reason}.")
        }
        Topic::OrderCancelled => ("Order cancelled", "Your order {subject} was cancelled."),
        Topic::OrderExpired => {
            ("Order expired", "Your order {subject} was not paid in time and has expired.")
        }
        Topic::OrderShipped => ("Order shipped", "Your order {subject} is on its way."),
        Topic::OrderCompleted => ("Order completed", "Your order {subject} is complete."),
        Topic::OrderRefunding => {
            ("Refund requested", "The refund of your order {subject} is under way.")
        }
        Topic::OrderRefunded => ("Order refunded", "The money of your order {subject} went back."),
    }
}

const fn chinese(topic: Topic) -> (&'static str, &'static str) {
    match topic {
        Topic::UserRegistered => ("欢迎", "{name}，欢迎加入，您的账号已可使用。"),
        Topic::PasswordChanged => {
            ("密码已修改", "您的密码已修改，其他会话已结束。如非本人操作，请联系客服。")
        }
        Topic::UserDisabled => ("账号已停用", "管理员已停用您的账号。"),
        Topic::SessionStarted => ("新的登录", "您的账号有新的登录。如非本人操作，请修改密码。"),
        Topic::TokenReuseDetected => {
            ("会话已安全终止", "某个刷新令牌被使用了两次，其会话已终止，请重新登录。")
        }
        Topic::OrderCreated => ("订单已提交", "我们已收到您的订单 {subject}。"),
        Topic::OrderPaid => ("订单已支付", "您的订单 {subject} 已支付，感谢您的购买。"),
        Topic::OrderPaymentFailed => ("支付失败", "您的订单 {subject} 支付失败：{reason}。"),
        Topic::OrderCancelled => ("订单已取消", "您的订单 {subject} 已取消。"),
        Topic::OrderExpired => ("订单已过期", "您的订单 {subject} 未在时限内支付，已过期。"),
        Topic::OrderShipped => ("订单已发货", "您的订单 {subject} 已发货。"),
        Topic::OrderCompleted => ("订单已完成", "您的订单 {subject} 已完成。"),
        Topic::OrderRefunding => ("退款处理中", "您的订单 {subject} 正在退款。"),
        Topic::OrderRefunded => ("订单已退款", "您的订单 {subject} 的款项已退回。"),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::{Facts, UserId};

    fn happening(topic: Topic, facts: Facts) -> Happening {
        Happening {
            event: topic.as_str().to_owned(),
            trace_id: String::new(),
            event_id: format!("{}:x:1", topic.as_str()),
            topic: Some(topic),
            subject: Uuid::from_u128(7),
            version: 1,
            user_id: UserId::generate(),
            facts,
            mail: None,
        }
    }

    #[test]
    fn every_topic_is_worded_in_both_languages_within_its_bounds() {
        for topic in Topic::ALL {
            let told =
                happening(topic, Facts { display_name: Some("Ada".into()), ..Facts::default() });
            let english = render(&told, topic, Locale::En);
            let chinese = render(&told, topic, Locale::ZhCn);
            assert_ne!(english, chinese, "{topic:?}");
            for wording in [english, chinese] {
                assert!(!wording.title.is_empty() && wording.title.chars().count() <= 200);
                assert!(!wording.body.contains(['{', '}']), "{topic:?}: {}", wording.body);
            }
        }
    }

    #[test]
    fn a_name_that_looks_like_a_placeholder_stays_as_it_is() {
        let facts = Facts { display_name: Some("{subject}".into()), ..Facts::default() };
        let topic = Topic::UserRegistered;
        let wording = render(&happening(topic, facts), topic, Locale::En);
        assert_eq!(wording.body, "Welcome, {subject}. Your account is ready.");
    }

    #[test]
    fn a_failed_payment_names_its_reason() {
        let facts = Facts { failure_reason: Some("card_declined".into()), ..Facts::default() };
        let topic = Topic::OrderPaymentFailed;
        let wording = render(&happening(topic, facts), topic, Locale::En);
        assert!(wording.body.ends_with("failed: card declined."), "{}", wording.body);
    }
}
