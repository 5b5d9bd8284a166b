//! Amounts: from the JSON that a client sends to what is charged.

use order_service::model::{Currency, MAX_AMOUNT, Money};
use serde::Deserialize;

use crate::engine::{Target, fuzz};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    amount: i64,
    currency: String,
    quantity: u32,
}

/// What is accepted is exact and within the range, in both services.
#[test]
fn a140_amounts() {
    let words = [
        "\"amount\":",
        "\"currency\":",
        "\"quantity\":",
        "CNY",
        "JPY",
        "KWD",
        "XXX",
        "-",
        "e2",
        ".0",
    ];
    fuzz(&Target { name: "money", words: &words, seeds: vec![] }, |input| {
        let Ok(line) = serde_json::from_slice::<Line>(input) else { return "no line".to_owned() };
        let charged = payment_service::model::Money::parse("amount", line.amount, &line.currency);
        let currency = match Currency::parse(&line.currency) {
            Ok(currency) => currency,
            Err(error) => return error.to_string(),
        };
        assert_eq!(currency.code(), line.currency);
        let price = match Money::new(line.amount, currency) {
            Ok(price) => price,
            Err(error) => return error.to_string(),
        };
        assert_eq!(charged.unwrap().amount(), price.amount(), "the services do not agree");
        let exact = i128::from(line.amount) * i128::from(line.quantity);
        match price.times(line.quantity) {
            Ok(total) => {
                assert_eq!(i128::from(total.amount()), exact);
                assert!((1..=MAX_AMOUNT).contains(&total.amount()));
                "a total".to_owned()
            }
            Err(error) => {
                assert!(!(1..=i128::from(MAX_AMOUNT)).contains(&exact), "{exact} is refused");
                format!("no total: {error}")
            }
        }
    });
}
