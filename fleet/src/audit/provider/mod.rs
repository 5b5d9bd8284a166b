//! The provider's ledger against our payments, both ways.

mod compare;
mod foreign;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use uuid::Uuid;

use self::compare::Comparison;
pub(super) use self::foreign::read as read_foreign;
use super::snapshot::Snapshot;
use super::{Invariant, Report};

/// Where the provider keeps its ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// The simulated one: in a table of payment-service's schema.
    Simulated,
    /// One with an HTTP API, such as the sandbox.
    Http {
        /// Base address.
        url: String,
        /// Key of the API.
        api_key: String,
    },
    /// A file of charges as the API gives them, one in a line; the last one of a reference counts.
    File(PathBuf),
}

/// What became of a charge at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not decided.
    Pending,
    /// The money was taken.
    Captured,
    /// It was not.
    Declined,
}

/// A charge in the provider's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) reference: Uuid,
    /// The provider's own name for it; `None` where its ledger does not tell.
    pub(super) provider_reference: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) standing: Standing,
    /// Identity and amount of what went back.
    pub(super) refunds: Vec<(Uuid, i64)>,
}

/// A payment of ours, as far as it is compared.
#[derive(sqlx::FromRow)]
pub(super) struct Payment {
    pub(super) id: Uuid,
    pub(super) order_id: Uuid,
    pub(super) status: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) provider_reference: Option<String>,
    pub(super) refund_id: Option<Uuid>,
    /// Whether the refund is made.
    pub(super) is_refunded: i64,
    /// Older than the grace.
    pub(super) is_old: i64,
}

impl Payment {
    /// Whether the provider must have heard of it.
    fn is_known_there(&self) -> bool {
        !matches!(self.status.as_str(), "INITIATED" | "FAILED")
    }
}

/// A refund is one of the whole payment, so the simulated ledger keeps no amount for it.
const SIMULATED: &str = "SELECT reference, amount, CONVERT(currency USING utf8mb4), \
    CAST(IF(due_at <= UTC_TIMESTAMP(6), captured, NULL) AS SIGNED), refund_id \
    FROM {payment}.provider_charges";
const PAYMENTS: &str = "SELECT p.id, p.order_id, CONVERT(p.status USING utf8mb4) AS status, \
    p.amount, CONVERT(p.currency USING utf8mb4) AS currency, \
    CONVERT(p.provider_reference USING utf8mb4) AS provider_reference, r.id AS refund_id, \
    CAST(COALESCE(r.status = 'SUCCEEDED', 0) AS SIGNED) AS is_refunded, \
    CAST({old:p.updated_at} AS SIGNED) AS is_old \
    FROM {payment}.payments p LEFT JOIN {payment}.refunds r ON r.payment_id = p.id";

/// Compares; `foreign` is the ledger of a provider that is not simulated.
pub(super) async fn check(
    snapshot: &mut Snapshot,
    foreign: Option<Vec<Charge>>,
    report: &mut Report,
) -> Result<()> {
    let is_simulated = foreign.is_none();
    let charges = match foreign {
        Some(charges) => charges,
        None => simulated(snapshot).await.context("the simulated provider's ledger")?,
    };
    let payments: Vec<Payment> = snapshot.rows(PAYMENTS).await?;
    if is_simulated {
        ensure_simulated(&charges, &payments)?;
    }
    report.counts.insert("provider charges", charges.len() as u64);
    Comparison::new(&charges, &payments).tell(report);
    Ok(())
}

/// Refuses the ledger of a simulated provider that nobody has ever asked: another one takes the
/// payments, and against an empty ledger every payment would be a violation.
fn ensure_simulated(charges: &[Charge], payments: &[Payment]) -> Result<()> {
    let count = payments.iter().filter(|payment| payment.is_known_there()).count();
    ensure!(
        count == 0 || !charges.is_empty(),
        "{count} payments are with a provider, and the simulated one's ledger is empty: name the \
         ledger of the one that takes them, with --provider URL --provider-key-file FILE or with \
         --provider-ledger FILE"
    );
    Ok(())
}

async fn simulated(snapshot: &mut Snapshot) -> Result<Vec<Charge>> {
    type Row = (Uuid, i64, String, Option<i64>, Option<Uuid>);
    let rows: Vec<Row> = snapshot.rows(SIMULATED).await?;
    Ok(rows
        .into_iter()
        .map(|(reference, amount, currency, captured, refund_id)| Charge {
            reference,
            provider_reference: None,
            amount,
            currency,
            standing: match captured {
                None => Standing::Pending,
                Some(0) => Standing::Declined,
                Some(_) => Standing::Captured,
            },
            refunds: refund_id.map(|id| (id, amount)).into_iter().collect(),
        })
        .collect())
}

/// Every check of this module, each of which speaks for the agreement of two ledgers.
pub(super) const AGREEMENT: Invariant = Invariant::new(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn payment(status: &str) -> Payment {
        Payment {
            id: Uuid::from_u128(1),
            order_id: Uuid::from_u128(7),
            status: status.to_owned(),
            amount: 100,
            currency: "CNY".to_owned(),
            provider_reference: None,
            refund_id: None,
            is_refunded: 0,
            is_old: 1,
        }
    }

    #[test]
    fn a_simulated_provider_that_was_never_asked_is_not_the_one_that_takes_payments() {
        let charge = Charge {
            reference: Uuid::from_u128(2),
            provider_reference: None,
            amount: 100,
            currency: "CNY".to_owned(),
            standing: Standing::Captured,
            refunds: Vec::new(),
        };
        for status in ["PENDING", "SUCCEEDED", "REFUNDING", "REFUNDED"] {
            let payments = [payment(status), payment("FAILED")];
            let refused = ensure_simulated(&[], &payments).unwrap_err().to_string();
            assert!(refused.starts_with("1 payments") && refused.contains("--provider URL"));
            // It was asked: what it does not know of is a violation.
            assert!(ensure_simulated(std::slice::from_ref(&charge), &payments).is_ok());
        }
        assert!(ensure_simulated(&[], &[payment("INITIATED"), payment("FAILED")]).is_ok());
        assert!(ensure_simulated(&[], &[]).is_ok());
    }
}
