use std::collections::HashMap;
use std::sync::Barrier;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use proptest::prelude::*;

use super::*;

const EJECTION: Ejection = Ejection { after_failures: 3, duration: Duration::from_secs(5) };

fn endpoints(ports: &[u16]) -> Arc<[Endpoint]> {
    ports.iter().map(|port| Endpoint::new("127.0.0.1", *port)).collect()
}

fn picker(ports: &[u16]) -> (Arc<Picker<u16>>, watch::Sender<Arc<[Endpoint]>>) {
    let (sender, receiver) = watch::channel(endpoints(ports));
    let picker = Picker::new(receiver, EJECTION, |endpoint: &Endpoint| endpoint.port);
    (Arc::new(picker), sender)
}

fn fail(picker: &Arc<Picker<u16>>, port: u16, times: u32) {
    let mut failed = 0;
    while failed < times {
        let lease = picker.pick(&[]).unwrap();
        if lease.endpoint().port == port {
            lease.failed();
            failed += 1;
        }
    }
}

fn ports_picked(picker: &Arc<Picker<u16>>, picks: usize) -> HashMap<u16, usize> {
    let mut counts = HashMap::new();
    for _ in 0..picks {
        *counts.entry(*picker.pick(&[]).unwrap().connection()).or_default() += 1;
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn one_that_was_ejected_is_asked_when_the_last_one_is_gone_and_is_back_when_it_answers() {
    let (picker, _sender) = picker(&[1, 2]);
    picker.pick(&[Endpoint::new("127.0.0.1", 2)]).unwrap().is_gone();
    assert_eq!(ports_picked(&picker, 16), HashMap::from([(2, 16)]));
    let last = picker.pick(&[]).unwrap();
    last.is_gone();
    let other = picker.pick(std::slice::from_ref(last.endpoint())).unwrap();
    assert_eq!(*other.connection(), 1);
    other.succeeded();
    last.is_gone();
    assert_eq!(ports_picked(&picker, 16), HashMap::from([(1, 16)]));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_picked_while_no_endpoint_is_known() {
    assert!(picker(&[]).0.pick(&[]).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_last_set_is_used_also_after_the_registry_has_ended() {
    let (picker, sender) = picker(&[1]);
    sender.send_replace(endpoints(&[2]));
    drop(sender);
    assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 2);
}

#[tokio::test(start_paused = true)]
async fn ties_are_broken_at_random() {
    let (picker, _sender) = picker(&[1, 2, 3]);
    let counts = ports_picked(&picker, 3000);
    for port in [1, 2, 3] {
        assert!((800..1200).contains(&counts[&port]), "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_ejected_after_consecutive_failures_and_returns_on_probation() {
    let (picker, _sender) = picker(&[1, 2]);
    fail(&picker, 1, 3);
    assert_eq!(ports_picked(&picker, 50).get(&1), None);
    tokio::time::advance(EJECTION.duration).await;
    assert!(ports_picked(&picker, 50).contains_key(&1));
    fail(&picker, 1, 1);
    assert_eq!(ports_picked(&picker, 50).get(&1), None);
}

#[tokio::test(start_paused = true)]
async fn the_call_after_the_last_failure_goes_elsewhere() {
    let (picker, _sender) = picker(&[1, 2]);
    let begun = Instant::now();
    fail(&picker, 1, EJECTION.after_failures);
    for _ in 0..50 {
        assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 2);
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing had to be waited for");
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_after_the_ejection_of_their_instance_eject_nothing() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let (picker, _sender) = picker(&[1, 2]);
    metrics::with_local_recorder(&recorder, || {
        let held: Vec<_> = (0..20).map(|_| picker.pick(&[]).unwrap()).collect();
        for lease in held.iter().filter(|lease| lease.endpoint().port == 1) {
            lease.failed();
        }
    });
    let text = recorder.handle().render();
    assert!(text.contains("rpc_client_ejections_total 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn one_counts_as_left_out_until_it_answers_or_is_known_no_more() {
    let (picker, sender) = picker(&[1, 2, 3]);
    assert_eq!(picker.left_out(), 0);
    fail(&picker, 1, EJECTION.after_failures);
    fail(&picker, 2, EJECTION.after_failures);
    assert_eq!(picker.left_out(), 2);
    tokio::time::advance(EJECTION.duration).await;
    assert_eq!(picker.left_out(), 2, "nobody knows yet whether they are back");
    picker.pick(&endpoints(&[2, 3])).unwrap().succeeded();
    assert_eq!(picker.left_out(), 1);
    sender.send_replace(endpoints(&[1, 3]));
    assert_eq!(picker.left_out(), 0);
}

#[tokio::test(start_paused = true)]
async fn where_nobody_listens_one_failure_is_enough() {
    let (picker, _sender) = picker(&[1, 2]);
    let lease = |port: u16| {
        let mut leases = std::iter::repeat_with(|| picker.pick(&[]).unwrap());
        leases.find(|lease| lease.endpoint().port == port).unwrap()
    };
    lease(1).is_gone();
    assert_eq!(ports_picked(&picker, 50).get(&1), None);
    lease(2).is_gone();
    assert_eq!(ports_picked(&picker, 20)[&2], 20, "the last one stays");
    tokio::time::advance(EJECTION.duration).await;
    assert!(ports_picked(&picker, 50).contains_key(&1), "it gets calls again");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_left_out_gets_one_call_at_a_time_until_it_has_answered() {
    let (picker, _sender) = picker(&[1, 2]);
    let hold = |calls: usize| (0..calls).map(|_| picker.pick(&[]).unwrap()).collect::<Vec<_>>();
    let at_first =
        |held: &[Lease<u16>]| held.iter().filter(|lease| *lease.connection() == 1).count();
    fail(&picker, 1, EJECTION.after_failures);
    tokio::time::advance(EJECTION.duration).await;
    let given_up = hold(8);
    assert_eq!(at_first(&given_up), 1);
    drop(given_up);
    let held = hold(8);
    assert_eq!(at_first(&held), 1, "whoever gives up makes room for another one");
    held.iter().find(|lease| *lease.connection() == 1).unwrap().succeeded();
    assert_eq!(at_first(&hold(6)), 6, "it is back, and has less to do");
}

#[test]
fn instances_that_fail_at_the_same_time_are_not_all_left_out() {
    for _ in 0..500 {
        let (picker, _sender) = picker(&[1, 2]);
        let leases = [1, 2].map(|other| picker.pick(&endpoints(&[other])).unwrap());
        let start = &Barrier::new(leases.len());
        std::thread::scope(|scope| {
            for lease in &leases {
                scope.spawn(move || {
                    start.wait();
                    lease.is_gone();
                });
            }
        });
        let well = picker.backends().iter().filter(|backend| backend.record.is_well()).count();
        assert_eq!(well, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_forgives_earlier_failures() {
    let (picker, _sender) = picker(&[1, 2]);
    for _ in 0..4 {
        fail(&picker, 1, 2);
        let mut leases = std::iter::repeat_with(|| picker.pick(&[]).unwrap());
        leases.find(|lease| lease.endpoint().port == 1).unwrap().succeeded();
    }
    assert!(ports_picked(&picker, 50).contains_key(&1));
}

#[tokio::test(start_paused = true)]
async fn the_last_endpoint_is_never_ejected() {
    let (picker, _sender) = picker(&[1, 2]);
    fail(&picker, 1, 3);
    fail(&picker, 2, 10);
    assert_eq!(ports_picked(&picker, 20)[&2], 20);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_tried_is_taken_only_for_want_of_another() {
    let (picker, sender) = picker(&[1, 2]);
    let tried = &endpoints(&[1])[..];
    for _ in 0..20 {
        assert_eq!(picker.pick(tried).unwrap().endpoint().port, 2);
    }
    sender.send_replace(endpoints(&[1]));
    assert_eq!(picker.pick(tried).unwrap().endpoint().port, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_keeps_its_counters_when_the_set_changes() {
    let (picker, sender) = picker(&[1, 2]);
    let held: Vec<_> = (0..2).map(|_| picker.pick(&[]).unwrap()).collect();
    sender.send_replace(endpoints(&[2, 3]));
    assert_eq!(picker.pick(&[]).unwrap().endpoint().port, 3, "2 still has a call in flight");
    drop(held);
    assert_eq!(ports_picked(&picker, 50).get(&1), None);
}

proptest! {
    #[test]
    fn calls_are_spread_evenly_however_many_are_held(count in 1_u16..8, held in 1_usize..64) {
        let ports: Vec<u16> = (1..=count).collect();
        let (sender, receiver) = watch::channel(endpoints(&ports));
        let picker = Arc::new(Picker::new(receiver, EJECTION, |e: &Endpoint| e.port));
        let leases: Vec<_> = (0..held).map(|_| picker.pick(&[]).unwrap()).collect();
        let mut loads = vec![0_usize; usize::from(count)];
        for lease in &leases {
            loads[usize::from(lease.endpoint().port) - 1] += 1;
        }
        let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
        prop_assert!(spread <= 1, "{loads:?}");
        drop(leases);
        drop(sender);
    }
}
