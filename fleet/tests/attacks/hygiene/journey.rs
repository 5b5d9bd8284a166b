//! A way through every operation with values that must be found nowhere afterwards.

use anyhow::Result;
use fleet::Fleet;
use fleet::harness::api::new_key;
use fleet::harness::{Api, Reply};
use reqwest::Method;
use reqwest::header::COOKIE;
use serde_json::{Value, json};

use crate::callbacks::provider::{HEADER, now, signed_at};
use crate::sessions::{Pair, logout, refresh};
use crate::support::contract::operations;
use crate::support::{PATIENCE, order_body, text};

/// Texts that somebody entrusts to the fleet.
pub(super) struct Canaries {
    pub(super) password: String,
    pub(super) next_password: String,
    pub(super) email: String,
    /// Sixteen digits that look like a card's number.
    pub(super) card: String,
    pub(super) cookie: String,
    /// Access and refresh tokens that were issued on the way, and signatures that were sent.
    pub(super) issued: Vec<String>,
}

impl Canaries {
    pub(super) fn new() -> Self {
        let part = fleet::random::token();
        Self {
            password: format!("pw-canary-{part}"),
            next_password: format!("pw-next-canary-{part}"),
            email: format!("mail-canary-{part}@example.com"),
            card: "4929471038465207".to_owned(),
            cookie: format!("cookie-canary-{part}"),
            issued: Vec::new(),
        }
    }

    /// By what each is called, and what to look for in small letters.
    pub(super) fn all(&self) -> Vec<(&'static str, String)> {
        let named = [
            ("a password", &self.password),
            ("a new password", &self.next_password),
            ("an e-mail address", &self.email),
            ("a card's number", &self.card),
            ("a cookie", &self.cookie),
        ];
        let issued = self.issued.iter().map(|secret| ("a token or signature", secret));
        named.into_iter().chain(issued).map(|(name, text)| (name, text.to_lowercase())).collect()
    }

    fn keep(&mut self, pair: &Pair) {
        // The signature alone would do to complete a token that is guessed.
        let signature = pair.access.rsplit('.').next().unwrap_or_default().to_owned();
        self.issued.extend([pair.access.clone(), pair.refresh.clone(), signature]);
    }
}

/// Does everything with the canaries, rightly and wrongly, and returns all answers.
pub(super) async fn travel(fleet: &Fleet, canaries: &mut Canaries) -> Result<Vec<Reply>> {
    let visitor = fleet.http()?;
    let mut replies = account(&visitor, canaries).await?;
    replies.extend(links(fleet, &visitor, canaries).await?);
    let pair = enter(&visitor, canaries, &mut replies).await?;
    let user = visitor.with_token(&pair.access);
    replies.extend(profile(&user, canaries).await?);
    replies.extend(shop(&user, canaries).await?);
    replies.extend(callbacks(&visitor, canaries).await?);
    replies.extend(everywhere(&user, canaries).await?);
    replies.extend(leave(&visitor, canaries, &pair).await?);
    replies.extend(administrate(fleet, canaries).await?);
    Ok(replies)
}

async fn account(visitor: &Api, canaries: &Canaries) -> Result<Vec<Reply>> {
    let Canaries { email, password, card, .. } = canaries;
    visitor.register(email, password, "Customer").await?.require(201)?;
    let broken = format!("{{\"email\":\"{email}\",\"password\":\"{password}\",");
    Ok(vec![
        visitor.register(email, password, "Customer").await?,
        visitor.register(&format!("{email}\r\n"), password, card).await?,
        visitor.register(email, &password[..4], card).await?,
        visitor.register(password, email, &card.repeat(20)).await?,
        post_text(visitor, "/api/v1/users", &broken).await?,
        post_text(visitor, "/api/v1/auth/login", &broken).await?,
        visitor.post("/api/v1/auth/login", &json!({"email": email, "password": 1})).await?,
        visitor.post("/api/v1/auth/login", &json!({"email": email, "password": card})).await?,
        visitor.post("/api/v1/auth/login", &json!({"email": card, "password": password})).await?,
    ])
}

