//! The torture of a payment: random schedules of answers, callbacks, refunds, reconciliations, late
//! captures and crashes, after which what must hold does.

mod bench;
mod invariants;
mod provider;
mod schedule;

use proptest::prelude::*;

use self::bench::Bench;
use self::schedule::{Happening, plan};

/// Schedules that are tried.
const SCHEDULES: u32 = 2_048;
/// Longest schedule.
const HAPPENINGS: usize = 24;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: SCHEDULES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_schedule_loses_or_doubles_money(
        plan in plan(),
        happenings in prop::collection::vec(Happening::any(), 0..HAPPENINGS),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new(plan);
            for happening in &happenings {
                bench.play(happening).await;
                invariants::always(&bench);
            }
            bench.calm_down().await;
            invariants::always(&bench);
            invariants::at_the_end(&bench).await;
        });
    }
}
