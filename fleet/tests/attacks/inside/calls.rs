//! Calls past the gateway.

use anyhow::{Context, Result, ensure};
use fleet::credentials::{Authority, Life};
use proto::notify::v1::ListDeadLettersRequest;
use proto::notify::v1::notify_service_client::NotifyServiceClient;
use proto::order::v1::order_service_client::OrderServiceClient;
use proto::order::v1::{CreateOrderRequest, GetOrderRequest, ListProductsRequest};
use serde_json::json;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Status};

use super::wire::{Inside, SERVED, call, is_cut, reason};
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

pub(super) async fn a132_odd_messages_and_metadata(stage: &Stage) -> Result<()> {
    let inside = Inside::of(stage).await?;
    let user = stage.user().await?;
    let token = stage.forger(user.id).good();
    let orders = OrderServiceClient::new(inside.channel(GATEWAY, "order-service")?);
    let huge =
        CreateOrderRequest { payment_method: "x".repeat(5 << 20), ..CreateOrderRequest::default() };
    let outcome = orders.clone().create_order(with_token(huge.clone(), &token)?).await;
    ensure!(code(outcome) == Code::ResourceExhausted, "5 MiB");

    // Five MiB that are a few kilobytes on the way: nothing is unpacked, because nothing is offered.
    let bomb = orders.clone().send_compressed(CompressionEncoding::Gzip);
    let outcome = bomb.clone().create_order(with_token(huge, &token)?).await;
    ensure!(code(outcome) == Code::Unimplemented, "a compressed message");

    for id in ["-1", "0", "18446744073709551616", "%00"] {
        let message = GetOrderRequest { order_id: id.to_owned() };
        let refused = orders.clone().get_order(with_token(message, &token)?).await;
        let refused = refused.err().context("an order with an odd id")?;
        ensure!(refused.code() == Code::InvalidArgument, "{id}: {refused:?}");
        ensure!(reason(&Err(refused)) == "ID_INVALID", "{id}");
    }
    let admin = stage.forger(user.id).with_claims(json!({"roles": ["customer", "admin"]}));
    let mut letters = NotifyServiceClient::new(inside.channel(GATEWAY, "notify-service")?);
    for (status, page_size) in [(99, 10), (-1, 10), (0, -5)] {
        let message =
            ListDeadLettersRequest { status, page_size, ..ListDeadLettersRequest::default() };
        let outcome = letters.list_dead_letters(with_token(message, &admin)?).await;
        ensure!(code(outcome) == Code::InvalidArgument, "status {status}, size {page_size}");
    }

    let mut bulky = with_token(ListProductsRequest::default(), &token)?;
    bulky.metadata_mut().insert("x-bulk", "x".repeat(64 << 10).parse()?);
    ensure!(orders.clone().list_products(bulky).await.is_err(), "64 KiB of metadata");
    for (timeout, expected) in [("0n", Code::DeadlineExceeded), ("87600H", Code::Ok)] {
        let mut request = with_token(ListProductsRequest::default(), &token)?;
        request.metadata_mut().insert("grpc-timeout", timeout.parse()?);
        let found = code(orders.clone().list_products(request).await);
        ensure!(found == expected, "a timeout of {timeout}: {found:?}");
    }
    for (service, _) in SERVED {
        let alive = call(inside.channel(GATEWAY, service)?, HEALTH, None).await;
        ensure!(alive.is_ok(), "{service} afterwards: {alive:?}");
    }
    Ok(())
}
