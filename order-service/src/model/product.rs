//! The price list: what can be ordered, at which price, and how much of it is left.

use std::fmt;

use chassis::error::{Invalid, Validator};
use chrono::{DateTime, Utc};

use super::Money;

/// Longest product name, in characters.
const NAME_MAX: usize = 128;

/// Most pieces that a product can be stocked with. Far below the column's limit, so that the return
/// of reserved pieces cannot overflow it.
const STOCK_MAX: u32 = 1_000_000_000;

/// What a product is known by: 1 to 64 characters of `A-Z`, `0-9`, `-`, `_`, `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

impl Sku {
    /// The rule in one sentence.
    pub const RULE: &str = "must be 1 to 64 characters of A-Z, 0-9, `-`, `_`, `.`";

    /// Reads a SKU that the caller sent in the field `field`.
    pub fn parse(text: &str, field: &str) -> Result<Self, Invalid> {
        let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::single(field, "FORMAT", Self::RULE))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an administrator says about a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductDraft {
    sku: Sku,
    name: String,
    unit_price: Money,
    stock: u32,
}

impl ProductDraft {
    /// Accepts a name of 1 to 128 characters without control characters, of which one at least shows
    /// something, and a bounded stock. Space around the name is no part of it.
    pub fn new(sku: Sku, name: &str, unit_price: Money, stock: u32) -> Result<Self, Invalid> {
        let shown = name.trim();
        let mut validator = Validator::new();
        validator.check(!shown.is_empty(), "name", "REQUIRED", "must not be empty");
        let short = name.chars().count() <= NAME_MAX;
        validator.check(short, "name", "TOO_LONG", "must be at most 128 characters");
        let printable = !name.chars().any(char::is_control);
        validator.check(printable, "name", "FORMAT", "must not contain control characters");
        let bounded = stock <= STOCK_MAX;
        validator.check(bounded, "stock", "OUT_OF_RANGE", "must be at most 1,000,000,000");
        validator.finish()?;
        Ok(Self { sku, name: shown.to_owned(), unit_price, stock })
    }

    /// Which product.
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    /// The product that a first draft creates.
    pub fn create(&self, now: DateTime<Utc>) -> Product {
        Product {
            sku: self.sku.clone(),
            name: self.name.clone(),
            unit_price: self.unit_price,
            stock: self.stock,
            version: 1,
            updated_at: now,
        }
    }
}

/// A line of the price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// What it is known by.
    pub sku: Sku,
    /// What people call it.
    pub name: String,
    /// Price of one piece.
    pub unit_price: Money,
    /// Pieces that can still be ordered.
    pub stock: u32,
    /// Rises by one with every change by an administrator; orders do not move it.
    pub version: u64,
    /// When an administrator last changed it.
    pub updated_at: DateTime<Utc>,
}

impl Product {
    /// The product after a draft replaced it. A draft that says nothing new changes nothing, so that
    /// sending it twice is the same as sending it once.
    #[must_use]
    pub fn replaced_by(&self, draft: &ProductDraft, now: DateTime<Utc>) -> Self {
        let new = draft.create(now);
        let same =
            (&self.name, self.unit_price, self.stock) == (&new.name, new.unit_price, new.stock);
        if same { self.clone() } else { Self { version: self.version + 1, ..new } }
    }
}

#[cfg(test)]
mod tests {
    use chassis::error::ServiceError as _;

    use super::*;
    use crate::model::{Currency, MAX_AMOUNT};

    fn price(amount: i64) -> Money {
        Money::new(amount, Currency::parse("CNY").unwrap()).unwrap()
    }

    fn draft(name: &str, stock: u32) -> Result<ProductDraft, Invalid> {
        ProductDraft::new(Sku::parse("TEA-1", "sku").unwrap(), name, price(1990), stock)
    }

    #[test]
    fn skus_have_one_spelling() {
        let longest = "A".repeat(64);
        for good in ["A", "TEA-1", "9_x.".to_uppercase().as_str(), longest.as_str()] {
            assert_eq!(Sku::parse(good, "sku").unwrap().as_str(), good);
        }
        let long = "A".repeat(65);
        for bad in ["", "tea", "A B", "茶", "A/B", long.as_str()] {
            let violations = Sku::parse(bad, "items[2].sku").unwrap_err().violations();
            assert_eq!(violations[0].field, "items[2].sku", "{bad:?}");
        }
    }

    #[test]
    fn drafts_report_every_fault() {
        let fields = |result: Result<ProductDraft, Invalid>| {
            let violations = result.unwrap_err().violations;
            violations.into_iter().map(|found| found.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(draft("", 1)), ["name"]);
        assert_eq!(fields(draft(&"茶".repeat(129), STOCK_MAX + 1)), ["name", "stock"]);
        for unprintable in ["a\u{7}b", "Tea\n", "\u{85}Tea"] {
            assert_eq!(fields(draft(unprintable, 1)), ["name"], "{unprintable:?}");
        }
        assert_eq!(draft(" Tea ", 1).unwrap(), draft("Tea", 1).unwrap());
        assert!(draft(&"茶".repeat(128), STOCK_MAX).is_ok());
    }

    #[test]
    fn the_api_is_documented_to_take_what_is_taken() {
        let document = include_str!("../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(document).unwrap();
        let schemas = &document["components"]["schemas"];
        let members = &schemas["ProductBody"]["properties"];
        assert_eq!(members["name"]["maxLength"], NAME_MAX);
        assert_eq!(members["stock"]["maximum"], STOCK_MAX);
        let amount = &schemas["PriceBody"]["properties"]["amount"];
        assert_eq!((&amount["minimum"], &amount["maximum"]), (&1.into(), &MAX_AMOUNT.into()));
    }

    #[test]
    fn only_a_change_raises_the_version() {
        let now = DateTime::UNIX_EPOCH;
        let product = draft("Tea", 5).unwrap().create(now);
        assert_eq!(
            product.replaced_by(&draft("Tea", 5).unwrap(), DateTime::<Utc>::MAX_UTC),
            product
        );
        let restocked = product.replaced_by(&draft("Tea", 6).unwrap(), now);
        assert_eq!((restocked.version, restocked.stock), (2, 6));
    }
}
