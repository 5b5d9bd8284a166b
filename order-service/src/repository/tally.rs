//! What was committed, counted for operators.

use crate::model::{Change, Effect};

/// Counts the steps that orders took. Whoever stores them calls this behind the commit, with what was
/// stored: a step that was rolled back, or known before, was not taken.
pub(super) fn committed<'c>(changes: impl IntoIterator<Item = &'c Change>) {
    for effect in changes.into_iter().flat_map(|change| &change.effects) {
        if let Effect::Transition(step) = effect {
            metrics::counter!("eh_order_transitions_total", "to" => step.to.as_str()).increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::outbox::Outbox;
    use chassis::testing::mysql::TestDatabase;
    use chrono::DateTime;
    use metrics_exporter_prometheus::PrometheusBuilder;

    use crate::model::{Actor, KeyUse, Outcome, Trigger, fixtures};
    use crate::repository::contract::Store;
    use crate::repository::memory::MemoryRepository;
    use crate::repository::mysql::{MIGRATOR, MySqlRepository};
    use crate::repository::{EventEffect, Placed, Saved};

    async fn a_step_counts_once_and_one_that_is_not_taken_never(store: &dyn Store) {
        let recorder = PrometheusBuilder::new().build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let (at, robot) = (DateTime::UNIX_EPOCH, Actor::system("test"));
        store.put_product(&fixtures::draft("TEA", 1_990, 1), at).await.unwrap();
        let placement = fixtures::placement(&[("TEA", 1)]);
        let case = match store.place(&placement).await.unwrap() {
            Placed::Fresh(case) => *case,
            other => panic!("{other:?}"),
        };
        assert_eq!(store.place(&placement).await.unwrap(), Placed::KeyTaken);
        assert!(store.place(&fixtures::placement(&[("TEA", 1)])).await.is_err(), "out of stock");
        let paid = case.settle(&Outcome::Captured, &robot, at);
        for (event, saved) in [("1", Saved::Done), ("1", Saved::Done), ("2", Saved::Stale)] {
            let effect = EventEffect { event_id: event.to_owned(), change: Some(paid.clone()) };
            assert_eq!(store.save_events(&[effect], at).await.unwrap(), saved);
        }
        let cancelled = case.order.apply(Trigger::Cancel, &robot, at).unwrap();
        let refunding = paid.order.ask_refund(&robot, at).unwrap();
        for (change, saved) in [(cancelled, Saved::Stale), (refunding, Saved::Done)] {
            assert_eq!(store.save(&change, KeyUse::None).await.unwrap(), saved);
        }
        let text = recorder.handle().render();
        let mut counted: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("eh_order_transitions")).collect();
        counted.sort_unstable();
        let once = ["CREATED", "PAID", "REFUNDING"].map(|to| format!("_total{{to=\"{to}\"}} 1"));
        assert_eq!(counted, once);
    }

    #[tokio::test]
    async fn steps_are_counted_in_memory() {
        a_step_counts_once_and_one_that_is_not_taken_never(&MemoryRepository::default()).await;
    }

    #[tokio::test]
    #[ignore = "needs MySQL: cargo ehub test"]
    async fn steps_are_counted_on_mysql() {
        let database = TestDatabase::create(&MIGRATOR).await;
        let audit = chassis::testing::audit::log("order-service");
        let store = MySqlRepository::new(database.pool(), Outbox::new(), audit);
        a_step_counts_once_and_one_that_is_not_taken_never(&store).await;
        database.finish().await;
    }
}