/// Proves the address by the link that the registration sent, and asks for another one.
async fn links(fleet: &Fleet, visitor: &Api, canaries: &mut Canaries) -> Result<Vec<Reply>> {
    let mailbox = fleet.mailbox();
    let proof = mailbox.mail_to(&canaries.email, 0).await?.token()?.to_owned();
    let email = json!({"email": canaries.email});
    visitor.post("/api/v1/auth/password-recovery", &email).await?.require(202)?;
    let link = mailbox.mail_to(&canaries.email, 1).await?.token()?.to_owned();
    let verify = async |token: &str| {
        visitor.post("/api/v1/auth/email-verification", &json!({"token": token})).await
    };
    let recover = async |token: &str, new: &str| {
        let body = json!({"token": token, "new_password": new});
        visitor.post("/api/v1/auth/password-recovery/complete", &body).await
    };
    let mut replies = vec![verify(&link).await?, recover(&proof, &canaries.next_password).await?];
    replies.push(recover(&link, "short").await?);
    replies.push(recover(&link, &canaries.email).await?);
    verify(&proof).await?.require(204)?;
    replies.push(verify(&proof).await?);
    canaries.issued.extend([proof, link]);
    Ok(replies)
}

async fn enter(visitor: &Api, canaries: &mut Canaries, out: &mut Vec<Reply>) -> Result<Pair> {
    let body = json!({"email": canaries.email, "password": canaries.password});
    let first = Pair::of(&visitor.post("/api/v1/auth/login", &body).await?.require(200)?)?;
    canaries.keep(&first);
    let second = Pair::of(&refresh(visitor, &first.refresh).await?.require(200)?)?;
    canaries.keep(&second);
    for token in [&format!("{}x", second.refresh), &second.access, &canaries.password] {
        out.push(refresh(visitor, token).await?);
    }
    Ok(second)
}

async fn profile(user: &Api, canaries: &Canaries) -> Result<Vec<Reply>> {
    let Canaries { email, password, next_password, card, .. } = canaries;
    let patch = async |body: Value| {
        user.send(user.request(Method::PATCH, "/api/v1/users/me").json(&body)).await
    };
    let password_path = "/api/v1/users/me/password";
    let change =
        |current: &str, new: &str| json!({"current_password": current, "new_password": new});
    let replies = vec![
        patch(json!({"locale": card})).await?,
        patch(json!({"display_name": format!("{card}\n{email}")})).await?,
        patch(json!({"email": email, "password": password})).await?,
        user.put(password_path, &change(card, next_password)).await?,
        user.put(password_path, &change(password, "short")).await?,
        user.put(
            "/api/v1/notifications/preferences",
            &json!({"preferences": [
            {"event": card, "channel": email, "enabled": true}]}),
        )
        .await?,
    ];
    patch(json!({"display_name": card})).await?.require(200)?;
    user.put(password_path, &change(password, next_password)).await?.require(204)?;
    Ok(replies)
}

async fn shop(user: &Api, canaries: &Canaries) -> Result<Vec<Reply>> {
    let Canaries { email, card, password, .. } = canaries;
    let once = async |path: &str, body: Value| user.post_once(path, &new_key(), &body).await;
    let placed = once("/api/v1/orders", order_body("pm_ok")).await?.require_any(&[201, 202])?;
    let order = format!("/api/v1/orders/{}", text(&placed, "id")?);
    let mut replies = vec![
        // What a client may well believe to be right: the number itself as a way to pay.
        once("/api/v1/orders", order_body(&format!("pm_{card}"))).await?,
        once("/api/v1/orders", order_body(card)).await?,
        once(
            "/api/v1/orders",
            json!({"items": [{"sku": card, "quantity": 1}],
            "payment_method": email}),
        )
        .await?,
        once("/api/v1/orders", json!({"items": [], "card": card, "password": password})).await?,
        once(&format!("{order}/pay"), json!({"payment_method": card})).await?,
        once(&format!("{order}/cancel"), json!({"reason": email})).await?,
        once(&format!("{order}/refund"), json!({"to": card})).await?,
        user.get(&format!("{order}?card={card}&email={email}")).await?,
        user.get(&format!("/api/v1/orders?page_token={card}")).await?,
    ];
    once(&format!("{order}/refund"), json!({})).await?.require_any(&[200, 202])?;
    replies.push(user.get(&format!("{order}/timeline")).await?);
    fleet::wait::until("the notifications", PATIENCE, || async {
        let list = user.get("/api/v1/notifications").await?.require(200)?;
        Ok(list["items"].as_array().is_some_and(|items| !items.is_empty()).then_some(()))
    })
    .await?;
    Ok(replies)
}

