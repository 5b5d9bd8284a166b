use std::collections::VecDeque;
use std::sync::Mutex;

use futures::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::discovery::cache::tests::Place;
use crate::testing::clock::FixedClock;

const TERMS: Terms = Terms { wait: Duration::from_secs(30), relearn: Duration::from_secs(15) };

/// How long a query lives that is broken off.
const BROKEN_AFTER: Duration = Duration::from_secs(5);

/// What the registry does when it is asked.
#[derive(Clone, Copy)]
enum Step {
    /// Answers at once.
    Tell(u64, &'static [u16]),
    /// Answers when the wait is over.
    Late(u64, &'static [u16]),
    /// Breaks the query off, however long it would wait.
    Break,
    Fail,
}

use Step::{Break, Fail, Late, Tell};

/// A registry that follows a script, and is silent after its end.
#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<Vec<(u64, Duration)>>,
    ended: Notify,
}

#[async_trait]
impl Answers for Script {
    async fn passing(
        &self,
        _: &str,
        index: u64,
        wait: Duration,
    ) -> Result<(u64, Vec<Endpoint>), RegistryError> {
        self.asked.lock().unwrap().push((index, wait));
        let step = self.steps.lock().unwrap().pop_front();
        // Whoever watches the endpoints sees each set before the next answer.
        tokio::time::sleep(Duration::from_millis(1)).await;
        match step {
            Some(Tell(index, ports)) => Ok((index, endpoints(ports))),
            Some(Late(index, ports)) => {
                tokio::time::sleep(wait).await;
                Ok((index, endpoints(ports)))
            }
            Some(Break) => {
                tokio::time::sleep(wait.min(BROKEN_AFTER)).await;
                Err(RegistryError::Unavailable("broken off".into()))
            }
            Some(Fail) => Err(RegistryError::Unavailable("away".into())),
            None => {
                self.ended.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn endpoints(ports: &[u16]) -> Vec<Endpoint> {
    ports.iter().map(|port| Endpoint::new("127.0.0.1", *port)).collect()
}

/// What became of the endpoints, each set once, and what was asked for.
struct Course {
    sets: Vec<Vec<u16>>,
    asked: Vec<(u64, Duration)>,
}

/// Plays a script to its end.
async fn play(cache: Option<EndpointCache>, steps: impl IntoIterator<Item = Step>) -> Course {
    let script = Arc::new(Script::default());
    script.steps.lock().unwrap().extend(steps);
    let (sender, mut receiver) = watch::channel(Arc::<[Endpoint]>::from([]));
    let (mut tasks, mut sets) = (JoinSet::new(), Vec::new());
    let answers = Arc::clone(&script);
    tasks.spawn(async move {
        let follower = Follower::new("order-service", &sender, cache.as_ref(), TERMS);
        follower.run(answers.as_ref()).await;
    });
    let ports = |set: &Arc<[Endpoint]>| set.iter().map(|endpoint| endpoint.port).collect();
    loop {
        tokio::select! {
            biased;
            changed = receiver.changed() => {
                changed.unwrap();
                sets.push(ports(&receiver.borrow_and_update()));
            }
            () = script.ended.notified() => break,
        }
    }
    let asked = script.asked.lock().unwrap().clone();
    Course { sets, asked }
}

#[test]
fn an_index_that_goes_backwards_starts_over() {
    assert_eq!(next_index(0, 17), 17);
    assert_eq!(next_index(17, 17), 17);
    assert_eq!(next_index(17, 16), 0);
}

#[tokio::test(start_paused = true)]
async fn instances_come_and_go_as_the_registry_says() {
    let steps = [Tell(5, &[2, 1, 2]), Tell(6, &[1, 2]), Tell(7, &[2]), Tell(8, &[3, 2])];
    let course = play(None, steps).await;
    assert_eq!(course.sets, [vec![1, 2], vec![2], vec![2, 3]], "the same set is no change");
    let asked: Vec<u64> = course.asked.iter().map(|(index, _)| *index).collect();
    assert_eq!(asked, [0, 5, 6, 7, 8]);
    assert!(course.asked.iter().all(|(_, wait)| *wait == TERMS.wait));
}

#[tokio::test(start_paused = true)]
async fn an_empty_answer_keeps_the_last_good_set() {
    let course = play(None, [Tell(5, &[]), Tell(6, &[1]), Tell(7, &[]), Late(7, &[])]).await;
    assert_eq!(course.sets, [vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_the_registry_change_nothing() {
    let steps = std::iter::once(Tell(5, &[1, 2])).chain(std::iter::repeat_n(Fail, 250));
    let begun = Instant::now();
    let course = play(None, steps).await;
    assert_eq!(course.sets, [vec![1, 2]]);
    assert!(begun.elapsed() > Duration::from_mins(10), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_registry_is_asked_from_the_start() {
    let course = play(None, [Tell(900, &[1]), Fail, Tell(3, &[2])]).await;
    let asked: Vec<u64> = course.asked.iter().map(|(index, _)| *index).collect();
    assert_eq!(asked, [0, 900, 0, 3]);
}

#[tokio::test(start_paused = true)]
async fn instances_that_come_back_one_by_one_are_not_alone() {
    // The agent was wiped: the first of three is back, the second follows, the third is gone.
    let steps = [Tell(900, &[1, 2, 3]), Fail, Tell(3, &[]), Tell(4, &[1]), Tell(5, &[1, 2, 4])];
    let course = play(None, steps.into_iter().chain([Late(5, &[1, 2, 4])])).await;
    assert_eq!(course.sets, [vec![1, 2, 3], vec![1, 2, 3, 4], vec![1, 2, 4]]);
    let until_removed = course.asked[5].1;
    assert!(until_removed <= TERMS.relearn, "{until_removed:?}");
    assert_eq!(course.asked[6].1, TERMS.wait);
}

#[tokio::test(start_paused = true)]
async fn queries_that_are_all_broken_off_keep_no_instance_known_for_ever() {
    let broken = std::iter::repeat_n([Break, Tell(5, &[1])], 6).flatten();
    let course = play(None, std::iter::once(Tell(5, &[1, 2])).chain(broken)).await;
    assert_eq!(course.sets, [vec![1, 2], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn a_second_outage_that_lasts_begins_the_learning_anew() {
    let first = [Tell(900, &[1, 2]), Fail, Tell(3, &[1])];
    let second = std::iter::repeat_n(Fail, 20).chain([Tell(3, &[1, 3]), Late(3, &[1, 3])]);
    let course = play(None, first.into_iter().chain(second)).await;
    assert_eq!(course.sets, [vec![1, 2], vec![1, 2, 3], vec![1, 3]]);
}

#[tokio::test(start_paused = true)]
async fn a_second_loss_of_state_begins_the_learning_anew() {
    let first = [Tell(900, &[1, 2, 3]), Fail, Tell(900, &[1, 2, 3]), Break, Break];
    // The agent was wiped while queries failed, and the first of three is back. The time of the
    // first learning ends before the others are.
    let again: [&[Step]; 3] =
        [&[Tell(4, &[1])], &[Break, Tell(4, &[1])], &[Tell(2, &[1]), Break, Tell(4, &[1])]];
    for again in again {
        let back = [&[Tell(3, &[1])][..], again, &[Late(4, &[1, 2, 3])]].concat();
        let steps = first.into_iter().chain(back);
        assert_eq!(play(None, steps).await.sets, [vec![1, 2, 3]]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_index_that_goes_backwards_takes_nothing_away_at_once() {
    let course =
        play(None, [Tell(900, &[1, 2]), Tell(3, &[1]), Tell(4, &[1]), Late(4, &[1])]).await;
    assert_eq!(course.sets, [vec![1, 2], vec![1]]);
    let asked: Vec<u64> = course.asked.iter().map(|(index, _)| *index).collect();
    assert_eq!(asked, [0, 900, 0, 4, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_without_the_registry_goes_on_where_the_last_one_ended() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    play(Some(place.open(&clock)), [Tell(5, &[1, 2])]).await;
    for first in [Fail, Tell(3, &[])] {
        let course = play(Some(place.open(&clock)), [first, Fail]).await;
        assert_eq!(course.sets, [vec![1, 2]]);
    }
    let steps = [Fail, Tell(3, &[3]), Late(3, &[3])];
    let course = play(Some(place.open(&clock)), steps).await;
    assert_eq!(course.sets, [vec![1, 2], vec![1, 2, 3], vec![3]]);
    let course = play(Some(place.open(&clock)), [Fail]).await;
    assert_eq!(course.sets, [vec![3]], "the last set was saved");
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_answers_is_believed_and_not_the_disk() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    play(Some(place.open(&clock)), [Tell(5, &[1, 2])]).await;
    let course = play(Some(place.open(&clock)), [Tell(9, &[3]), Fail, Tell(9, &[])]).await;
    assert_eq!(course.sets, [vec![3]]);
}

#[tokio::test(start_paused = true)]
async fn a_set_that_stays_is_saved_anew_so_that_it_does_not_age() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    let (sender, _receiver) = watch::channel(Arc::<[Endpoint]>::from([]));
    let cache = place.open(&clock);
    let mut follower = Follower::new("order-service", &sender, Some(&cache), TERMS);
    for (told_again, is_believed) in [(SAVE_AGAIN, true), (SAVE_AGAIN / 2, false)] {
        follower.saved = None;
        follower.learn(endpoints(&[1])).await;
        clock.advance(chrono::TimeDelta::seconds(3_000));
        tokio::time::advance(told_again).await;
        follower.learn(endpoints(&[1])).await;
        clock.advance(chrono::TimeDelta::seconds(3_000));
        assert_eq!(cache.recall("order-service").await.is_some(), is_believed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_beside_what_was_told_is_not_saved() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    // The agent was wiped: the first of three is back, and a fourth has come.
    let course =
        play(Some(place.open(&clock)), [Tell(9, &[1, 2, 3]), Fail, Tell(3, &[1, 4])]).await;
    assert_eq!(course.sets, [vec![1, 2, 3], vec![1, 2, 3, 4]]);
    // What the disk says is used while the registry is away, and beside its first answer.
    let course = play(Some(place.open(&clock)), [Fail, Tell(3, &[5])]).await;
    assert_eq!(course.sets, [vec![1, 4], vec![1, 4, 5]]);
    let course = play(Some(place.open(&clock)), [Fail]).await;
    assert_eq!(course.sets, [vec![5]]);
}

#[tokio::test(start_paused = true)]
async fn what_is_only_kept_grows_old() {
    let (place, clock) = (Place::new(), Arc::new(FixedClock::default()));
    let (sender, _receiver) = watch::channel(Arc::<[Endpoint]>::from([]));
    let cache = place.open(&clock);
    let mut follower = Follower::new("order-service", &sender, Some(&cache), TERMS);
    follower.learn(endpoints(&[1, 2])).await;
    tokio::time::advance(SAVE_AGAIN).await;
    follower.relearn();
    follower.learn(endpoints(&[1])).await;
    assert_eq!(**sender.borrow(), *endpoints(&[1, 2]), "both are used");
    assert_eq!(cache.recall("order-service").await, Some(endpoints(&[1])), "one is known to live");
    clock.advance(chrono::TimeDelta::seconds(3_000));
    tokio::time::advance(SAVE_AGAIN).await;
    follower.learn(Vec::new()).await;
    clock.advance(chrono::TimeDelta::seconds(3_000));
    assert_eq!(**sender.borrow(), *endpoints(&[1, 2]), "none passes, and both are used");
    assert_eq!(cache.recall("order-service").await, None, "nobody has told of them for too long");
}

#[test]
fn an_empty_answer_is_shown_to_operators() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let shows = |known: u32, passing: u32| {
        let text = recorder.handle().render();
        let lines = [("endpoints", known), ("passing", passing)].map(|(name, count)| {
            format!("eh_discovery_{name}{{peer=\"order-service\"}} {count}\n")
        });
        lines.iter().all(|line| text.contains(line))
    };
    metrics::with_local_recorder(&recorder, || {
        let (sender, _receiver) = watch::channel(Arc::from([]));
        let mut follower = Follower::new("order-service", &sender, None, TERMS);
        follower.learn(endpoints(&[1, 2, 1])).now_or_never().unwrap();
        assert!(shows(2, 2));
        follower.learn(Vec::new()).now_or_never().unwrap();
        assert!(shows(2, 0));
    });
}
