use std::time::Duration;

use proptest::prelude::*;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LIMITS: FrameLimits = FrameLimits { control_frames: 10, streams: 5 };

fn frame_of(stream: u32, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame_of(1, kind, flags, payload)
}

fn meter() -> FrameMeter {
    let mut meter = FrameMeter::new(PREFACE.len(), LIMITS);
    assert!(meter.hear(PREFACE));
    meter
}

#[tokio::test(start_paused = true)]
async fn requests_and_their_bodies_are_free() {
    let mut meter = meter();
    let request = [frame(1, 4, &[0; 30]), frame(0, 0, &[0; 700]), frame(0, 1, b"")].concat();
    for _ in 0..100 {
        assert!(meter.hear(&request));
    }
}

#[tokio::test(start_paused = true)]
async fn control_frames_have_a_budget_however_they_are_cut() {
    for kind in [2, 3, 4, 6, 9, 0xbe] {
        let mut meter = meter();
        let flood = frame(kind, 0, &[0; 8]).repeat(10);
        assert!(flood.iter().all(|byte| meter.hear(&[*byte])), "{kind}");
        assert!(!meter.hear(&frame(kind, 0, &[0; 8])), "{kind}");
    }
    let mut meter = meter();
    assert!(!meter.hear(&frame(0, 0, b"").repeat(11)), "empty DATA");
}

#[tokio::test(start_paused = true)]
async fn the_budget_comes_back() {
    let mut meter = meter();
    let ping = frame(6, 0, &[0; 8]);
    assert!(meter.hear(&ping.repeat(10)));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(meter.hear(&ping.repeat(5)));
    assert!(!meter.hear(&ping));
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_those_allowed_are_paid_for() {
    let mut meter = meter();
    let open = |number: u32| frame_of(2 * number + 1, HEADERS, 5, b"x");
    assert!((0..15).all(|number| meter.hear(&open(number))), "5 are free, 10 are paid for");
    assert!(!meter.hear(&open(15)));
    let mut meter = self::meter();
    for number in 0..100 {
        assert!(meter.hear(&open(number)));
        meter.say(&frame_of(2 * number + 1, HEADERS, 5, b"x"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_lasts_until_the_last_byte_of_its_last_frame() {
    let mut meter = meter();
    let start = Instant::now();
    assert!(meter.hear(&frame(HEADERS, 5, b"x")));
    assert_eq!(meter.oldest_answer(), None);
    meter.say(&frame(HEADERS, 4, b"x"));
    tokio::time::advance(Duration::from_secs(5)).await;
    let last = [frame(DATA, 0, b"abc"), frame(DATA, 1, b"def")].concat();
    for byte in &last {
        assert_eq!(meter.oldest_answer(), Some(start));
        meter.say(&[*byte]);
    }
    assert_eq!(meter.oldest_answer(), None);
}

/// The heads of the frames that are whole, by the numbers of the protocol alone.
fn whole_frames(mut bytes: &[u8]) -> Vec<[usize; 4]> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let number =
            |bytes: &[u8]| bytes.iter().fold(0_usize, |n, byte| (n << 8) | usize::from(*byte));
        let length = number(&head[..3]);
        let Some((_, rest)) = rest.split_at_checked(length) else { break };
        let stream = number(&head[5..]) % (1 << 31);
        frames.push([usize::from(head[3]), usize::from(head[4]), stream, length]);
        bytes = rest;
    }
    frames
}

/// Bytes of some frames.
fn any_frames() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    let one = (any::<u32>(), any::<u8>(), any::<u8>(), payload);
    let one = one.prop_map(|(stream, kind, flags, bytes)| frame_of(stream, kind, flags, &bytes));
    prop::collection::vec(one, 0..6).prop_map(|frames| frames.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn frames_are_what_they_are_however_they_are_cut_and_whatever_follows(
        frames in any_frames(),
        rest in prop::collection::vec(any::<u8>(), 0..30),
        cuts in prop::collection::vec(1_usize..20, 1..10),
    ) {
        let sent = [PREFACE, &frames, &rest].concat();
        let mut reader = FrameReader::new(PREFACE.len());
        let (mut left, mut read) = (sent.as_slice(), Vec::new());
        for cut in cuts.iter().cycle() {
            let (mut piece, later) = left.split_at(left.len().min(*cut));
            while let Some(head) = reader.next(&mut piece) {
                let (kind, flags) = (usize::from(head.kind), usize::from(head.flags));
                read.push([kind, flags, head.stream as usize, head.length]);
            }
            prop_assert!(piece.is_empty(), "{} bytes are not read", piece.len());
            left = later;
            if left.is_empty() {
                break;
            }
        }
        prop_assert_eq!(read, whole_frames(&sent[PREFACE.len()..]));
    }
}
