//! Every route of the API, as the design states it.

use Who::{Admin, Anyone, User};

use crate::harness::{Ask, Gateway};

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Anyone,
    User,
    Admin,
}

/// A route and what it usually does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) who: Who,
    pub(crate) method: &'static str,
    /// As in the documentation.
    pub(crate) template: &'static str,
    pub(crate) body: &'static str,
    pub(crate) status: u16,
    /// The rpc that decides on the answer; empty for what the gateway answers alone.
    pub(crate) rpc: &'static str,
    /// The quota that is used; empty for what is not limited.
    pub(crate) quota: &'static str,
}

impl Row {
    /// The path with every parameter filled in.
    pub(crate) fn path(&self) -> String {
        self.template
            .replace("{id}", crate::samples::ID)
            .replace("{sku}", "KEYBOARD-87")
            .replace("{file}", "index.html")
            .replace("{code}", "INTERNAL")
    }

    /// A request that is complete but for a token.
    pub(crate) fn ask(&self) -> Ask {
        self.ask_at(&self.path())
    }

    pub(crate) fn ask_at(&self, path: &str) -> Ask {
        let ask = Ask::new(self.method, path).header("idempotency-key", "key-1");
        if self.body.is_empty() { ask } else { ask.json(self.body) }
    }

    /// A request by someone who may use the route.
    pub(crate) fn ask_allowed(&self, gateway: &Gateway) -> Ask {
        match self.who {
            Who::Anyone => self.ask(),
            Who::User => self.ask().token(&gateway.customer()),
            Who::Admin => self.ask().token(&gateway.admin()),
        }
    }

    /// Every rpc that is called.
    pub(crate) fn rpcs(&self) -> impl Iterator<Item = &'static str> {
        let beside: &[&str] = match self.rpc {
            "GetTimeline" => &["ListCallbacks", "ListEventReceipts"],
            _ => &[],
        };
        Some(self.rpc).filter(|rpc| !rpc.is_empty()).into_iter().chain(beside.iter().copied())
    }

    /// Whether the call may run twice, because it only reads or carries a key.
    pub(crate) fn may_repeat(&self) -> bool {
        let reads = self.rpc.starts_with("Get") || self.rpc.starts_with("List");
        let keyed = ["CreateOrder", "PayOrder", "CancelOrder", "RefundOrder"];
        // These leave the same behind however often they run.
        let same = [
            "Logout",
            "RevokeSession",
            "RevokeAllSessions",
            "RevokeUserSessions",
            "MarkRead",
            "PutPreferences",
            "HandleCallback",
        ];
        reads || keyed.contains(&self.rpc) || same.contains(&self.rpc)
    }
}

type Line = (Who, &'static str, u16, &'static str, &'static str, &'static str);

/// Reads lines of who, method and path, status, rpc, quota and body.
fn rows(lines: &[Line]) -> impl Iterator<Item = Row> {
    lines.iter().map(|&(who, operation, status, rpc, quota, body)| {
        let (method, template) = operation.split_once(' ').unwrap();
        Row { who, method, template, body, status, rpc, quota }
    })
}

/// Every route.
pub(crate) fn table() -> Vec<Row> {
    let parts = [ACCOUNTS, LINKS, SHOP, PEOPLE, OPERATORS, LOCAL];
    parts.into_iter().flat_map(rows).collect()
}

const REGISTER: &str =
    r#"{"email":"li.lei@example.com","password":"correct horse","display_name":"Li Lei"}"#;
const PASSWORDS: &str = r#"{"current_password":"old horse","new_password":"new horse"}"#;
const TOKEN: &str = r#"{"token":"one-time"}"#;
const RECOVERY: &str = r#"{"token":"one-time","new_password":"new horse"}"#;
const LOGIN: &str = r#"{"email":"li.lei@example.com","password":"correct horse"}"#;
const ORDER: &str = r#"{"items":[{"sku":"KEYBOARD-87","quantity":1}],"payment_method":"pm_ok"}"#;
const PAY: &str = r#"{"payment_method":"pm_ok"}"#;
const PRODUCT: &str =
    r#"{"name":"Keyboard","unit_price":{"amount":19900,"currency":"CNY"},"stock":100}"#;
const ROTATION: &str = r#"{"withdraw_others":false}"#;
const PREFERENCES: &str =
    r#"{"preferences":[{"event":"order.paid","channel":"in_app","enabled":false}]}"#;

