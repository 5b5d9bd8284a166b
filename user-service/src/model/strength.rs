//! How many guesses find a password: a small estimator, for refusing what a patient guesser tries
//! first and for a score of 0 to 4.
//!
//! A password is read as a row of pieces, each with a price in bits: an entry of the list of common
//! passwords costs the logarithm of its place, a word from the account's own data 2 bits, a run such
//! as `abc`, `8765`, `aaaa` or `qwert` where it begins and how long it is, a year of the last or the
//! next decades its number, and any other character the size of its alphabet. Letters may be dressed
//! up as digits and signs (`p4$$w0rd`) for one bit more, capital letters cost one bit each up to
//! four, and every piece that is not a single character one bit for being there. The cheapest
//! reading counts. A text that repeats itself costs what repeats and the number of times.
//!
//! The work is bounded by the characters that are read (`READ_MAX`): some thousand look-ups. A
//! comparison form can be eighteen times as long as what was typed; what is not read costs nothing,
//! so that a text of that kind is estimated too low rather than at the expense of everybody. The
//! numbers 10³, 10⁶, 10⁸ and 10¹⁰ between the scores are those that D. L. Wheeler's "zxcvbn"
//! (USENIX Security 2016) made customary; 10⁶ is what throttled guessing over the network does not
//! reach.

use super::common;

/// log₂ of the guesses at which the scores 1 to 4 begin.
const SCORES: [f64; 4] = [9.97, 19.93, 26.58, 33.22];
/// Bits of a word from the account's own data.
const PERSONAL_BITS: f64 = 2.0;
/// Bits of where a run may begin and in which direction it may go.
const RUN_BITS: f64 = 5.5;
/// Bits of a year from 1950 to 2049.
const YEAR_BITS: f64 = 6.6;
/// Bits of one character outside ASCII: more than ten thousand are in use (GB 2312 alone has 7,445).
const FOREIGN_BITS: f64 = 14.0;
/// Shortest run and shortest personal word.
const PIECE_MIN: usize = 3;
/// Characters of a comparison form that are read: those of the longest password.
const READ_MAX: usize = 128;
/// Keys in the longest row of [`KEYBOARD`].
const ROW_MAX: usize = 12;
/// Keys side by side, in rows and columns.
const KEYBOARD: [&str; 14] = [
    "1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "1qaz",
    "2wsx",
    "3edc",
    "4rfv",
    "5tgb",
    "6yhn",
    "7ujm",
    "8ik,",
    "9ol.",
    "!@#$%^&*()_+",
];

/// How well a password withstands guessing.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Strength {
    bits: f64,
}

impl Strength {
    /// Estimates a password. `form` is its comparison form, `capitals` the number of its capital
    /// letters, `personal` are words of the account's own data in comparison form.
    pub(super) fn estimate(form: &str, capitals: usize, personal: &[String]) -> Self {
        let capitals = f64::from(u8::try_from(capitals.min(4)).unwrap_or(4));
        let form = beginning(form);
        let unit = period(form);
        let repeats = (form.len() / unit.len().max(1)).max(1);
        let bits = cheapest(unit, personal) + log2(repeats) + capitals;
        Self { bits }
    }

    /// 0 (found at once) to 4 (beyond 10¹⁰ guesses).
    pub fn score(self) -> u8 {
        SCORES.iter().map(|from| u8::from(self.bits >= *from)).sum()
    }
}

/// As much of a text as is read.
fn beginning(text: &str) -> &str {
    text.char_indices().nth(READ_MAX).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// The shortest beginning that the whole text consists of.
fn period(text: &str) -> &str {
    let repeats = |unit: &&str| {
        text.len().is_multiple_of(unit.len()) && text == unit.repeat(text.len() / unit.len())
    };
    let ends = text.char_indices().skip(1).map(|(at, _)| at).filter(|at| at * 2 <= text.len());
    ends.map(|end| &text[..end]).find(repeats).unwrap_or(text)
}

/// The bits of the cheapest reading.
fn cheapest(text: &str, personal: &[String]) -> f64 {
    let plain = Letters::new(text.chars().collect());
    let undressed = Letters::new(text.chars().map(undress).collect());
    let mut best = vec![0.0_f64];
    for end in 1..=plain.chars.len() {
        let single = best[end - 1] + plain.chars.get(end - 1).map_or(0.0, |c| single_bits(*c));
        let mut bits = single;
        for (begin, before) in best.iter().enumerate().take((end + 1).saturating_sub(PIECE_MIN)) {
            if let Some(piece) = piece_bits(&plain, &undressed, begin..end, personal) {
                bits = bits.min(before + piece + 1.0);
            }
        }
        best.push(bits);
    }
    best.last().copied().unwrap_or_default()
}

/// A text whose pieces can be cut out by the numbers of their characters.
struct Letters {
    chars: Vec<char>,
    text: String,
    at: Vec<usize>,
}

impl Letters {
    fn new(chars: Vec<char>) -> Self {
        let text: String = chars.iter().collect();
        let at = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self { chars, text, at }
    }

    fn piece(&self, range: &std::ops::Range<usize>) -> &str {
        let (begin, end) = (self.at.get(range.start), self.at.get(range.end));
        begin.zip(end).and_then(|(begin, end)| self.text.get(*begin..*end)).unwrap_or_default()
    }
}

/// The bits of a piece of several characters, if there is a short way to say it.
fn piece_bits(
    plain: &Letters,
    undressed: &Letters,
    range: std::ops::Range<usize>,
    personal: &[String],
) -> Option<f64> {
    let as_typed = plain.piece(&range);
    let word = word_bits(as_typed, personal);
    let dressed = undressed.piece(&range);
    let dressed = (dressed != as_typed).then(|| word_bits(dressed, personal)).flatten();
    let found =
        [word, dressed.map(|bits| bits + 1.0), run_bits(&plain.chars, &range), year_bits(as_typed)];
    found.into_iter().flatten().reduce(f64::min)
}

fn word_bits(word: &str, personal: &[String]) -> Option<f64> {
    if personal.iter().any(|own| own == word) {
        return Some(PERSONAL_BITS);
    }
    if word.len() > common::LONGEST {
        return None;
    }
    common::rank(word).map(|rank| log2(usize::from(rank) + 1))
}

/// Characters that follow each other by the same step of at most one, or side by side on a keyboard.
fn run_bits(chars: &[char], range: &std::ops::Range<usize>) -> Option<f64> {
    let run = chars.get(range.clone())?;
    let mut steps =
        run.windows(2).map(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])));
    let first = steps.next()?;
    let is_even = first.abs() <= 1 && steps.all(|step| step == first);
    if is_even && first == 0 {
        return Some(single_bits(run[0]) + log2(run.len()));
    }
    (is_even || is_on_keyboard(run)).then(|| RUN_BITS + log2(run.len()))
}

