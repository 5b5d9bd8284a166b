//! What the services answer usually.

use prost::Message;
use prost_types::Timestamp;
use proto::auth::v1 as auth;
use proto::money::v1::Money;
use proto::notify::v1 as notify;
use proto::order::v1 as order;
use proto::payment::v1 as payment;
use proto::user::v1 as user;

/// The customer that most tests act as, and the account that the user service answers with.
pub(crate) const CUSTOMER: &str = "0190b6a0-0000-7000-8000-00000000000c";
/// Whatever else has an identity.
pub(crate) const ID: &str = "0190b6a0-0000-7000-8000-000000000001";

/// 2026-01-02T03:04:05.006Z.
pub(crate) const TIME: Option<Timestamp> =
    Some(Timestamp { seconds: 1_767_323_045, nanos: 6_000_000 });

fn money() -> Money {
    Money { amount: 19_900, currency: "CNY".into() }
}

pub(crate) fn account() -> user::User {
    user::User {
        id: CUSTOMER.into(),
        email: "li.lei@example.com".into(),
        display_name: "Li Lei".into(),
        locale: "zh-CN".into(),
        status: user::UserStatus::Active.into(),
        roles: vec!["customer".into()],
        version: 7,
        created_at: TIME,
        updated_at: TIME,
        email_verified_at: TIME,
    }
}

pub(crate) fn tokens() -> auth::TokenPair {
    auth::TokenPair {
        access_token: "header.claims.signature".into(),
        expires_in: 900,
        refresh_token: "refresh".into(),
        session_id: ID.into(),
    }
}

fn session() -> auth::Session {
    auth::Session {
        id: ID.into(),
        user_agent: "curl/8.5.0".into(),
        client_address: String::new(),
        created_at: TIME,
        last_used_at: TIME,
        expires_at: TIME,
        current: true,
    }
}

fn key() -> auth::SigningKey {
    auth::SigningKey {
        kid: "a-key".into(),
        state: auth::KeyState::Signing.into(),
        created_at: TIME,
        signs_from: TIME,
        published_until: None,
    }
}

pub(crate) fn product() -> order::Product {
    order::Product {
        sku: "KEYBOARD-87".into(),
        name: "Mechanical keyboard".into(),
        unit_price: Some(money()),
        stock: 100,
        version: 1,
        updated_at: TIME,
    }
}

pub(crate) fn order(status: order::OrderStatus) -> order::Order {
    let (sku, name) = ("KEYBOARD-87".into(), "Mechanical keyboard".into());
    order::Order {
        id: ID.into(),
        user_id: CUSTOMER.into(),
        status: status.into(),
        items: vec![order::OrderItem { sku, name, unit_price: Some(money()), quantity: 1 }],
        total: Some(money()),
        version: 2,
        created_at: TIME,
        updated_at: TIME,
        expires_at: TIME,
        payment_id: ID.into(),
        failure_reason: String::new(),
    }
}

pub(crate) fn timeline_entry() -> order::TimelineEntry {
    order::TimelineEntry {
        time: TIME,
        kind: "transition".into(),
        actor: "system:payment-service".into(),
        from: "CREATED".into(),
        to: "PAID".into(),
        cause: "payment.succeeded".into(),
        payment_id: ID.into(),
        trace_id: String::new(),
    }
}

pub(crate) fn callback() -> payment::CallbackReceipt {
    payment::CallbackReceipt {
        callback_id: "evt_1".into(),
        payment_id: ID.into(),
        r#type: "payment.succeeded".into(),
        ruling: "APPLIED".into(),
        deliveries: 2,
        received_at: TIME,
        last_received_at: TIME,
    }
}

pub(crate) fn receipt() -> notify::EventReceipt {
    let notice = notify::Notice {
        notification_id: ID.into(),
        channel: "in_app".into(),
        created_at: TIME,
        read_at: None,
    };
    notify::EventReceipt {
        event_id: "order.paid:1".into(),
        r#type: "order.paid".into(),
        version: 2,
        received_at: TIME,
        last_received_at: TIME,
        deliveries: 3,
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        notices: vec![notice],
    }
}

pub(crate) fn payment() -> payment::Payment {
    let refund = payment::Refund {
        id: ID.into(),
        amount: Some(money()),
        status: payment::RefundStatus::Succeeded.into(),
        reason: "customer_request".into(),
        created_at: TIME,
    };
    payment::Payment {
        id: ID.into(),
        order_id: ID.into(),
        user_id: CUSTOMER.into(),
        amount: Some(money()),
        status: payment::PaymentStatus::Refunded.into(),
        payment_method: "pm_ok".into(),
        provider_reference: String::new(),
        failure_reason: String::new(),
        version: 3,
        created_at: TIME,
        updated_at: TIME,
        refunds: vec![refund],
    }
}

