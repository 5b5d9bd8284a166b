//! Exhaustive search over a small model: every state that some order of steps can reach.
//!
//! Breadth first, so that the first broken state is reached by a shortest path, which is shown step
//! by step. States are compared by value; nothing is sampled.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A system that can be searched.
pub(crate) trait Model {
    /// Everything that a step can depend on.
    type State: Copy + Eq + Hash + Display;
    /// One atomic step of one participant.
    type Step: Copy + Display;

    /// Where the search begins.
    fn initial(&self) -> Vec<Self::State>;
    /// Every step that is possible, and where it leads. Steps that lead back may be left out.
    fn steps(&self, state: &Self::State, found: &mut Vec<(Self::Step, Self::State)>);
    /// Whether a step is a fault or a wish of a client, and so may never happen.
    fn is_optional(step: Self::Step) -> bool;
    /// What is wrong with a state, whatever comes next.
    fn broken(&self, state: &Self::State) -> Option<&'static str>;
    /// What is wrong with a state in which nothing happens any more by itself.
    fn unfinished(&self, state: &Self::State) -> Option<&'static str>;
}

/// What a search came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Distinct states.
    pub(crate) states: usize,
    /// Steps between them.
    pub(crate) steps: usize,
    /// Steps on the longest of the shortest paths.
    pub(crate) depth: usize,
    /// States in which nothing happens any more by itself.
    pub(crate) ends: usize,
    /// The first thing that is wrong, if anything is.
    pub(crate) counterexample: Option<Counterexample>,
}

/// A way to a state that must not be.
#[derive(Debug)]
pub(crate) struct Counterexample {
    /// What is wrong.
    pub(crate) reason: String,
    /// How one gets there.
    pub(crate) path: Vec<String>,
}

impl Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, after {} steps:", self.reason, self.path.len() - 1)?;
        for (number, step) in (1..).zip(&self.path) {
            writeln!(f, "{number:>4}. {step}")?;
        }
        Ok(())
    }
}

/// A state as the search keeps it: how it was reached first.
struct Seen<M: Model> {
    state: M::State,
    from: Option<(u32, M::Step)>,
    depth: u32,
}

/// Searches until something is wrong or everything was seen; refuses to see more than `bound`.
pub(crate) fn explore<M: Model>(model: &M, bound: usize) -> Outcome {
    let mut search = Search::new(model);
    let mut next = 0;
    while next < search.seen.len() {
        assert!(search.seen.len() <= bound, "more than {bound} states: the model is too large");
        if let Some(reason) = search.visit(next) {
            return search.outcome(Some((next, reason)));
        }
        next += 1;
    }
    let restless = search.restless().map(|index| (index, "it never comes to rest"));
    search.outcome(restless)
}

