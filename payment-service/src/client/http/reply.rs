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