fn notification() -> notify::Notification {
    notify::Notification {
        id: ID.into(),
        event: "order.paid".into(),
        event_id: "order.paid:1".into(),
        title: "Order paid".into(),
        body: "We received your payment.".into(),
        subject: ID.into(),
        created_at: TIME,
        read_at: None,
    }
}

fn preference() -> notify::Preference {
    let (event, channel) = ("order.paid".into(), "in_app".into());
    notify::Preference { event, channel, enabled: true }
}

pub(crate) fn dead_letter() -> notify::DeadLetter {
    notify::DeadLetter {
        id: ID.into(),
        event_id: String::new(),
        routing_key: "order.paid".into(),
        reason: "the event is not JSON".into(),
        status: notify::DeadLetterStatus::Open.into(),
        created_at: TIME,
        decided_at: None,
        decided_by: String::new(),
        decision_reason: String::new(),
    }
}

pub(crate) fn dead_mail() -> notify::DeadMail {
    notify::DeadMail {
        id: ID.into(),
        event_id: format!("user.recovery_requested:{ID}:1"),
        event: "user.recovery_requested".into(),
        user_id: ID.into(),
        attempts: 300,
        reason: "the message was not taken".into(),
        created_at: TIME,
        died_at: TIME,
        expires_at: TIME,
    }
}

/// The answer of the rpc at `path`, such as `/enterprisehub.user.v1.UserService/GetUser`.
pub(crate) fn answer(path: &str) -> Option<Vec<u8>> {
    let (service, rpc) = path.strip_prefix("/enterprisehub.")?.split_once('/')?;
    match service {
        "user.v1.UserService" => user_answer(rpc),
        "auth.v1.AuthService" => auth_answer(rpc),
        "order.v1.OrderService" => order_answer(rpc),
        "payment.v1.PaymentService" => payment_answer(rpc),
        "notify.v1.NotifyService" => notify_answer(rpc),
        _ => None,
    }
}

fn user_answer(rpc: &str) -> Option<Vec<u8>> {
    let user = Some(account());
    Some(match rpc {
        "Register" => user::RegisterResponse { user }.encode_to_vec(),
        "GetUser" => user::GetUserResponse { user }.encode_to_vec(),
        "UpdateProfile" => user::UpdateProfileResponse { user }.encode_to_vec(),
        "ChangePassword" => user::ChangePasswordResponse {}.encode_to_vec(),
        "RequestEmailVerification" => user::RequestEmailVerificationResponse {}.encode_to_vec(),
        "VerifyEmail" => user::VerifyEmailResponse {}.encode_to_vec(),
        "RequestPasswordRecovery" => user::RequestPasswordRecoveryResponse {}.encode_to_vec(),
        "RecoverPassword" => user::RecoverPasswordResponse {}.encode_to_vec(),
        "SetStatus" => user::SetStatusResponse { user }.encode_to_vec(),
        "SetRoles" => user::SetRolesResponse { user }.encode_to_vec(),
        "ListUsers" => {
            let next_page_token = "next".into();
            user::ListUsersResponse { users: vec![account()], next_page_token }.encode_to_vec()
        }
        _ => return None,
    })
}

fn auth_answer(rpc: &str) -> Option<Vec<u8>> {
    let tokens = Some(tokens());
    Some(match rpc {
        "Login" => auth::LoginResponse { tokens }.encode_to_vec(),
        "Refresh" => auth::RefreshResponse { tokens }.encode_to_vec(),
        "Logout" => auth::LogoutResponse {}.encode_to_vec(),
        "ListSessions" => auth::ListSessionsResponse { sessions: vec![session()] }.encode_to_vec(),
        "RevokeSession" => auth::RevokeSessionResponse {}.encode_to_vec(),
        "RevokeAllSessions" => auth::RevokeAllSessionsResponse { ended: 1 }.encode_to_vec(),
        "RevokeUserSessions" => auth::RevokeUserSessionsResponse { ended: 1 }.encode_to_vec(),
        "ListKeys" => auth::ListKeysResponse { keys: vec![key()] }.encode_to_vec(),
        "RotateKeys" => auth::RotateKeysResponse { keys: vec![key()] }.encode_to_vec(),
        "ListRevocations" => auth::ListRevocationsResponse::default().encode_to_vec(),
        _ => return None,
    })
}

