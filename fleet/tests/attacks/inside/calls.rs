//! Calls past the gateway.

use std::fmt::Debug;

use anyhow::{Result, ensure};
use chassis::testing::forger::Forger;
use fleet::credentials::{Authority, Life};
use proto::notify::v1::ListDeadLettersRequest;
use proto::notify::v1::notify_service_client::NotifyServiceClient;
use proto::order::v1::ListOrdersRequest;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::user::v1::SetStatusRequest;
use proto::user::v1::user_service_client::UserServiceClient;
use serde_json::json;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::wire::{Inside, SERVED, call, is_cut, reason, send};
use crate::support::stage::Stage;

/// A method of each service that is for the gateway and needs a user whose token is not over, which a
/// logout does not.
const FOR_USERS: [(&str, &str); 5] = [
    ("user-service", "/enterprisehub.user.v1.UserService/GetUser"),
    ("auth-service", "/enterprisehub.auth.v1.AuthService/ListSessions"),
    ("order-service", "/enterprisehub.order.v1.OrderService/GetOrder"),
    ("payment-service", "/enterprisehub.payment.v1.PaymentService/GetPayment"),
    ("notify-service", "/enterprisehub.notify.v1.NotifyService/ListNotifications"),
];

const HEALTH: &str = "/grpc.health.v1.Health/Check";
const GATEWAY: Option<&str> = Some("gateway-service");

pub(super) async fn a130_direct_calls_without_the_right_identity(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    let user = stage.user().await?;
    let token = stage.forger(user.id).good();
    let authority = inside.credentials.authority()?;
    let late = authority.issue("gateway-service", Life::past())?;
    let foreign = Authority::new(Life::of(3_600))?.issue("gateway-service", Life::of(3_600))?;
    let good = authority.issue("gateway-service", Life::of(3_600))?;
    for (service, path) in FOR_USERS {
        // Nobody, with a good token: the token is not even looked at.
        for (what, way) in [
            ("no certificate", inside.stranger(None, service)?),
            ("an expired certificate", inside.stranger(Some(&late), service)?),
            ("a certificate of another authority", inside.stranger(Some(&foreign), service)?),
        ] {
            for path in [path, HEALTH] {
                let outcome = call(way.clone(), path, Some(&token)).await;
                ensure!(is_cut(&outcome), "{what}, {path}: {outcome:?}");
            }
        }
        let plain = call(inside.channel(None, service)?, path, Some(&token)).await;
        ensure!(is_cut(&plain), "plain text, {path}: {plain:?}");
        let control = call(inside.stranger(Some(&good), service)?, HEALTH, None).await;
        ensure!(control.is_ok(), "{service}: {control:?}");

        // Another service, with a good token.
        let stranger = inside.channel(Some("notify-service"), service)?;
        let outcome = call(stranger, path, Some(&token)).await;
        ensure!(reason(&outcome) == "CALLER_NOT_ALLOWED", "{path}: {outcome:?}");
        ensure!(outcome.is_err_and(|status| status.code() == Code::PermissionDenied));

        // The right service, without a user or with one whose time is over.
        let gateway = inside.channel(GATEWAY, service)?;
        let over = stage.forger(user.id).with_claims(json!({"iat": 1_000, "exp": 2_000}));
        for (token, code) in [
            (None, "TOKEN_MISSING"),
            (Some(over.as_str()), "TOKEN_EXPIRED"),
            (Some("x.y.z"), "TOKEN_INVALID"),
        ] {
            let outcome = call(gateway.clone(), path, token).await;
            ensure!(reason(&outcome) == code, "{path}: {outcome:?} instead of {code}");
            ensure!(outcome.is_err_and(|status| status.code() == Code::Unauthenticated));
        }
    }
    Ok(())
}

fn with_token<T>(message: T, token: &str) -> Result<Request<T>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
    Ok(request)
}

