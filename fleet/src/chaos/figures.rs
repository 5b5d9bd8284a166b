//! What the load amounts to: outcomes and times per kind of call.

use std::collections::BTreeMap;

use serde::Serialize;

use super::history::{Call, Outcome};

/// Figures of one kind of call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Method and route.
    pub route: String,
    /// Answered 2xx.
    pub ok: usize,
    /// Refused for good.
    pub refused: usize,
    /// Put off: 408, 429, or another call with the key at work.
    pub put_off: usize,
    /// Nobody knows.
    pub unknown: usize,
    /// Half of the calls took no longer.
    pub p50_ms: u64,
    /// All but one of a hundred took no longer.
    pub p99_ms: u64,
}

/// The figures of a history, by route.
pub fn of(calls: &[Call]) -> Vec<Figures> {
    let mut groups: BTreeMap<String, Vec<&Call>> = BTreeMap::new();
    for call in calls {
        groups.entry(format!("{} {}", call.method, call.route)).or_default().push(call);
    }
    groups.into_iter().map(|(route, calls)| figures(route, &calls)).collect()
}

fn figures(route: String, calls: &[&Call]) -> Figures {
    let mut times: Vec<u64> = calls.iter().map(|call| call.elapsed_ms).collect();
    times.sort_unstable();
    let count = |is: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| is(call)).count();
    let refused = |call: &Call| call.outcome == Outcome::Refused;
    Figures {
        route,
        ok: count(&|call| call.outcome == Outcome::Ok),
        refused: count(&|call| refused(call) && !call.is_put_off()),
        put_off: count(&|call| refused(call) && call.is_put_off()),
        unknown: count(&|call| call.outcome == Outcome::Unknown),
        p50_ms: percentile(&times, 50),
        p99_ms: percentile(&times, 99),
    }
}

/// The value that so many of a hundred do not exceed; nearest rank.
fn percentile(sorted: &[u64], share: usize) -> u64 {
    let rank = (sorted.len() * share).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::history::Op;
    use super::super::history::fixtures::call;
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (100, 198));
        assert_eq!((percentile(&[7], 99), percentile(&[], 99)), (7, 0));
    }

    #[test]
    fn outcomes_are_counted_by_route() {
        let unknown = Call { outcome: Outcome::Unknown, status: 503, ..call(Op::Place, (0, 1)) };
        let busy = Call { outcome: Outcome::Refused, status: 429, ..call(Op::Place, (0, 1)) };
        let all = of(&[call(Op::Place, (0, 2)), unknown, busy, call(Op::Read, (0, 1))]);
        assert_eq!(all.len(), 2);
        let placed = all.iter().find(|one| one.route == "POST /api/v1/orders").unwrap();
        assert_eq!((placed.ok, placed.unknown, placed.put_off, placed.refused), (1, 1, 1, 0));
        assert_eq!(placed.p99_ms, 2_000);
    }
}