fn order_answer(rpc: &str) -> Option<Vec<u8>> {
    let (paid, replayed) = (Some(order(order::OrderStatus::Paid)), false);
    let (orders, next_page_token) = (vec![order(order::OrderStatus::Paid)], String::new());
    Some(match rpc {
        "ListProducts" => {
            order::ListProductsResponse { products: vec![product()], next_page_token }
                .encode_to_vec()
        }
        "GetProduct" => order::GetProductResponse { product: Some(product()) }.encode_to_vec(),
        "PutProduct" => {
            order::PutProductResponse { product: Some(product()), created: true }.encode_to_vec()
        }
        "CreateOrder" => order::CreateOrderResponse { order: paid, replayed }.encode_to_vec(),
        "GetOrder" => order::GetOrderResponse { order: paid }.encode_to_vec(),
        "ListOrders" => order::ListOrdersResponse { orders, next_page_token }.encode_to_vec(),
        "PayOrder" => order::PayOrderResponse { order: paid, replayed }.encode_to_vec(),
        "CancelOrder" => order::CancelOrderResponse { order: paid, replayed }.encode_to_vec(),
        "RefundOrder" => order::RefundOrderResponse { order: paid, replayed }.encode_to_vec(),
        "ShipOrder" => order::ShipOrderResponse { order: paid }.encode_to_vec(),
        "CompleteOrder" => order::CompleteOrderResponse { order: paid }.encode_to_vec(),
        "GetTimeline" => {
            let (entries, explanation) = (vec![timeline_entry()], None);
            order::GetTimelineResponse { entries, truncated: false, explanation }.encode_to_vec()
        }
        "ListStuckOrders" => {
            order::ListStuckOrdersResponse { orders, next_page_token }.encode_to_vec()
        }
        _ => return None,
    })
}

fn payment_answer(rpc: &str) -> Option<Vec<u8>> {
    Some(match rpc {
        "GetPayment" => {
            let (payment, attempts) = (Some(payment()), vec![payment()]);
            payment::GetPaymentResponse { payment, attempts }.encode_to_vec()
        }
        "GetReconciliation" => {
            let report = payment::GetReconciliationResponse::default();
            payment::GetReconciliationResponse { compared_at: TIME, ..report }.encode_to_vec()
        }
        "HandleCallback" => payment::HandleCallbackResponse {}.encode_to_vec(),
        "ListCallbacks" => {
            payment::ListCallbacksResponse { callbacks: vec![callback()] }.encode_to_vec()
        }
        _ => return None,
    })
}

fn notify_answer(rpc: &str) -> Option<Vec<u8>> {
    let (next_page_token, dead_letter) = (String::new(), Some(dead_letter()));
    Some(match rpc {
        "ListNotifications" => {
            let notifications = vec![notification()];
            notify::ListNotificationsResponse { notifications, next_page_token }.encode_to_vec()
        }
        "MarkRead" => {
            notify::MarkReadResponse { notification: Some(notification()) }.encode_to_vec()
        }
        "GetPreferences" => {
            notify::GetPreferencesResponse { preferences: vec![preference()] }.encode_to_vec()
        }
        "PutPreferences" => {
            notify::PutPreferencesResponse { preferences: vec![preference()] }.encode_to_vec()
        }
        "ListEventReceipts" => {
            notify::ListEventReceiptsResponse { receipts: vec![receipt()] }.encode_to_vec()
        }
        "ListDeadLetters" => {
            let dead_letters = dead_letter.into_iter().collect();
            notify::ListDeadLettersResponse { dead_letters, next_page_token }.encode_to_vec()
        }
        "GetDeadLetter" => {
            let payload = b"not JSON".to_vec();
            notify::GetDeadLetterResponse { dead_letter, payload }.encode_to_vec()
        }
        "ReplayDeadLetter" => notify::ReplayDeadLetterResponse { dead_letter }.encode_to_vec(),
        "ListDeadMails" => {
            let dead_mails = vec![dead_mail()];
            notify::ListDeadMailsResponse { dead_mails, next_page_token }.encode_to_vec()
        }
        "ReplayDeadMail" => {
            notify::ReplayDeadMailResponse { dead_mail: Some(dead_mail()) }.encode_to_vec()
        }
        "DiscardDeadLetter" => notify::DiscardDeadLetterResponse { dead_letter }.encode_to_vec(),
        _ => return None,
    })
}
