//! The checkout cannot lose or double anything: every order of steps is tried, not a sample.
//!
//! One order, two clients that pay it, one that cancels it, its expiry, a provider that decides
//! at once, later or too late, calls and answers that are lost, calls that arrive when nobody
//! waits for them, workers that recover, and crashes of order- and payment-service between any
//! two steps.
//! [`state`] holds what is stored and what must be so, [`protocol`] and [`payment`] the steps,
//! [`search`] tries them all. A search that finds nothing proves something only if it finds planted
//! bugs: so it has to.

mod payment;
mod protocol;
mod search;
mod state;
mod step;

use protocol::Checkout;
use search::{Outcome, explore};
use step::Bug;

/// States that a search may see; a model that outgrows it has to be looked at.
const BOUND: usize = 5_000_000;

/// Searches without a bug; returns how much it saw, or what is wrong.
fn search(crashes: u8, refunds: bool) -> Result<Outcome, String> {
    let mut outcome = explore(&Checkout { crashes, refunds, bug: None }, BOUND);
    match outcome.counterexample.take() {
        Some(counterexample) => Err(counterexample.to_string()),
        None => Ok(outcome),
    }
}

#[test]
fn the_checkout_holds_in_every_state_and_comes_to_an_end_from_each() -> Result<(), String> {
    let outcome = search(2, false)?;
    println!("{outcome:?}");
    assert!(outcome.states > 500_000 && outcome.ends > 10, "the model has become too small");
    Ok(())
}

#[test]
fn so_it_does_when_the_customer_wants_the_money_back() -> Result<(), String> {
    let outcome = search(1, true)?;
    println!("{outcome:?}");
    assert!(outcome.states > 500_000 && outcome.ends > 10, "the model has become too small");
    Ok(())
}

/// Searches for planted bugs; returns what each one breaks, and the way there.
fn search_for(bugs: &[Bug]) -> Result<(Vec<String>, String), String> {
    let mut broken = Vec::new();
    let mut paths = Vec::new();
    for bug in bugs {
        let outcome = explore(&Checkout { crashes: 1, refunds: false, bug: Some(*bug) }, BOUND);
        let found = outcome.counterexample.ok_or_else(|| format!("{bug:?} is not found"))?;
        paths.push(format!("{bug:?}, after {} states: {found}", outcome.states));
        broken.push(found.reason);
    }
    Ok((broken, paths.join("\n")))
}

#[test]
fn a_dropped_guard_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::GuardDropped])?;
    println!("{paths}");
    assert_eq!(broken, ["the order made a step that no transition declares"]);
    Ok(())
}

#[test]
fn silence_taken_as_a_decline_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::SilenceIsDecline, Bug::ProviderSilenceIsDecline])?;
    println!("{paths}");
    assert_eq!(
        broken,
        [
            "order-service, payment-service and the provider disagree",
            "the money kept does not fit the order's end"
        ]
    );
    Ok(())
}

#[test]
fn a_late_capture_that_is_kept_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::LateCaptureKept])?;
    println!("{paths}");
    assert_eq!(broken, ["the money kept does not fit the order's end"]);
    Ok(())
}

#[test]
fn overlapping_attempts_are_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::AttemptsOverlap])?;
    println!("{paths}");
    assert_eq!(broken, ["two captures of one order are kept"]);
    Ok(())
}

#[test]
fn a_capture_under_a_new_reference_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::CaptureUnderNewReference])?;
    println!("{paths}");
    assert_eq!(broken, ["one attempt was captured twice"]);
    Ok(())
}

#[test]
fn a_refund_under_a_new_id_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::RefundUnderNewId])?;
    println!("{paths}");
    assert_eq!(broken, ["more was given back than was taken"]);
    Ok(())
}

#[test]
fn a_missing_recovery_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::NoRecovery, Bug::NoReconciliation])?;
    println!("{paths}");
    assert_eq!(
        broken,
        ["an attempt is not settled", "the money kept does not fit the order's end"]
    );
    Ok(())
}

#[test]
fn stock_that_goes_back_twice_is_found() -> Result<(), String> {
    let (broken, paths) = search_for(&[Bug::StockReleasedByBoth])?;
    println!("{paths}");
    assert_eq!(broken, ["the stock does not fit the order"]);
    Ok(())
}
