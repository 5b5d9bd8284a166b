//! An answer of the provider, read whole, and what it says.

use std::fmt::Display;

use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

use super::wire::{Fault, WireCharge, WirePage};
use crate::client::{ChargeRequest, ProviderError, RefundRequest};
use crate::model::{Charge, ChargePage, Reason};

/// Status and body of an answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    body: Vec<u8>,
}

/// The answer was not the agreed one.
#[derive(Debug, thiserror::Error)]
#[error("the provider answered with status {status} and {error}")]
struct Unexpected {
    status: StatusCode,
    error: Reason,
}

/// More was sent than is read.
#[derive(Debug, thiserror::Error)]
#[error("the provider's answer is longer than {max} bytes")]
struct TooLong {
    max: usize,
}

impl Reply {
    /// Reads an answer to its end, as long as it is not too long.
    pub(super) async fn read(mut response: Response, max: usize) -> Result<Self, ProviderError> {
        let status = response.status();
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| ProviderError::unknown(error.without_url()))?;
            let Some(chunk) = chunk else { return Ok(Self { status, body }) };
            if body.len() + chunk.len() > max {
                return Err(ProviderError::unknown(TooLong { max }));
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// The charge that was asked for.
    pub(super) fn charge_of(&self, request: &ChargeRequest) -> Result<Charge, ProviderError> {
        let charge: WireCharge = self.parse()?;
        charge.charge_of(request).map_err(|field| odd(request.reference, field))
    }

    /// Nothing, if the answer confirms the refund that was asked for.
    pub(super) fn confirms(&self, request: &RefundRequest) -> Result<(), ProviderError> {
        let charge: WireCharge = self.parse()?;
        charge.confirms(request).map_err(|field| odd(request.reference, field))
    }

    /// A page of the ledger.
    pub(super) fn page(&self) -> Result<ChargePage, ProviderError> {
        let page: WirePage = self.parse()?;
        page.page().map_err(|field| odd("ledger", field))
    }

    /// A refusal in the provider's word. Without the word it may come from something in between,
    /// and then nothing is known.
    pub(super) fn refusal(&self) -> ProviderError {
        match serde_json::from_slice::<Fault>(&self.body) {
            Ok(fault) => {
                ProviderError::Refused { reason: Reason::from_provider(&fault.error).to_string() }
            }
            Err(_) => self.unexpected(),
        }
    }

    /// Whether the answer's error is this word.
    pub(super) fn says(&self, word: &str) -> bool {
        serde_json::from_slice::<Fault>(&self.body).is_ok_and(|fault| fault.error == word)
    }

    /// An answer that tells nothing of the outcome.
    pub(super) fn unexpected(&self) -> ProviderError {
        let fault = serde_json::from_slice::<Fault>(&self.body).ok();
        let error = Reason::from_provider(fault.as_ref().map_or("no_word", |fault| &fault.error));
        ProviderError::unknown(Unexpected { status: self.status, error })
    }

    fn parse<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(ProviderError::unknown)
    }
}

/// Tells people: the provider speaks of something else than it was asked about.
fn odd(about: impl Display, field: &'static str) -> ProviderError {
    tracing::error!(
        provider.about = %about,
        provider.field = field,
        "provider answers about something else"
    );
    ProviderError::unknown(format!("the answer's {field} is not the one that was asked about"))
}

#[cfg(test)]
mod tests {
    use chassis::testing::damage::{Change, damaged};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::client::contract::{refund_of, request};

    /// What is put into answers.
    const WORDS: &[&str] = &[
        "",
        "\"",
        "{",
        "}",
        ",",
        ":",
        "0",
        "-",
        ".5",
        " ",
        "null",
        "[]",
        "USD",
        "declined",
        "\"amount\":1,",
        "\"next\":\"\",",
    ];

    fn charge(request: &ChargeRequest, refund: &RefundRequest) -> Value {
        json!({
            "reference": request.reference.to_string(),
            "provider_reference": "ch_1",
            "amount": 19_900,
            "currency": "CNY",
            "status": "captured",
            "created_at": "2026-01-02T03:04:05Z",
            "refunds": [{"refund_id": refund.refund_id.to_string(), "amount": 19_900}],
        })
    }

    /// An answer with these changes, and what it says then.
    fn answer(document: &Value, changes: &[Change<'_>]) -> (Reply, Value) {
        let body = damaged(document.to_string().as_bytes(), changes);
        let told = serde_json::from_slice(&body).unwrap_or_default();
        (Reply { status: StatusCode::OK, body }, told)
    }

    fn is_reference(text: &str) -> bool {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    }

    fn changes() -> impl Strategy<Value = Vec<Change<'static>>> {
        let word = prop::sample::select(WORDS);
        prop::collection::vec((any::<usize>(), 0_usize..8, word), 0..4)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_damaged_answer_counts_only_if_it_says_what_was_asked_for(changes in changes()) {
            let request = request("pm_ok");
            let refund = refund_of(&request);
            let (reply, told) = answer(&charge(&request, &refund), &changes);
            let reference = request.reference.to_string();
            if let Ok(charge) = reply.charge_of(&request) {
                prop_assert!(told["reference"] == reference && told["amount"] == 19_900);
                prop_assert!(told["currency"] == "CNY", "{}", told);
                prop_assert!(told["provider_reference"] == charge.provider_reference);
                prop_assert!(is_reference(&charge.provider_reference), "{}", told);
            }
            if reply.confirms(&refund).is_ok() {
                prop_assert!(told["reference"] == reference && told["currency"] == "CNY");
                let id = refund.refund_id.to_string();
                let mut made = told["refunds"].as_array().into_iter().flatten();
                prop_assert!(made.any(|one| one["refund_id"] == id && one["amount"] == 19_900));
            }
        }

        #[test]
        fn of_a_damaged_page_no_row_is_lost_and_no_reference_is_odd(changes in changes()) {
            let request = request("pm_ok");
            let row = charge(&request, &refund_of(&request));
            let (reply, told) = answer(&json!({"charges": [row, row], "next": "ch_1"}), &changes);
            let Ok(page) = reply.page() else { return Ok(()) };
            let rows = told["charges"].as_array().map_or(0, Vec::len);
            prop_assert_eq!(page.charges.len() + page.unreadable.len(), rows, "{}", told);
            let references = page.charges.iter().map(|charge| &charge.provider_reference);
            for reference in references.chain(&page.next) {
                prop_assert!(is_reference(reference), "{:?}", reference);
            }
        }
    }
}