fn is_on_keyboard(run: &[char]) -> bool {
    if run.len() > ROW_MAX {
        return false;
    }
    let forwards: String = run.iter().collect();
    let backwards: String = run.iter().rev().collect();
    KEYBOARD.iter().any(|row| row.contains(&forwards) || row.contains(&backwards))
}

fn year_bits(text: &str) -> Option<f64> {
    let year: u16 = if text.len() == 4 { text.parse().ok()? } else { return None };
    (1950..2050).contains(&year).then_some(YEAR_BITS)
}

fn single_bits(c: char) -> f64 {
    match c {
        '0'..='9' => 3.32,
        'a'..='z' => 4.7,
        c if c.is_ascii() => 5.04,
        _ => FOREIGN_BITS,
    }
}

/// The letter that a digit or sign is often written for.
fn undress(c: char) -> char {
    match c {
        '4' | '@' => 'a',
        '8' => 'b',
        '3' => 'e',
        '6' | '9' => 'g',
        '1' | '!' | '|' => 'i',
        '0' => 'o',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '2' => 'z',
        other => other,
    }
}

#[expect(clippy::cast_precision_loss, reason = "the numbers are lengths and ranks, far below 2^52")]
fn log2(number: usize) -> f64 {
    (number.max(1) as f64).log2()
}

#[cfg(test)]
mod tests {
    use chassis::text::comparison_form;
    use proptest::prelude::*;

    use super::*;

    fn strength(password: &str) -> Strength {
        let personal = ["alice", "liddell", "wonderland"].map(str::to_owned);
        let capitals = password.chars().filter(|c| c.is_uppercase()).count();
        Strength::estimate(&comparison_form(password), capitals, &personal)
    }

    #[test]
    fn what_is_tried_first_scores_low() {
        for weak in [
            "password",
            "Password123!",
            "P@ssw0rd!",
            "p4$$w0rd1",
            "qwertyuiop",
            "Qwerty123!",
            "aaaaaaaaaaaa",
            "12345678901234567890",
            "abcdefghijkl",
            "abababababab",
            "hunter2hunter2",
            "alice1990",
            "Alice.Liddell1",
            "aliceliddell",
            "dragon2020",
            "testpassword",
            "zxcvbnm1!",
            "9876543210",
            "密密密密密密密密",
        ] {
            assert!(strength(weak).score() < 2, "{weak}: {:?}", strength(weak));
        }
    }

    #[test]
    fn what_people_are_told_to_choose_scores_high() {
        for strong in [
            "correct horse battery",
            "another good one",
            "a-customers-long-password",
            "sK9!vT2#qLm4",
            "admin-for-development-only",
            "the first one",
            "  \0 p🔑ss  ",
            "S3cure-Passw0rd!",
            "密码很长的八个字",
            &"密".repeat(64),
            &"é".repeat(64),
            "correct horse",
        ] {
            assert!(strength(strong).score() >= 2, "{strong}: {:?}", strength(strong));
        }
        assert_eq!(strength("sK9!vT2#qLm4xW7").score(), 4);
    }

    /// One typed character becomes eighteen here.
    #[test]
    fn no_more_is_read_than_a_password_is_long() {
        let form = comparison_form(&format!("{}x", "\u{FDFA}".repeat(127)));
        assert!(form.chars().count() > 2_000);
        assert_eq!(beginning(&form).chars().count(), READ_MAX);
        let read = Strength::estimate(beginning(&form), 0, &[]);
        assert_eq!(Strength::estimate(&form, 0, &[]), read);
        assert_eq!(beginning("密码"), "密码");
        assert_eq!(KEYBOARD.iter().map(|row| row.len()).max(), Some(ROW_MAX));
    }

    proptest! {
        #[test]
        fn any_text_has_a_score(text in "(?s).{0,128}") {
            prop_assert!(strength(&text).score() <= 4);
        }

        #[test]
        fn more_of_the_same_kind_is_not_weaker(text in "[a-z0-9]{8,20}", more in "[A-Z]{1}") {
            let longer = format!("{text}密{more}");
            prop_assert!(strength(&longer) >= strength(&text));
        }
    }
}
