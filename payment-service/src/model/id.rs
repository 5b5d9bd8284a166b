//! Identities of what payments are about.

chassis::id_type!(
    /// Identity of a payment: the attempt id that order-service chose.
    PaymentId,
    "payment id"
);
chassis::id_type!(
    /// Identity of the order that is paid.
    OrderId,
    "order id"
);
chassis::id_type!(
    /// Identity of the user who pays.
    UserId,
    "user id"
);
chassis::id_type!(
    /// Identity of a refund, chosen by whoever asks for it.
    RefundId,
    "refund id"
);
