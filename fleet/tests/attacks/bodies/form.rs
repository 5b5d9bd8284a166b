//! Bodies that are not one JSON object in UTF-8.

use anyhow::{Context, Result, ensure};
use fleet::harness::Reply;
use reqwest::Method;

use super::{CANARY, Target, targets};
use crate::support::counted;
use crate::support::problem::{refused, refused_silently};
use crate::support::stage::Stage;

const BOM: &[u8] = b"\xef\xbb\xbf";

pub(super) async fn a068_bodies_that_are_no_json(stage: &Stage) -> Result<()> {
    for target in targets(stage).await? {
        let good = target.body.to_string();
        let open = good.strip_suffix('}').unwrap_or(&good);
        let bodies: Vec<(&str, Vec<u8>)> = vec![
            ("truncated", open.into()),
            ("truncated in a text", good[..good.len() - 2].into()),
            ("one brace", b"{".to_vec()),
            ("trailing garbage", format!("{good}x").into()),
            ("trailing brace", format!("{good}}}").into()),
            ("two documents", format!("{good}{good}").into()),
            ("two lines", format!("{good}\n{good}").into()),
            ("trailing comma", format!("{open},}}").into()),
            ("comment", format!("{open}/* {CANARY} */}}").into()),
            ("comment in front", format!("// x\n{good}").into()),
            ("single quotes", good.replace('"', "'").into()),
            ("bare names", format!("{{name:\"{CANARY}\"}}").into()),
            ("form", format!("email=a&password={CANARY}").into()),
            ("XML", format!("<password>{CANARY}</password>").into()),
            ("byte order mark", [BOM, good.as_bytes()].concat()),
            ("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("NUL behind", [good.as_bytes(), b"\0"].concat()),
            ("NUL in front", [b"\0", good.as_bytes()].concat()),
            ("vertical tab", [b"\x0b", good.as_bytes()].concat()),
            ("text", CANARY.into()),
        ];
        for (attack, body) in bodies {
            let reply = target.send(body).await?;
            refused_silently(&reply, 400, "JSON_INVALID", &[CANARY])
                .with_context(|| format!("{} {attack}", target.path))?;
        }
    }
    Ok(())
}

pub(super) async fn a069_bodies_that_are_no_object(stage: &Stage) -> Result<()> {
    for target in targets(stage).await? {
        for nothing in ["", " ", "\n", "\t \r\n"] {
            let reply = target.send(nothing).await?;
            if nothing.is_empty() && target.may_be_absent {
                // It is about nothing that exists, and says so, whatever it says of its type.
                refused(&reply, 404, reply.code()).with_context(|| target.path.clone())?;
                let untyped = target.send_as(None, nothing).await?;
                ensure!(untyped.code() == reply.code(), "{}: {}", target.path, untyped.body);
                continue;
            }
            refused(&reply, 400, "JSON_INVALID").with_context(|| target.path.clone())?;
        }
        let text = format!("\"{CANARY}\"");
        for other in ["null", "[]", "true", "false", "0", "-1", "1.5", "[{}]", "[[]]", &text] {
            let reply = target.send(other.to_owned()).await?;
            refused_silently(&reply, 422, "VALIDATION_FAILED", &[CANARY])
                .with_context(|| format!("{} {other}", target.path))?;
        }
        // The members in the order of the declaration make no object either.
        let values: Vec<_> =
            target.body.as_object().into_iter().flatten().map(|(_, v)| v).collect();
        let list = serde_json::to_string(&values)?;
        refused_silently(&target.send(list).await?, 422, "VALIDATION_FAILED", &[CANARY])?;
    }
    Ok(())
}

pub(super) async fn a070_other_media_types(stage: &Stage) -> Result<()> {
    let types = [
        "",
        "text/plain",
        "text/json",
        "application/xml",
        "text/xml",
        "application/jsonp",
        "application/x-json",
        "application/json-seq",
        "application/problem+json",
        "application/merge-patch+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-7",
        "application/json, text/plain",
        "application/json\u{a0}",
        "application",
        "/",
        "*/*",
        "application/*",
        "application/json/x",
        "text/html; application/json",
        "json",
        "application/octet-stream",
        "application/grpc",
    ];
    for target in targets(stage).await? {
        let good = target.body.to_string();
        let missing = target.send_as(None, good.clone()).await?;
        refused_silently(&missing, 415, "MEDIA_TYPE_UNSUPPORTED", &[CANARY])?;
        for media_type in types {
            let reply = target.send_as(Some(media_type), good.clone()).await?;
            refused_silently(&reply, 415, "MEDIA_TYPE_UNSUPPORTED", &[CANARY])
                .with_context(|| format!("{} {media_type:?}", target.path))?;
        }
        for media_type in ["Application/JSON", "application/json;charset=\"UTF-8\""] {
            // Read, and refused for what it says or not at all.
            let reply = target.send_as(Some(media_type), "[]").await?;
            refused(&reply, 422, "VALIDATION_FAILED")?;
        }
    }
    let visitor = stage.visitor()?;
    let request = visitor.request(Method::POST, "/api/v1/auth/login").body("{}");
    let twice = request.header("content-type", "application/json");
    let twice = twice.header("content-type", "text/plain");
    refused(&visitor.send(twice).await?, 415, "MEDIA_TYPE_UNSUPPORTED")
}

/// What is refused by its parser, or by the first who looks at it.
const REFUSALS: [u16; 6] = [400, 401, 403, 404, 413, 422];

/// The longest that a refusal may be beside what it repeats of the names in a body.
const REFUSAL_BYTES_MAX: usize = 1_024;

/// The refusal of a body, which is no longer than what it is about.
async fn refused_briefly(target: &Target<'_>, body: &str) -> Result<Reply> {
    let reply = target.send(body.to_owned()).await?;
    let is_known = REFUSALS.contains(&reply.status);
    ensure!(is_known, "{} {body:.40}: {} {}", target.path, reply.status, reply.body);
    refused(&reply, reply.status, reply.code())?;
    let (sent, said) = (body.len(), reply.body.to_string().len());
    ensure!(said <= sent + REFUSAL_BYTES_MAX, "{} {body:.40}: {said} bytes", target.path);
    let violations = reply.body["violations"].as_array().map_or(0, Vec::len);
    ensure!(violations <= 1, "{} {body:.40}: {violations} violations", target.path);
    Ok(reply)
}

/// What the gateway asks of its own accord: revocations, and keys.
const OF_ITSELF: [&str; 2] = ["\"ListRevocations\"", "\"GetJwks\""];

/// How many calls the gateway has made for its clients.
async fn calls(stage: &Stage) -> Result<u64> {
    counted(stage, ("gateway-service", 0), |line| {
        line.starts_with("rpc_client_requests_total{")
            && !OF_ITSELF.iter().any(|method| line.contains(method))
    })
    .await
}

pub(super) async fn a071_deep_nesting(stage: &Stage) -> Result<()> {
    let before = calls(stage).await?;
    let depths = [64, 127, 128, 129, 1_000, 10_000, 1_000_000];
    for target in &targets(stage).await? {
        let name =
            target.body.as_object().and_then(|body| body.keys().next()).context("no member")?;
        for depth in depths {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let object = "{\"a\":".repeat(depth.min(150_000));
            for body in [
                open.clone(),
                format!("{open}{close}").chars().take(1_000_000).collect(),
                format!("{{\"{name}\":{open}"),
                format!("{{\"deep\":{open}"),
                object,
            ] {
                let reply = refused_briefly(target, &body).await?;
                let is_parsed = reply.status != 400 && depth > 128;
                ensure!(!is_parsed, "{} of {depth} levels: {}", target.path, reply.body);
            }
        }
    }
    let made = calls(stage).await? - before;
    ensure!(made == 0, "{made} calls were made for bodies that are nothing");
    Ok(())
}

pub(super) async fn a072_very_large_documents(stage: &Stage) -> Result<()> {
    let before = calls(stage).await?;
    let members = (0..80_000).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(",");
    let same = vec!["\"email\":1"; 90_000].join(",");
    let tried = targets(stage).await?;
    for target in &tried {
        let name =
            target.body.as_object().and_then(|body| body.keys().next()).context("no member")?;
        for body in [
            format!("{{{members}}}"),
            format!("{{{same}}}"),
            format!("{{\"{}\":1}}", "k".repeat(100_000)),
            format!("{{\"{name}\":{}}}", "9".repeat(1_000_000)),
            format!("{{\"{name}\":0.{}}}", "9".repeat(1_000_000)),
            format!("{{\"{name}\":1e{}}}", "9".repeat(1_000_000)),
            format!("{{\"{name}\":-{}}}", "1".repeat(100_000)),
            format!("{{\"{name}\":[{}1]}}", "1,".repeat(400_000)),
            format!("{{\"{name}\":\"{}\"}}", "\\u0041".repeat(150_000)),
            " ".repeat(1_000_000),
        ] {
            refused_briefly(target, &body).await?;
        }
    }
    // Of all these only the long text may be what it has to be, which a service decides.
    let made = usize::try_from(calls(stage).await? - before)?;
    ensure!(made <= tried.len(), "{made} calls were made for bodies that are too large");
    Ok(())
}

pub(super) async fn a078_accepting_html_only(stage: &Stage) -> Result<()> {
    let user = stage.user().await?;
    for accept in ["text/html", "application/xml", "image/*;q=1", "application/json;q=0", "", "x"] {
        let request = user.api.request(Method::GET, "/api/v1/users/me").header("accept", accept);
        let reply = user.api.send(request).await?;
        let kind = reply.header("content-type").unwrap_or_default().to_owned();
        ensure!(reply.status == 200 || reply.status == 406, "{accept}: {}", reply.status);
        ensure!(kind.contains("json"), "{accept}: {kind}");
        let request = user.api.request(Method::GET, "/api/v1/orders/1").header("accept", accept);
        refused(&user.api.send(request).await?, 400, "ID_INVALID")?;
        let request = user.api.request(Method::GET, "/<script>").header("accept", accept);
        let reply = user.api.send(request).await?;
        refused(&reply, 404, "ROUTE_NOT_FOUND")?;
        ensure!(reply.header("x-content-type-options") == Some("nosniff"), "{:?}", reply.headers);
    }
    Ok(())
}