struct Search<'a, M: Model> {
    model: &'a M,
    seen: Vec<Seen<M>>,
    index: HashMap<M::State, u32, BuildHasherDefault<Mix>>,
    /// Steps that happen by themselves, as (from, to), in the order of `from`.
    forward: Vec<(u32, u32)>,
    ends: Vec<u32>,
    steps: usize,
    scratch: Vec<(M::Step, M::State)>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M) -> Self {
        let mut search = Self {
            model,
            seen: Vec::new(),
            index: HashMap::default(),
            forward: Vec::new(),
            ends: Vec::new(),
            steps: 0,
            scratch: Vec::new(),
        };
        for state in model.initial() {
            search.note(state, None, 0);
        }
        search
    }

    /// Looks at a state and notes where it leads; returns what is wrong with it.
    fn visit(&mut self, index: usize) -> Option<&'static str> {
        let Seen { state, depth, .. } = self.seen[index];
        if let Some(reason) = self.model.broken(&state) {
            return Some(reason);
        }
        let mut found = std::mem::take(&mut self.scratch);
        self.model.steps(&state, &mut found);
        let from = number(index);
        let mut is_end = true;
        for (step, after) in found.drain(..).filter(|(_, after)| *after != state) {
            self.steps += 1;
            let to = self.note(after, Some((from, step)), depth + 1);
            if !M::is_optional(step) {
                is_end = false;
                self.forward.push((from, to));
            }
        }
        self.scratch = found;
        if !is_end {
            return None;
        }
        self.ends.push(from);
        self.model.unfinished(&state)
    }

    fn note(&mut self, state: M::State, from: Option<(u32, M::Step)>, depth: u32) -> u32 {
        let next = number(self.seen.len());
        let index = *self.index.entry(state).or_insert(next);
        if index == next {
            self.seen.push(Seen { state, from, depth });
        }
        index
    }

    /// A state from which no end can be reached without faults and wishes.
    ///
    /// Most steps lead to states that were found later, so a few rounds from the last to the first
    /// are enough.
    fn restless(&self) -> Option<usize> {
        let mut can_end = vec![false; self.seen.len()];
        for end in &self.ends {
            can_end[*end as usize] = true;
        }
        let mut is_changing = true;
        while is_changing {
            is_changing = false;
            for (from, to) in self.forward.iter().rev() {
                if can_end[*to as usize] && !can_end[*from as usize] {
                    can_end[*from as usize] = true;
                    is_changing = true;
                }
            }
        }
        can_end.iter().position(|can_end| !can_end)
    }

    fn outcome(&self, wrong: Option<(usize, &'static str)>) -> Outcome {
        Outcome {
            states: self.seen.len(),
            steps: self.steps,
            depth: self.seen.last().map_or(0, |seen| seen.depth as usize),
            ends: self.ends.len(),
            counterexample: wrong.map(|(index, reason)| self.counterexample(index, reason)),
        }
    }

    fn counterexample(&self, mut index: usize, reason: &str) -> Counterexample {
        let mut path = vec![format!("=> {}", self.seen[index].state)];
        while let Some((from, step)) = self.seen[index].from {
            path.push(step.to_string());
            index = from as usize;
        }
        path.reverse();
        Counterexample { reason: reason.to_owned(), path }
    }
}

/// The bound of a search is far below.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// A hash that is fast without optimisation; states come from nobody who would attack it.
#[derive(Default)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value.cast_unsigned() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts to four; may get stuck at two, or in a circle of three and five.
    struct Counter {
        stuck: bool,
        circle: bool,
    }

    impl Model for Counter {
        type State = u8;
        type Step = &'static str;

        fn initial(&self) -> Vec<u8> {
            vec![0]
        }

        fn steps(&self, state: &u8, found: &mut Vec<(&'static str, u8)>) {
            match state {
                0 | 1 => found.push(("count", state + 1)),
                2 if !self.stuck => found.push(("count", 3)),
                3 if self.circle => found.push(("turn", 5)),
                3 => found.push(("count", 4)),
                5 => found.push(("turn", 3)),
                _ => {}
            }
        }

        fn is_optional(_: &'static str) -> bool {
            false
        }

        fn broken(&self, _: &u8) -> Option<&'static str> {
            None
        }

        fn unfinished(&self, state: &u8) -> Option<&'static str> {
            (*state != 4).then_some("not at four")
        }
    }

    #[test]
    fn everything_is_seen() {
        let outcome = explore(&Counter { stuck: false, circle: false }, 10);
        assert_eq!((outcome.states, outcome.steps, outcome.depth, outcome.ends), (5, 4, 4, 1));
        assert!(outcome.counterexample.is_none());
    }

    #[test]
    fn a_wrong_end_is_shown_with_the_way_to_it() {
        let found = explore(&Counter { stuck: true, circle: false }, 10).counterexample.unwrap();
        assert_eq!((found.reason.as_str(), found.path.len()), ("not at four", 3));
        assert_eq!(found.path, ["count", "count", "=> 2"]);
    }

    #[test]
    fn a_circle_without_an_end_is_found() {
        let found = explore(&Counter { stuck: false, circle: true }, 10).counterexample.unwrap();
        assert_eq!(found.reason, "it never comes to rest");
    }
}
