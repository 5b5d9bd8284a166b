//! The comparison of payments with the payment provider's own ledger, for administrators.

use axum::extract::State;
use proto::payment::v1 as pb;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::extract::Query;
use super::wire::{Time, non_empty};
use crate::error::ApiError;
use crate::state::Shared;

/// What the comparison of a stretch of the provider's ledger came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reconciliation {
    /// Payments and charges that were compared.
    #[schema(example = 1840)]
    compared: u64,
    /// Of these, how many do not agree yet and are too young for that to be a difference, or could
    /// not be asked about.
    in_flight: u64,
    /// Every class, also those without a difference.
    classes: Vec<DifferenceClass>,
    /// `after` of the next stretch; null when all was compared.
    next: Option<String>,
    /// When this was found.
    compared_at: Time,
}

/// The differences of one class.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferenceClass {
    /// `missing_here`, `missing_there`, `amount_differs`, `currency_differs`, `charged_twice`,
    /// `status_differs`, `refund_missing_here`, `refund_missing_there`, `refunded_twice`,
    /// `ledger_differs` or `unreadable_there`; more may come.
    #[schema(example = "missing_here")]
    name: String,
    /// How many there are.
    count: u64,
    /// Some of them.
    examples: Vec<Difference>,
}

/// Something that is not recorded here as the provider recorded it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Difference {
    /// The payment, or what the provider calls it if it is none of ours.
    payment_id: String,
    /// The provider's own reference, if it has one.
    provider_reference: Option<String>,
    /// Which refund, if it is about one.
    refund_id: Option<String>,
    /// What is recorded here, if anything.
    #[schema(example = "FAILED")]
    ours: Option<String>,
    /// What the provider recorded, if anything.
    #[schema(example = "captured")]
    theirs: Option<String>,
}

impl TryFrom<pb::GetReconciliationResponse> for Reconciliation {
    type Error = ApiError;

    fn try_from(reply: pb::GetReconciliationResponse) -> Result<Self, ApiError> {
        Ok(Self {
            compared: reply.compared,
            in_flight: reply.in_flight,
            classes: reply.classes.into_iter().map(DifferenceClass::from).collect(),
            next: non_empty(reply.next),
            compared_at: Time::required(reply.compared_at, "reconciliation's compared_at")?,
        })
    }
}

impl From<pb::DifferenceClass> for DifferenceClass {
    fn from(class: pb::DifferenceClass) -> Self {
        let examples = class.examples.into_iter().map(Difference::from).collect();
        Self { name: class.name, count: class.count, examples }
    }
}

impl From<pb::Difference> for Difference {
    fn from(difference: pb::Difference) -> Self {
        Self {
            payment_id: difference.payment_id,
            provider_reference: non_empty(difference.provider_reference),
            refund_id: non_empty(difference.refund_id),
            ours: non_empty(difference.ours),
            theirs: non_empty(difference.theirs),
        }
    }
}

/// Where a comparison begins.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that the extractor reads by name")]
pub(crate) struct ReconciliationParameters {
    /// `next` of the stretch before; absent at the beginning.
    #[param(pattern = "^[!-~]{0,138}$")]
    after: Option<String>,
}

/// Compares payments, refunds and the ledger with the payment provider's own ledger.
///
/// Changes nothing. A long ledger is compared in stretches: go on with `next` until it is null.
#[utoipa::path(get, path = "/api/v1/admin/reconciliation", tag = "admin",
    params(ReconciliationParameters),
    responses((status = 200, description = "What differs.", body = Reconciliation)))]
pub(crate) async fn compare(
    State(gateway): State<Shared>,
    query: Query,
) -> Result<axum::Json<Reconciliation>, ApiError> {
    let after = query.find("after").unwrap_or_default().to_owned();
    let message = pb::GetReconciliationRequest { after };
    let payments = &gateway.upstreams.payments;
    let reply = payments
        .idempotent(message, async |mut payments, message| {
            payments.get_reconciliation(message).await
        })
        .await?;
    Reconciliation::try_from(reply).map(axum::Json)
}
