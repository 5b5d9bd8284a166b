//! The auditor's copy of the state graphs equals what the services declare.

use std::collections::BTreeSet;

use fleet::audit::graph::{ORDER, PAYMENT, PAYMENT_BEGINNINGS};

#[test]
fn the_graph_of_orders_is_the_declared_one() {
    use order_service::model::TRANSITIONS;
    let declared: BTreeSet<_> = TRANSITIONS
        .iter()
        .map(|(from, trigger, to)| (from.as_str(), trigger.cause(), to.as_str()))
        .collect();
    let known: BTreeSet<_> =
        ORDER.iter().filter_map(|(from, cause, to)| Some(((*from)?, *cause, *to))).collect();
    assert_eq!(known, declared);
    let beginnings: Vec<_> = ORDER.iter().filter(|(from, ..)| from.is_none()).collect();
    assert_eq!(beginnings, [&(None, "order_placed", "CREATED")]);
}

#[test]
fn the_graph_of_payments_is_the_declared_one() {
    use payment_service::model::{BEGINNINGS, TRANSITIONS};
    let declared: BTreeSet<_> =
        TRANSITIONS.iter().map(|(from, _, to)| (from.as_str(), to.as_str())).collect();
    assert_eq!(PAYMENT.iter().copied().collect::<BTreeSet<_>>(), declared);
    let beginnings: BTreeSet<_> = BEGINNINGS.iter().map(|status| status.as_str()).collect();
    assert_eq!(PAYMENT_BEGINNINGS.iter().copied().collect::<BTreeSet<_>>(), beginnings);
}
