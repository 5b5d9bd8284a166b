//! As much of PromQL as tells which series an expression asks for: it is read, not evaluated.

/// A series that an expression asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The name of the metric or of the recorded series.
    pub name: String,
    /// The labels that it is chosen by.
    pub labels: Vec<String>,
}

/// Words of the language that look like names.
const WORDS: [&str; 16] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "inf",
    "nan",
    "atan2",
    "start",
    "end",
];
/// Words behind which labels stand in parentheses.
const LISTS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// The series that an expression asks for, in its order.
pub fn selectors(expression: &str) -> Vec<Selector> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' | '\'' => behind_text(rest, first),
            '[' => behind(rest, ']'),
            _ if is_start(first) => behind_word(rest, &mut found),
            // Durations and numbers such as 5m or 0x1F.
            '0'..='9' => rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.'),
            _ => &rest[first.len_utf8()..],
        };
    }
    found
}

/// The labels by which series are joined or summed up.
pub fn grouping(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let words = expression.split(|c: char| !is_part(c) && !matches!(c, '(' | ')' | ','));
    let text: String = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for word in LISTS {
        for (at, _) in text.match_indices(word) {
            let before = text[..at].chars().next_back();
            let list = text[at + word.len()..].trim_start().strip_prefix('(');
            if before.is_some_and(is_part) {
                continue;
            }
            let Some((labels, _)) = list.and_then(|list| list.split_once(')')) else { continue };
            let labels = labels.split(',').map(str::trim).filter(|label| !label.is_empty());
            found.extend(labels.map(str::to_owned));
        }
    }
    found
}

fn behind_word<'e>(text: &'e str, found: &mut Vec<Selector>) -> &'e str {
    let end = text.find(|c: char| !is_part(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let next = rest.trim_start();
    if LISTS.contains(&word) && next.starts_with('(') {
        return behind(next, ')');
    }
    if WORDS.contains(&word.to_lowercase().as_str()) || next.starts_with('(') {
        return rest;
    }
    // `sum by (x) (y)`: an aggregation with its labels in front.
    let is_aggregation = LISTS.iter().any(|list| {
        next.strip_prefix(list).is_some_and(|after| after.trim_start().starts_with('('))
    });
    if is_aggregation && AGGREGATIONS.contains(&word) {
        return rest;
    }
    let (labels, rest) = matchers(rest);
    found.push(Selector { name: word.to_owned(), labels });
    rest
}

/// What sums up series.
const AGGREGATIONS: [&str; 12] = [
    "sum",
    "min",
    "max",
    "avg",
    "count",
    "group",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "count_values",
];

/// The labels in `{a="x", b!="y"}` at the beginning of a text, and what is behind.
fn matchers(text: &str) -> (Vec<String>, &str) {
    let Some(mut rest) = text.trim_start().strip_prefix('{') else { return (Vec::new(), text) };
    let mut labels = Vec::new();
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '}' => return (labels, &rest[1..]),
            '"' | '\'' => behind_text(rest, first),
            _ if is_start(first) => {
                let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
                labels.push(rest[..end].to_owned());
                &rest[end..]
            }
            _ => &rest[first.len_utf8()..],
        };
    }
    (labels, rest)
}

fn behind(text: &str, end: char) -> &str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// What is behind a text in quotes, in which a backslash makes the next character a plain one.
fn behind_text(text: &str, quote: char) -> &str {
    let mut is_plain = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if is_plain => is_plain = false,
            '\\' => is_plain = true,
            _ if character == quote => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

fn is_start(character: char) -> bool {
    character.is_ascii_alphabetic() || matches!(character, '_' | ':')
}

fn is_part(character: char) -> bool {
    is_start(character) || character.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(expression: &str) -> Vec<String> {
        selectors(expression).into_iter().map(|selector| selector.name).collect()
    }

    #[test]
    fn names_are_told_from_functions_words_labels_and_durations() {
        let expression = "sum by (job, le) (rate(a_bucket{job=\"x}\", le=~\"1(\\\\.0)?\"}[5m])) \
            / on (job) group_left (peer) max without (x) (b_total offset 1h) > 14.4 * 0.001 \
            and slo:c:ratio_5m unless up == 0 or topk(3, d)";
        assert_eq!(names(expression), ["a_bucket", "b_total", "slo:c:ratio_5m", "up", "d"]);
        assert_eq!(selectors(expression)[0].labels, ["job", "le"]);
        let mut groups = grouping(expression);
        groups.sort();
        assert_eq!(groups, ["job", "job", "le", "peer", "x"]);
    }

    #[test]
    fn a_variable_of_a_dashboard_is_no_name() {
        assert_eq!(names("rate(a_total{job=\"$service\"}[$__rate_interval])"), ["a_total"]);
        assert_eq!(
            names("histogram_quantile(0.99, sum(rate(b_bucket[1h])) by (le))"),
            ["b_bucket"]
        );
        assert!(names("").is_empty() && names("1 + 2").is_empty() && names("\"a").is_empty());
    }
}
