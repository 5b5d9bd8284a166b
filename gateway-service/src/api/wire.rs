//! Parts of messages that several routes share, in both directions.

use chrono::{DateTime, SecondsFormat, Utc};
use proto::money::v1 as pb;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::error::ApiError;

/// An amount in a currency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Money {
    /// Integer minor units (fen, cents, yen).
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 12800)]
    amount: i64,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$", example = "CNY")]
    currency: String,
}

impl From<pb::Money> for Money {
    fn from(money: pb::Money) -> Self {
        Self { amount: money.amount, currency: money.currency }
    }
}

/// A moment: RFC 3339, UTC, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-01-02T03:04:05.006Z")]
pub(crate) struct Time(DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Time {
    /// Reads a time that must be there.
    pub(crate) fn required(
        time: Option<prost_types::Timestamp>,
        what: &'static str,
    ) -> Result<Self, ApiError> {
        Self::optional(time)?.ok_or_else(|| ApiError::upstream_invalid(what))
    }

    /// Reads a time that may be absent.
    pub(crate) fn optional(time: Option<prost_types::Timestamp>) -> Result<Option<Self>, ApiError> {
        let Some(time) = time else { return Ok(None) };
        let nanos = u32::try_from(time.nanos).ok();
        let time = nanos.and_then(|nanos| DateTime::from_timestamp(time.seconds, nanos));
        time.map(|time| Some(Self(time)))
            .ok_or_else(|| ApiError::upstream_invalid("a time out of range"))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items of this page.
    items: Vec<T>,
    /// `page_token` of the next page; null on the last one.
    next_page_token: Option<String>,
}

impl<T> Page<T> {
    /// Renders the items of a page, in their order.
    pub(crate) fn of<M>(items: Vec<M>, next_page_token: String) -> Result<Self, ApiError>
    where
        T: TryFrom<M, Error = ApiError>,
    {
        let items = items.into_iter().map(T::try_from).collect::<Result<_, _>>()?;
        Ok(Self { items, next_page_token: non_empty(next_page_token) })
    }
}

/// Parameters of every list.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct PageParameters {
    /// Items per page.
    #[param(minimum = 1, maximum = 100, default = 20)]
    page_size: Option<i32>,
    /// `next_page_token` of the page before. Bound to the user and the filter.
    #[param(pattern = "^([A-Za-z0-9_-]{22,1024})?$")]
    page_token: Option<String>,
}

/// Reads a message that must be there.
pub(crate) fn required<M, T>(message: Option<M>, what: &'static str) -> Result<T, ApiError>
where
    T: TryFrom<M, Error = ApiError>,
{
    message.ok_or_else(|| ApiError::upstream_invalid(what)).and_then(T::try_from)
}

/// Reads money that must be there.
pub(crate) fn money(money: Option<pb::Money>) -> Result<Money, ApiError> {
    money.map(Money::from).ok_or_else(|| ApiError::upstream_invalid("money is missing"))
}

/// Proto has no absent text: empty stands for it.
pub(crate) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// The short name of an enum's value, `PAID` for `ORDER_STATUS_PAID`.
pub(crate) fn short_name<E>(
    value: i32,
    prefix: &str,
    name: impl FnOnce(&E) -> &'static str,
) -> Result<&'static str, ApiError>
where
    E: TryFrom<i32>,
{
    let known = E::try_from(value).ok();
    let short = known.as_ref().map(name).and_then(|name| name.strip_prefix(prefix));
    short
        .filter(|short| *short != "UNSPECIFIED")
        .ok_or_else(|| ApiError::upstream_invalid("an enum without a value"))
}

#[cfg(test)]
mod tests {
    use proto::order::v1::OrderStatus;

    use super::*;

    #[test]
    fn times_have_milliseconds_and_a_z() {
        let time = prost_types::Timestamp { seconds: 1_767_323_045, nanos: 6_789_000 };
        let time = Time::required(Some(time), "t").unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2026-01-02T03:04:05.006Z\"");
        let broken = prost_types::Timestamp { seconds: 0, nanos: -1 };
        assert!(Time::optional(Some(broken)).is_err());
        assert!(Time::required(None, "t").is_err());
    }

    #[test]
    fn enums_lose_their_prefix() {
        let name = |value| short_name(value, "ORDER_STATUS_", OrderStatus::as_str_name);
        assert_eq!(name(OrderStatus::Paid as i32).unwrap(), "PAID");
        assert!(name(0).is_err() && name(99).is_err());
    }
}
