//! Access tokens: A001 to A025.

mod claims;
mod places;
mod revoked;
mod shapes;
mod signatures;

use anyhow::{Context, Result, ensure};
use fleet::harness::api::new_key;

use crate::support::problem::refused_silently;
use crate::support::run::{Row, row};
use crate::support::stage::{GATEWAYS, Stage};
use crate::support::{TEA, order_body, own_id};

use self::claims::{
    a011_expired_tokens, a012_tokens_before_their_time, a013_odd_expiry_times,
    a014_other_issuers_and_audiences, a017_members_given_twice,
};
use self::places::{
    a001_no_token, a002_empty_and_odd_authorization, a015_refresh_and_access_tokens_swapped,
    a016_tokens_of_services, a023_tokens_where_none_is_offered, a025_identity_in_headers,
};
use self::revoked::{
    a018_disabled_account, a018_role_that_is_taken_away, a019_after_logout_and_password_change,
    a020_retired_key,
};
use self::shapes::{
    a007_key_in_the_header, a008_key_address_in_the_header, a009_odd_key_ids,
    a010_critical_extensions, a021_other_serialisations,
};
use self::signatures::{
    a003_no_signature, a004_confusion_of_algorithms, a005_damaged_signatures, a006_changed_claims,
    a024_degenerate_signatures,
};

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a001_no_token),
        row!(a002_empty_and_odd_authorization),
        row!(a003_no_signature),
        row!(a004_confusion_of_algorithms),
        row!(a005_damaged_signatures),
        row!(a006_changed_claims),
        row!(a007_key_in_the_header),
        row!(a008_key_address_in_the_header),
        row!(a009_odd_key_ids).alone(),
        row!(a010_critical_extensions),
        row!(a011_expired_tokens),
        row!(a012_tokens_before_their_time),
        row!(a013_odd_expiry_times),
        row!(a014_other_issuers_and_audiences),
        row!(a015_refresh_and_access_tokens_swapped),
        row!(a016_tokens_of_services),
        row!(a017_members_given_twice),
        row!(a018_disabled_account),
        row!(a018_role_that_is_taken_away).alone(),
        row!(a019_after_logout_and_password_change),
        row!(a020_retired_key),
        row!(a021_other_serialisations),
        row!(a023_tokens_where_none_is_offered),
        row!(a024_degenerate_signatures),
        row!(a025_identity_in_headers),
    ]
}

/// A route that every user may use.
const PATH: &str = "/api/v1/users/me";

/// A token with the words that say what is wrong with it.
type Forged = (&'static str, String);

/// Tries each token at each gateway, to read and to buy. All of them are refused under this code
/// without being repeated; a good token of the same forger is accepted, so that it is the forgery
/// that is refused.
async fn all_refused(stage: &Stage, code: &str, tokens: &[Forged]) -> Result<()> {
    let visitor = stage.visitor()?;
    for (attack, token) in tokens {
        for gateway in 0..GATEWAYS {
            let api = visitor.at(stage.gateway(gateway)).with_token(token);
            let read = api.get(PATH).await?;
            refused_silently(&read, 401, code, &[token]).context(*attack)?;
            let challenge = read.header("www-authenticate").unwrap_or_default();
            ensure!(challenge.contains("error=\"invalid_token\""), "{attack}: {challenge}");
            let bought = api.post_once("/api/v1/orders", &new_key(), &order_body("pm_ok")).await?;
            refused_silently(&bought, 401, code, &[token]).context(*attack)?;
        }
    }
    Ok(())
}

/// The control: a good token of a user is accepted.
async fn is_accepted(stage: &Stage, token: &str) -> Result<()> {
    let api = stage.visitor()?.with_token(token);
    own_id(&api).await?;
    api.order(TEA, 1, "pm_ok").await?.require(201)?;
    Ok(())
}