async fn callbacks(visitor: &Api, canaries: &mut Canaries) -> Result<Vec<Reply>> {
    let good = json!({"id": format!("evt_{}", fleet::random::token()), "type": "payment.failed",
        "reference": uuid::Uuid::from_u128(1), "amount": 1, "currency": "CNY",
        "reason": canaries.card, "customer": canaries.email})
    .to_string();
    let signature = signed_at(now(), &good);
    let tag = signature.rsplit('=').next().unwrap_or_default().to_owned();
    let mut replies = Vec::new();
    let odd = format!("{good}{}", canaries.card);
    for (body, header) in [
        (&good, signature.clone()),
        (&odd, signature.clone()),
        (&odd, signed_at(now(), &odd)),
        (&good, format!("{signature},v1={tag},t={}", canaries.card)),
        (&good, canaries.password.clone()),
    ] {
        let request = visitor.request(Method::POST, "/api/v1/payments/callback");
        let request = request.header("content-type", "application/json").header(HEADER, header);
        replies.push(visitor.send(request.body(body.clone())).await?);
    }
    canaries.issued.push(tag);
    Ok(replies)
}

/// Every operation with a cookie, with members that nobody asked for, and with a damaged token.
async fn everywhere(user: &Api, canaries: &Canaries) -> Result<Vec<Reply>> {
    let Canaries { email, card, password, cookie, .. } = canaries;
    let damaged = user.with_token(format!("{}x", user.token().unwrap_or_default()));
    let extra = json!({"password": password, "card": card, "email": email});
    let mut replies = Vec::new();
    for operation in operations(user).await? {
        // These end the session: the last part does that.
        if operation.path.starts_with("/api/v1/auth/") {
            continue;
        }
        let path = operation.path_of(&uuid::Uuid::from_u128(1).to_string());
        for api in [user, &damaged] {
            let request = api.request(operation.method.clone(), &path);
            let request = request.header(COOKIE, format!("session={cookie}"));
            let request = request.header("idempotency-key", new_key());
            let request = if operation.has_body { request.json(&extra) } else { request };
            replies.push(api.send(request).await?);
            let query = format!("{path}?token={password}&email={email}&card={card}");
            let request = api.request(operation.method.clone(), &query);
            replies.push(api.send(request.header("idempotency-key", email)).await?);
        }
    }
    Ok(replies)
}

async fn leave(visitor: &Api, canaries: &mut Canaries, pair: &Pair) -> Result<Vec<Reply>> {
    let last = Pair::of(&refresh(visitor, &pair.refresh).await?.require(200)?)?;
    canaries.keep(&last);
    logout(&visitor.with_token(&last.access)).await?.require(204)?;
    let body = json!({"email": canaries.email, "password": canaries.password});
    Ok(vec![
        refresh(visitor, &last.refresh).await?,
        refresh(visitor, &pair.refresh).await?,
        visitor.post("/api/v1/auth/login", &body).await?,
        visitor.with_token(&last.access).get("/api/v1/users/me").await?,
    ])
}

/// What an administrator sees of the account, and does to it.
async fn administrate(fleet: &Fleet, canaries: &mut Canaries) -> Result<Vec<Reply>> {
    let (admin, visitor) = (fleet.admin().await?, fleet.http()?);
    let body = json!({"email": canaries.email, "password": canaries.next_password});
    let pair = Pair::of(&visitor.post("/api/v1/auth/login", &body).await?.require(200)?)?;
    canaries.keep(&pair);
    let me = visitor.with_token(&pair.access).get("/api/v1/users/me").await?.require(200)?;
    let account = format!("/api/v1/users/{}", text(&me, "id")?);
    admin.get(&account).await?.require(200)?;
    let status = format!("{account}/status");
    let replies = vec![
        admin.put(&status, &json!({"status": canaries.card})).await?,
        admin.put(&format!("{account}/roles"), &json!({"roles": [canaries.email]})).await?,
        admin.get(&format!("/api/v1/users?email={}", canaries.email)).await?,
    ];
    admin.put(&status, &json!({"status": "DISABLED"})).await?.require(200)?;
    Ok(replies.into_iter().chain([visitor.post("/api/v1/auth/login", &body).await?]).collect())
}

async fn post_text(api: &Api, path: &str, body: &str) -> Result<Reply> {
    let request = api.request(Method::POST, path).header("content-type", "application/json");
    api.send(request.body(body.to_owned())).await
}
