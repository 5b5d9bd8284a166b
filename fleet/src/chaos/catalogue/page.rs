//! The catalogue as a page shows it: a table of what is made, and one of what is not.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::{ALL, Fault, Means};

/// The page that shows it.
pub const PAGE: &str = "docs/CHAOS.md";

const BEGIN: &str = "<!-- Generated from the catalogue: cargo ehub chaos --write -->";
const END: &str = "<!-- End of what is generated -->";

/// The page with the catalogue as it is, between the marks that are on it.
pub fn fill(page: &str) -> Result<String> {
    let marks = || format!("{PAGE} has no {BEGIN} with {END} after it");
    let (head, rest) = page.split_once(BEGIN).with_context(marks)?;
    let (_, tail) = rest.split_once(END).with_context(marks)?;
    Ok(format!("{head}{BEGIN}\n\n{}\n{END}{tail}", tables(ALL)))
}

fn tables(faults: &[Fault]) -> String {
    let mut text = "| fault | what fails | how | how it ends |\n|---|---|---|---|\n".to_owned();
    for Fault { id, name, how, heal, .. } in faults.iter().filter(|one| one.means.is_possible()) {
        // Two stars in a line would be taken for emphasis.
        let how = how.replace('*', "\\*");
        let _ = writeln!(text, "| {id} | {name} | {how} | {heal} |");
    }
    text.push_str(
        "\nLeft out:\n\n| fault | what fails | why it is not made here |\n|---|---|---|\n",
    );
    for Fault { id, name, means, .. } in faults {
        if let Means::LeftOut(reason) = means {
            let _ = writeln!(text, "| {id} | {name} | {reason} |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_the_marks_is_made_anew_and_the_rest_stays() {
        let page = |between: &str| format!("before\n{BEGIN}{between}{END}\nbehind\n");
        let filled = fill(&page("\nold\n")).unwrap();
        assert_eq!(filled, page(&format!("\n\n{}\n", tables(ALL))));
        assert_eq!(fill(&filled).unwrap(), filled);
        assert!(fill("no mark").is_err() && fill(BEGIN).is_err());
    }

    #[test]
    fn every_fault_has_one_row() {
        let text = tables(ALL);
        for Fault { id, .. } in ALL {
            assert_eq!(text.matches(&format!("| {id} |")).count(), 1, "{id}");
        }
        let cells = |line: &str| line.matches('|').count() - 1;
        let (made, left_out) = text.split_once("Left out").unwrap();
        for (table, columns) in [(made, 4), (left_out, 3)] {
            let mut rows = table.lines().filter(|line| line.starts_with("| F"));
            assert!(rows.all(|line| cells(line) == columns), "a cell holds a bar");
        }
    }
}