const ACCOUNTS: &[Line] = &[
    (Anyone, "POST /api/v1/users", 201, "Register", "register", REGISTER),
    (User, "GET /api/v1/users/me", 200, "GetUser", "default", ""),
    (User, "PATCH /api/v1/users/me", 200, "UpdateProfile", "default", r#"{"locale":"en"}"#),
    (User, "PUT /api/v1/users/me/password", 204, "ChangePassword", "login", PASSWORDS),
    (Admin, "GET /api/v1/users", 200, "ListUsers", "default", ""),
    (Admin, "GET /api/v1/users/{id}", 200, "GetUser", "default", ""),
    (Admin, "PUT /api/v1/users/{id}/status", 200, "SetStatus", "default", r#"{"status":"ACTIVE"}"#),
    (Admin, "PUT /api/v1/users/{id}/roles", 200, "SetRoles", "default", r#"{"roles":["admin"]}"#),
    (Admin, "DELETE /api/v1/users/{id}/sessions", 204, "RevokeUserSessions", "default", ""),
    (Anyone, "POST /api/v1/auth/login", 200, "Login", "login", LOGIN),
    (Anyone, "POST /api/v1/auth/refresh", 200, "Refresh", "refresh", r#"{"refresh_token":"r"}"#),
    (User, "POST /api/v1/auth/logout", 204, "Logout", "default", ""),
    (User, "GET /api/v1/auth/sessions", 200, "ListSessions", "default", ""),
    (User, "DELETE /api/v1/auth/sessions", 204, "RevokeAllSessions", "default", ""),
    (User, "DELETE /api/v1/auth/sessions/{id}", 204, "RevokeSession", "default", ""),
    (Anyone, "GET /.well-known/jwks.json", 200, "GetJwks", "default", ""),
];

const LINKS: &[Line] = &[
    (User, "POST /api/v1/users/me/email-verification", 202, "RequestEmailVerification", "mail", ""),
    (Anyone, "POST /api/v1/auth/email-verification", 204, "VerifyEmail", "login", TOKEN),
    (
        Anyone,
        "POST /api/v1/auth/password-recovery",
        202,
        "RequestPasswordRecovery",
        "mail",
        r#"{"email":"li.lei@example.com"}"#,
    ),
    (
        Anyone,
        "POST /api/v1/auth/password-recovery/complete",
        204,
        "RecoverPassword",
        "login",
        RECOVERY,
    ),
];

const SHOP: &[Line] = &[
    (Anyone, "GET /api/v1/products", 200, "ListProducts", "default", ""),
    (Anyone, "GET /api/v1/products/{sku}", 200, "GetProduct", "default", ""),
    (Admin, "PUT /api/v1/products/{sku}", 201, "PutProduct", "default", PRODUCT),
    (User, "POST /api/v1/orders", 201, "CreateOrder", "payment", ORDER),
    (User, "GET /api/v1/orders", 200, "ListOrders", "default", ""),
    (User, "GET /api/v1/orders/{id}", 200, "GetOrder", "default", ""),
    (User, "POST /api/v1/orders/{id}/pay", 200, "PayOrder", "payment", PAY),
    (User, "POST /api/v1/orders/{id}/cancel", 200, "CancelOrder", "payment", ""),
    (User, "POST /api/v1/orders/{id}/refund", 200, "RefundOrder", "payment", ""),
    (Admin, "POST /api/v1/orders/{id}/ship", 200, "ShipOrder", "default", ""),
    (Admin, "POST /api/v1/orders/{id}/complete", 200, "CompleteOrder", "default", ""),
    (User, "GET /api/v1/orders/{id}/timeline", 200, "GetTimeline", "default", ""),
    (User, "GET /api/v1/payments/{id}", 200, "GetPayment", "default", ""),
    (Anyone, "POST /api/v1/payments/callback", 200, "HandleCallback", "callback", "{}"),
];

const PEOPLE: &[Line] = &[
    (User, "GET /api/v1/notifications", 200, "ListNotifications", "default", ""),
    (User, "POST /api/v1/notifications/{id}/read", 200, "MarkRead", "default", ""),
    (User, "GET /api/v1/notifications/preferences", 200, "GetPreferences", "default", ""),
    (User, "PUT /api/v1/notifications/preferences", 200, "PutPreferences", "default", PREFERENCES),
];

const OPERATORS: &[Line] = &[
    (Admin, "GET /api/v1/admin/keys", 200, "ListKeys", "default", ""),
    (Admin, "POST /api/v1/admin/keys/rotate", 200, "RotateKeys", "default", ROTATION),
    (Admin, "GET /api/v1/admin/services", 200, "", "default", ""),
    (Admin, "GET /api/v1/admin/dead-letters", 200, "ListDeadLetters", "default", ""),
    (Admin, "GET /api/v1/admin/dead-letters/{id}", 200, "GetDeadLetter", "default", ""),
    (Admin, "POST /api/v1/admin/dead-letters/{id}/replay", 200, "ReplayDeadLetter", "default", ""),
    (
        Admin,
        "POST /api/v1/admin/dead-letters/{id}/discard",
        200,
        "DiscardDeadLetter",
        "default",
        "",
    ),
    (Admin, "GET /api/v1/admin/dead-mails", 200, "ListDeadMails", "default", ""),
    (Admin, "POST /api/v1/admin/dead-mails/{id}/replay", 200, "ReplayDeadMail", "default", ""),
    (Admin, "GET /api/v1/admin/stuck-orders", 200, "ListStuckOrders", "default", ""),
    (Admin, "GET /api/v1/admin/reconciliation", 200, "GetReconciliation", "default", ""),
];

const LOCAL: &[Line] = &[
    (Anyone, "GET /livez", 200, "", "", ""),
    (Anyone, "GET /readyz", 200, "", "", ""),
    (Anyone, "GET /openapi.json", 200, "", "docs", ""),
    (Anyone, "GET /docs", 308, "", "docs", ""),
    (Anyone, "GET /docs/", 200, "", "docs", ""),
    (Anyone, "GET /docs/{file}", 200, "", "docs", ""),
    (Anyone, "GET /docs/errors", 200, "", "docs", ""),
    (Anyone, "GET /docs/errors/{code}", 200, "", "docs", ""),
];
