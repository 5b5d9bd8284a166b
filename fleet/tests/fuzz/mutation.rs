//! Small damage to inputs.

use rand::Rng;
use rand::rngs::StdRng;

/// Longest input: beyond every limit of length that is checked by parsing, and quick to make.
const BYTES_MAX: usize = 16 * 1024;
/// Bytes that mean something to readers of text.
const BYTES: &[u8] = b"\0\x01\t\n\r\x1b \"%',-./0:;<=[\\]{}\x7f\x80\xc0\xed\xf0\xff";
/// Numbers at the limits of types.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1e400",
    "1.5",
    "-0",
    "2147483648",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "99999999999",
    "NaN",
    "00",
];

/// An input of the pool with one to five changes.
pub(crate) fn mutate(pool: &[Vec<u8>], words: &[&str], random: &mut StdRng) -> Vec<u8> {
    let mut input = pick(pool, random).clone();
    for _ in 0..random.random_range(1..=5) {
        change(&mut input, pool, words, random);
        input.truncate(BYTES_MAX);
    }
    input
}

fn change(input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str], random: &mut StdRng) {
    let (start, end) = range(input, random);
    match random.random_range(0..10) {
        0 if start < input.len() => input[start] ^= 1 << random.random_range(0..8_u8),
        1 if start < input.len() => input[start] = *pick(BYTES, random),
        2 => input.insert(start, random.random()),
        3 => {
            input.drain(start..end);
        }
        4 => {
            let copy = input[start..end].to_vec();
            input.splice(end..end, copy);
        }
        5 => replace_number(input, start, pick::<&str>(&NUMBERS, random)),
        6 => input.truncate(start),
        7 => {
            // The front of one input and the back of another.
            let other = pick(pool, random);
            let (from, _) = range(other, random);
            input.truncate(start);
            input.extend_from_slice(&other[from..]);
        }
        8 => repeat(input, start, random),
        _ if words.is_empty() => input.insert(start, *pick(BYTES, random)),
        _ => {
            let word = pick(words, random).bytes();
            input.splice(start..start, word);
        }
    }
}

/// Two places of an input, in order, mostly near each other.
fn range(input: &[u8], random: &mut StdRng) -> (usize, usize) {
    let start = random.random_range(0..=input.len());
    let reach = if random.random_ratio(1, 8) { input.len() } else { 16 };
    let end = random.random_range(start..=input.len().min(start + reach));
    (start, end)
}

/// Puts another number where the next digits are.
fn replace_number(input: &mut Vec<u8>, from: usize, number: &str) {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let start = input[from..].iter().position(digits).map_or(input.len(), |at| from + at);
    let length = input[start..].iter().take_while(|byte| digits(byte)).count();
    input.splice(start..start + length, number.bytes());
}

/// Repeats a byte up to some thousand times: nesting, and long names.
fn repeat(input: &mut Vec<u8>, at: usize, random: &mut StdRng) {
    let byte = *pick(BYTES, random);
    let count = 1_usize << random.random_range(0..13_u32);
    input.splice(at..at, std::iter::repeat_n(byte, count));
}

fn pick<'p, T>(from: &'p [T], random: &mut StdRng) -> &'p T {
    &from[random.random_range(0..from.len())]
}

#[test]
fn mutations_are_many_bounded_and_the_same_for_the_same_seed() {
    use rand::SeedableRng;

    let pool = [b"{\"amount\":12}".to_vec(), Vec::new()];
    let run = |seed| {
        let mut random = StdRng::seed_from_u64(seed);
        (0..2_000).map(|_| mutate(&pool, &["word"], &mut random)).collect::<Vec<_>>()
    };
    let inputs = run(1);
    assert!(inputs.iter().all(|input| input.len() <= BYTES_MAX));
    let different: std::collections::BTreeSet<_> = inputs.iter().collect();
    assert!(different.len() > 1_000, "{}", different.len());
    assert!(inputs == run(1) && inputs != run(2));
}

#[test]
fn a_number_is_replaced_as_a_whole() {
    let mut input = b"a:123,b".to_vec();
    replace_number(&mut input, 1, "-1");
    assert_eq!(input, b"a:-1,b");
    replace_number(&mut input, 5, "7");
    assert_eq!(input, b"a:-1,b7");
}