fn code<T>(outcome: Result<T, Status>) -> Code {
    outcome.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Checks how a call ended.
fn ends_with<T: Debug>(outcome: Result<T, Status>, expected: Code, what: &str) -> Result<()> {
    let shown = format!("{what}: {outcome:?} instead of {expected:?}");
    ensure!(code(outcome) == expected, "{shown}");
    Ok(())
}

/// A method of each service that takes an identity as the first member of its message.
const BY_IDENTITY: [(&str, &str); 5] = [
    ("user-service", "/enterprisehub.user.v1.UserService/GetUser"),
    ("auth-service", "/enterprisehub.auth.v1.AuthService/RevokeSession"),
    ("order-service", "/enterprisehub.order.v1.OrderService/GetOrder"),
    ("payment-service", "/enterprisehub.payment.v1.PaymentService/GetPayment"),
    ("notify-service", "/enterprisehub.notify.v1.NotifyService/MarkRead"),
];

pub(super) async fn a132_odd_messages_and_metadata(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    let user = stage.user().await?;
    let token = stage.forger(user.id).good();
    let gateway = inside.credentials.authority()?.issue("gateway-service", Life::of(3_600))?;
    let (huge, nobody) = ("x".repeat(5 << 20), Uuid::from_u128(1).to_string());
    let names = BY_IDENTITY.map(|(service, _)| service);
    ensure!(names == SERVED.map(|(service, _)| service), "not all services: {names:?}");
    for (service, path) in BY_IDENTITY {
        let what = |what: &str| format!("{path}: {what}");
        // Each over a connection of its own: some oddities are the end of it.
        let client = || Ok::<_, anyhow::Error>(Grpc::new(inside.channel(GATEWAY, service)?));
        let outcome = send(client()?, path, with_token(huge.clone(), &token)?).await;
        ends_with(outcome, Code::ResourceExhausted, &what("5 MiB"))?;
        // Five MiB that are a few kilobytes on the way: nothing is unpacked, because nothing is offered.
        let bomb = client()?.send_compressed(CompressionEncoding::Gzip);
        let outcome = send(bomb, path, with_token(huge.clone(), &token)?).await;
        ends_with(outcome, Code::Unimplemented, &what("a compressed message"))?;

        for id in ["-1", "0", "18446744073709551616", "%00", ""] {
            let outcome = send(client()?, path, with_token(id.to_owned(), &token)?).await;
            ensure!(reason(&outcome) == "ID_INVALID", "{path} {id:?}: {outcome:?}");
            ends_with(outcome, Code::InvalidArgument, &what(id))?;
        }
        // A head beyond the bound is 431 in HTTP, for which gRPC has no code; one of four times as
        // much is the end of the connection.
        for (kib, expected) in [(32_usize, Code::Unknown), (64, Code::Unavailable)] {
            let mut bulky = with_token(nobody.clone(), &token)?;
            bulky.metadata_mut().insert("x-bulk", "x".repeat(kib << 10).parse()?);
            let outcome = send(client()?, path, bulky).await;
            ends_with(outcome, expected, &what(&format!("{kib} KiB of metadata")))?;
        }
        // Who has no time is answered before anything is sent; ten years are no longer than any call
        // may take. They are told by a client that shortens nothing.
        let mut hasty = with_token(nobody.clone(), &token)?;
        hasty.metadata_mut().insert("grpc-timeout", "0n".parse()?);
        ends_with(send(client()?, path, hasty).await, Code::DeadlineExceeded, &what("0n"))?;
        let mut patient = with_token(nobody.clone(), &token)?;
        patient.metadata_mut().insert("grpc-timeout", "87600H".parse()?);
        let plain = Grpc::new(inside.stranger(Some(&gateway), service)?);
        ends_with(send(plain, path, patient).await, Code::NotFound, &what("87600H"))?;
        let alive = call(inside.channel(GATEWAY, service)?, HEALTH, None).await;
        ensure!(alive.is_ok(), "{service} afterwards: {alive:?}");
    }
    unknown_values(&inside, &stage.forger(user.id)).await
}

/// Numbers that no enumeration has, wherever one is taken, and sizes that no page has.
async fn unknown_values(inside: &Inside, forger: &Forger<'_>) -> Result<()> {
    let token = forger.with_claims(json!({"roles": ["customer", "admin"]}));
    let mut users = UserServiceClient::new(inside.channel(GATEWAY, "user-service")?);
    let mut orders = OrderServiceClient::new(inside.channel(GATEWAY, "order-service")?);
    let mut letters = NotifyServiceClient::new(inside.channel(GATEWAY, "notify-service")?);
    for status in [99, -1, i32::MAX, i32::MIN] {
        let what = format!("a status of {status}");
        let message = SetStatusRequest { user_id: Uuid::from_u128(1).to_string(), status };
        let outcome = users.set_status(with_token(message, &token)?).await;
        ends_with(outcome, Code::InvalidArgument, &what)?;
        let message = ListOrdersRequest { status, ..ListOrdersRequest::default() };
        let outcome = orders.list_orders(with_token(message, &token)?).await;
        ends_with(outcome, Code::InvalidArgument, &what)?;
        let message = ListDeadLettersRequest { status, ..ListDeadLettersRequest::default() };
        let outcome = letters.list_dead_letters(with_token(message, &token)?).await;
        ends_with(outcome, Code::InvalidArgument, &what)?;
    }
    for page_size in [-5, i32::MIN] {
        let message = ListDeadLettersRequest { page_size, ..ListDeadLettersRequest::default() };
        let outcome = letters.list_dead_letters(with_token(message, &token)?).await;
        ends_with(outcome, Code::InvalidArgument, "a negative page size")?;
        let message = ListOrdersRequest { page_size, ..ListOrdersRequest::default() };
        let outcome = orders.list_orders(with_token(message, &token)?).await;
        ends_with(outcome, Code::InvalidArgument, "a negative page size")?;
    }
    Ok(())
}
