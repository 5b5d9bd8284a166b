//! What explanations say, in every language.

/// One part of a sentence in every language; `{name}` stands for the parameter of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wording {
    pub(super) en: &'static str,
    pub(super) zh_cn: &'static str,
}

const fn wording(en: &'static str, zh_cn: &'static str) -> Wording {
    Wording { en, zh_cn }
}

/// A code with its words.
pub(super) type Coded = (&'static str, Wording);

pub(super) const PAYMENT_PENDING: Coded = (
    "PAYMENT_PENDING",
    wording(
        "The payment is not settled yet; the order expires at {until} unless it is paid.",
        "付款结果尚未确定；订单若未支付，将于 {until} 过期。",
    ),
);
pub(super) const PAYMENT_OVERDUE: Coded = (
    "PAYMENT_OVERDUE",
    wording(
        "The payment is not settled and the time to pay ended at {until}; the order is about to \
         expire.",
        "付款结果尚未确定，支付期限已于 {until} 结束；订单即将过期。",
    ),
);
pub(super) const PAYMENT_RETRIED: Coded = (
    "PAYMENT_RETRIED",
    wording(
        "An earlier payment was declined ({reason}) and another one is not settled yet; the order \
         expires at {until} unless it is paid.",
        "之前的付款被拒绝（{reason}），新的付款结果尚未确定；订单若未支付，将于 {until} 过期。",
    ),
);
pub(super) const PAYMENT_DECLINED: Coded = (
    "PAYMENT_DECLINED",
    wording(
        "The payment was declined ({reason}); the order can be paid until {until}.",
        "付款被拒绝（{reason}）；订单可在 {until} 之前重新支付。",
    ),
);
pub(super) const PAYMENT_DECLINED_OVERDUE: Coded = (
    "PAYMENT_DECLINED_OVERDUE",
    wording(
        "The payment was declined ({reason}) and the time to pay ended at {until}; the order is \
         about to expire.",
        "付款被拒绝（{reason}），支付期限已于 {until} 结束；订单即将过期。",
    ),
);
pub(super) const PAYMENT_CAPTURED: Coded = (
    "PAYMENT_CAPTURED",
    wording(
        "The payment was captured at {at}; the order is ready to be shipped.",
        "款项已于 {at} 收到；订单等待发货。",
    ),
);
pub(super) const CANCELLED_BY_CUSTOMER: Coded = (
    "CANCELLED_BY_CUSTOMER",
    wording("The customer cancelled the order at {at}; ", "客户已于 {at} 取消订单；"),
);
pub(super) const CANCELLED_BY_ADMINISTRATOR: Coded = (
    "CANCELLED_BY_ADMINISTRATOR",
    wording("An administrator cancelled the order at {at}; ", "管理员已于 {at} 取消订单；"),
);
pub(super) const NOT_PAID_IN_TIME: Coded = (
    "NOT_PAID_IN_TIME",
    wording(
        "The order was not paid by {until} and expired; ",
        "订单未在 {until} 之前支付，已过期；",
    ),
);
pub(super) const SHIPPED: Coded =
    ("SHIPPED", wording("The order left the warehouse at {at}.", "订单已于 {at} 发货。"));
pub(super) const RECEIVED: Coded =
    ("RECEIVED", wording("The order was received at {at}.", "订单已于 {at} 签收。"));
pub(super) const REFUND_ASKED_BY_CUSTOMER: Coded = (
    "REFUND_ASKED_BY_CUSTOMER",
    wording(
        "The customer asked for a refund at {at}; the money is on its way back.",
        "客户已于 {at} 申请退款；款项正在退回。",
    ),
);
pub(super) const REFUND_ASKED_BY_ADMINISTRATOR: Coded = (
    "REFUND_ASKED_BY_ADMINISTRATOR",
    wording(
        "An administrator asked for a refund at {at}; the money is on its way back.",
        "管理员已于 {at} 申请退款；款项正在退回。",
    ),
);
pub(super) const REFUNDED: Coded = (
    "REFUNDED",
    wording(
        "The money went back at {at}, and the pieces are in stock again.",
        "款项已于 {at} 退回，商品已重新入库。",
    ),
);
pub(super) const MONEY_NONE: Coded = ("none", wording("no money was taken.", "未收取任何款项。"));
pub(super) const MONEY_UNDECIDED: Coded = (
    "undecided",
    wording(
        "a payment is still undecided, and its money goes back if it is captured.",
        "仍有一笔付款未确定，若扣款成功将自动退回。",
    ),
);
pub(super) const MONEY_RETURNING: Coded = (
    "returning",
    wording(
        "a payment was captured all the same, and its money is on its way back.",
        "之后仍有一笔付款成功，款项正在退回。",
    ),
);
pub(super) const MONEY_RETURNED: Coded = (
    "returned",
    wording(
        "a payment was captured all the same, and its money went back.",
        "之后仍有一笔付款成功，款项已退回。",
    ),
);

/// Everything that is ever said.
#[cfg(test)]
pub(super) const ALL: [Coded; 18] = [
    PAYMENT_PENDING,
    PAYMENT_OVERDUE,
    PAYMENT_RETRIED,
    PAYMENT_DECLINED,
    PAYMENT_DECLINED_OVERDUE,
    PAYMENT_CAPTURED,
    CANCELLED_BY_CUSTOMER,
    CANCELLED_BY_ADMINISTRATOR,
    NOT_PAID_IN_TIME,
    SHIPPED,
    RECEIVED,
    REFUND_ASKED_BY_CUSTOMER,
    REFUND_ASKED_BY_ADMINISTRATOR,
    REFUNDED,
    MONEY_NONE,
    MONEY_UNDECIDED,
    MONEY_RETURNING,
    MONEY_RETURNED,
];
