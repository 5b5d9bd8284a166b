//! The reference page of the metrics.

use std::fmt::Write as _;

use super::{CHASSIS, Catalogue, Kind, Metric, TOOL};

const HEAD: &str = "# Metrics

<!-- Generated from the metrics.toml of each crate: cargo ehub metrics --write -->

What the services export, in the Prometheus text form, on their internal port under `/metrics`. Each crate declares its metrics
in its `metrics.toml`, which the exporter takes help texts and buckets from; this page is made from the same files, and tests
compare both with the code and with what a running fleet shows.

Names end in their unit, counters in `_total`. Labels have few values: routes and methods, never ids. A counter marked with `0`
is there from the start of the process, so that the first time something happens is a rise that an alert sees. What is *only*
there under a condition is missing in a fleet that is well.

What the audit finds is exported by no service: `cargo ehub audit --metrics FILE.prom` writes it to a file
([AUDIT.md](AUDIT.md#as-metrics)).

Rules and alerts over these metrics: [OBSERVABILITY.md](OBSERVABILITY.md).
";

/// Renders the page.
pub fn page(catalogues: &[Catalogue]) -> String {
    let mut page = HEAD.to_owned();
    for catalogue in catalogues {
        let title = match catalogue.package.as_str() {
            CHASSIS => "Every service",
            TOOL => "The audit",
            package => package,
        };
        let _ = writeln!(page, "\n## {title}\n");
        page.push_str("| metric | kind | unit | labels | what |\n|---|---|---|---|---|\n");
        catalogue.metric.iter().for_each(|metric| page.push_str(&row(metric)));
    }
    page.push_str("\n## Buckets\n\n| name | upper bounds |\n|---|---|\n");
    for (name, bounds) in catalogues.iter().flat_map(|catalogue| &catalogue.buckets) {
        let bounds: Vec<String> = bounds.iter().map(f64::to_string).collect();
        let _ = writeln!(page, "| `{name}` | {} |", bounds.join(", "));
    }
    page
}

fn row(metric: &Metric) -> String {
    let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    let mut kind = metric.kind.as_str().to_owned();
    if metric.kind == Kind::Histogram {
        let _ = write!(kind, " (`{}`)", metric.buckets);
    }
    if !metric.from_start.is_empty() {
        kind.push_str(", `0`");
    }
    let condition = match metric.only_when.as_str() {
        "" => String::new(),
        when => format!(" *Only when {when}.*"),
    };
    let (name, unit, help) = (&metric.name, &metric.unit, &metric.help);
    format!("| `{name}` | {kind} | {unit} | {} | {help}{condition} |\n", labels.join(", "))
}
