//! Stock: what was put on sale is on the shelf or reserved by an order that may still want it.
//!
//! The schema does not keep what was put on sale, and an administrator may change it at any time;
//! so the balance is drawn only for products whose supply is told. That stock is never negative
//! is a matter of its type.

use anyhow::Result;

use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report};

const NAME: &str = "stock_does_not_balance";
/// Orders that were ended before they were shipped have given their pieces back.
const SHELVES: &str = "SELECT CONVERT(p.sku USING utf8mb4), CAST(p.stock AS SIGNED), \
    CAST(COALESCE(i.pieces, 0) AS SIGNED) FROM {order}.products p \
    LEFT JOIN (SELECT i.sku, SUM(i.quantity) AS pieces \
    FROM {order}.order_items i JOIN {order}.orders o ON o.id = i.order_id \
    WHERE o.status NOT IN ('CANCELLED', 'EXPIRED', 'REFUNDED') GROUP BY i.sku) i ON i.sku = p.sku";

pub(super) async fn check(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let supply = snapshot.supply().clone();
    if supply.is_empty() {
        return Ok(());
    }
    let invariant = const { Invariant::new(5) };
    report.checked(invariant, NAME);
    let shelves: Vec<(String, i64, i64)> = snapshot.rows(SHELVES).await?;
    for (sku, put) in supply {
        match shelves.iter().find(|(known, _, _)| *known == sku) {
            Some((_, shelf, reserved))
                if i128::from(*shelf) + i128::from(*reserved) == put.into() => {}
            Some((_, shelf, reserved)) => {
                let detail = format!("{shelf} on the shelf and {reserved} ordered, of {put}");
                report.add((invariant, NAME), sku, detail);
            }
            None => report.add((invariant, NAME), sku, "there is no such product"),
        }
    }
    Ok(())
}
