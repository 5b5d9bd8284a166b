//! `ehub logs`: what the services of the running fleet have written, as one log.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use owo_colors::{AnsiColors, OwoColorize};

use super::interrupted;
use crate::layout::Layout;
use crate::logs::{self, Filter, Level, Line, Logs};
use crate::services::Service;
use crate::{time, ui};

/// Pause between two looks at logs that are followed.
const LOOK: Duration = Duration::from_millis(200);
/// Entries that are shown at most: so many are held in memory for each service.
const LINES_MAX: u64 = 100_000;
/// One for each service, in the order of their table.
const COLOURS: [AnsiColors; 6] = [
    AnsiColors::Cyan,
    AnsiColors::Green,
    AnsiColors::Yellow,
    AnsiColors::Blue,
    AnsiColors::Magenta,
    AnsiColors::BrightRed,
];

/// Options of `logs`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo ehub logs order payment --level warn --since 10m\n  \
    cargo ehub logs --trace 4bf92f3577b34da6a3ce929d0e0e4736\n  \
    cargo ehub logs --follow --lines 0")]
pub(super) struct Args {
    /// Services or single processes, such as order-service, order or order-service-2; all where none
    /// is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Stay, and show what is added
    #[arg(short, long)]
    follow: bool,
    /// Only what belongs to this trace: its id, or a whole `traceparent`
    #[arg(long, value_name = "ID", value_parser = parse_trace)]
    trace: Option<String>,
    /// Only this level and graver ones
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// Only what is not older, such as 30s, 10m or 2h
    #[arg(long, value_name = "DURATION", value_parser = time::parse)]
    since: Option<Duration>,
    /// Entries shown at most, of all services together: the last ones
    #[arg(short = 'n', long, value_name = "N", default_value_t = 200,
        value_parser = clap::value_parser!(u64).range(..=LINES_MAX))]
    lines: u64,
}

pub(super) async fn run(args: &Args) -> Result<ExitCode> {
    let mut logs = Logs::open(&Layout::discover()?, &args.services)?;
    let filter = Filter {
        trace: args.trace.clone(),
        level: args.level,
        since: args.since.and_then(|since| time::now().checked_sub_signed(signed(since))),
    };
    let is_coloured = ui::is_coloured();
    let last = logs.last(&filter, usize::try_from(args.lines)?)?;
    show(&last, is_coloured);
    if args.follow {
        follow(&mut logs, &filter, is_coloured).await?;
    } else if last.is_empty() {
        ui::error_line("nothing fits; --since, --level, --trace and --lines decide what is shown");
    }
    Ok(ExitCode::SUCCESS)
}

/// More than chrono can tell is as good as for ever.
fn signed(duration: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(duration).unwrap_or(chrono::TimeDelta::MAX)
}

async fn follow(logs: &mut Logs, filter: &Filter, is_coloured: bool) -> Result<()> {
    let signal = interrupted();
    tokio::pin!(signal);
    loop {
        let (lines, remarks, has_more) = logs.news(filter)?;
        show(&lines, is_coloured);
        for remark in &remarks {
            ui::error_line(remark);
        }
        let pause = if has_more { Duration::ZERO } else { LOOK };
        tokio::select! {
            name = &mut signal => return name.map(|_| ()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn show(lines: &[Line], is_coloured: bool) {
    for line in lines {
        ui::line(&render(line, is_coloured));
    }
}

/// The process in front, and of further rows a margin of its width.
fn render(line: &Line, is_coloured: bool) -> String {
    let name = format!("{:<16}", line.process);
    let margin = " ".repeat(name.chars().count());
    let name = if is_coloured { name.color(colour(&line.process)).to_string() } else { name };
    let rows = line.entry.text.split('\n').map(ui::printable).enumerate();
    let rows = rows.map(|(number, row)| {
        let front = if number == 0 { &name } else { &margin };
        format!("{front} | {row}")
    });
    rows.collect::<Vec<_>>().join("\n")
}

fn colour(process: &str) -> AnsiColors {
    let service = Service::of_process(process);
    let place = Service::ALL.iter().position(|one| Some(one) == service).unwrap_or_default();
    COLOURS.get(place).copied().unwrap_or(AnsiColors::White)
}

fn parse_trace(text: &str) -> Result<String, String> {
    let id = text.split('-').nth(1).unwrap_or(text).to_lowercase();
    if logs::is_trace(&id) {
        return Ok(id);
    }
    Err("expected 32 hexadecimal digits, as in the trace_id of an answer, or a traceparent".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Entry;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn line(process: &str, text: &str) -> Line {
        Line { process: process.to_owned(), entry: Entry::without_head(text.to_owned()) }
    }

    #[test]
    fn rows_stand_below_each_other_and_command_no_terminal() {
        assert_eq!(
            render(&line("order-service", "one\ntwo\u{1b}[2J"), false),
            "order-service    | one\n                 | two\\u{1b}[2J"
        );
        let coloured = render(&line("order-service-2", "one"), true);
        assert!(coloured.contains("\u{1b}[") && coloured.ends_with("| one"), "{coloured:?}");
    }

    #[test]
    fn every_service_has_a_colour_of_its_own() {
        let mut colours: Vec<String> =
            Service::ALL.iter().map(|service| format!("{:?}", colour(service.name))).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), Service::ALL.len());
    }

    #[test]
    fn a_trace_is_named_by_itself_or_by_its_parent() {
        assert_eq!(parse_trace(TRACE).as_deref(), Ok(TRACE));
        assert_eq!(parse_trace(&TRACE.to_uppercase()).as_deref(), Ok(TRACE));
        let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        assert_eq!(parse_trace(&parent).as_deref(), Ok(TRACE));
        assert!(parse_trace("4bf9").is_err() && parse_trace("").is_err());
    }
}
