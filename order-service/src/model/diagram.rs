//! The order state machine as a picture, drawn from the table that runs.

use super::placement::PLACED;
use super::{OrderStatus, TRANSITIONS, Trigger};

/// Draws [`TRANSITIONS`] as a Mermaid state diagram: arrows in the order of the table, each with
/// the cause that the timeline shows.
pub fn mermaid() -> String {
    let mut lines = vec!["stateDiagram-v2".to_owned()];
    lines.push(format!("    [*] --> {}: {PLACED}", OrderStatus::Created));
    for (from, trigger, to) in TRANSITIONS {
        lines.push(format!("    {from} --> {to}: {}", trigger.cause()));
    }
    let is_final = |status: &OrderStatus| Trigger::ALL.iter().all(|t| status.after(*t).is_none());
    let ends = OrderStatus::ALL.into_iter().filter(is_final);
    lines.extend(ends.map(|status| format!("    {status} --> [*]")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_shows_the_machine_that_runs() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ARCHITECTURE.md");
        let documentation = std::fs::read_to_string(path).unwrap();
        let drawn = format!("```mermaid\n{}\n```", mermaid());
        assert!(documentation.contains(&drawn), "docs/ARCHITECTURE.md should show\n\n{drawn}\n");
    }

    #[test]
    fn every_transition_is_an_arrow() {
        let drawn = mermaid();
        assert_eq!(drawn.matches("-->").count(), TRANSITIONS.len() + 1 + 4);
        assert!(drawn.contains("    PAID --> REFUNDING: refund_requested\n"));
        assert!(drawn.ends_with("    REFUNDED --> [*]"));
    }
}
