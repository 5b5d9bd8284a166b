//! Log lines: for people in development, one JSON object a line everywhere else; both name the
//! trace that they belong to.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Json, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{ConfigError, LogFormat};

/// Libraries that narrate their work. What the configuration says of them comes later and wins.
/// lapin logs the contents of messages and calls what heals by itself an error; the broker's own
/// module reports what matters.
/// `lapin` would log every message that comes back with its content, which is personal data.
const QUIET: &str = "consulrs=off,rustify=off,h2=warn,hyper=warn,hyper_util=warn,reqwest=warn,\
                     rustls=warn,tower=warn,lapin=off,sqlx=warn,opentelemetry=warn";

/// Reads the directives of `[telemetry] filter`.
pub fn filter(directives: &str) -> Result<EnvFilter, ConfigError> {
    let all = format!("{QUIET},{directives}");
    EnvFilter::builder()
        .parse(all)
        .map_err(|error| ConfigError::value("telemetry.filter", error.to_string()))
}

/// The layer that writes log lines to stdout.
pub(super) fn layer<S>(service: &'static str, format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    // No colours: most of what reads this output is no terminal.
    let layer = tracing_subscriber::fmt::layer().with_ansi(false);
    match format {
        LogFormat::Json => {
            layer.fmt_fields(JsonFields::new()).event_format(JsonLine::new(service)).boxed()
        }
        LogFormat::Pretty => layer.event_format(TextLine::new()).boxed(),
    }
}

/// A JSON object with the service and the trace in front.
struct JsonLine {
    service: &'static str,
    inner: Format<Json>,
}

impl JsonLine {
    fn new(service: &'static str) -> Self {
        let inner = tracing_subscriber::fmt::format()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false);
        Self { service, inner }
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::with_capacity(256);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        // The formatter cannot take extra members, but what it writes begins with a brace.
        let rest = line.strip_prefix('{').ok_or(fmt::Error)?;
        write!(writer, "{{\"service.name\":\"{}\",", self.service)?;
        if let Some((trace, span)) = current_ids() {
            write!(writer, "\"trace_id\":\"{trace}\",\"span_id\":\"{span}\",")?;
        }
        writer.write_str(rest)
    }
}

/// A line for people, with the trace at its end.
struct TextLine {
    inner: Format<Full>,
}

impl TextLine {
    fn new() -> Self {
        Self { inner: tracing_subscriber::fmt::format().with_ansi(false) }
    }
}

impl<S> FormatEvent<S, DefaultFields> for TextLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, _)) = current_ids() else {
            return self.inner.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(256);
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        writeln!(writer, "{} trace_id={trace}", line.trim_end())
    }
}

/// Trace and span that the current thread works for.
fn current_ids() -> Option<(opentelemetry::TraceId, opentelemetry::SpanId)> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| (span.trace_id(), span.span_id()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'w> MakeWriter<'w> for Buffer {
        type Writer = Self;

        fn make_writer(&'w self) -> Self {
            self.clone()
        }
    }

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn json_lines_name_service_trace_and_fields() {
        let buffer = Buffer::default();
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(tracer))
            .with(
                tracing_subscriber::fmt::layer()
                    .fmt_fields(JsonFields::new())
                    .event_format(JsonLine::new("order-service"))
                    .with_writer(buffer.clone()),
            );
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("order.place", order.id = 7);
            let _entered = span.enter();
            tracing::info!(user.id = "u-1", "order \"placed\"");
        });
        let json: serde_json::Value = serde_json::from_str(buffer.text().trim()).unwrap();
        assert_eq!(json["service.name"], "order-service");
        assert_eq!(json["level"], "INFO");
        assert_eq!(json["message"], "order \"placed\"");
        assert_eq!(json["user.id"], "u-1");
        assert_eq!(json["span"]["name"], "order.place");
        assert_eq!(json["span"]["order.id"], 7);
        assert_eq!(json["trace_id"].as_str().unwrap().len(), 32);
        assert_eq!(json["span_id"].as_str().unwrap().len(), 16);
    }

    #[test]
    fn text_lines_end_with_the_trace() {
        let buffer = Buffer::default();
        let tracer = SdkTracerProvider::builder().build().tracer("test");
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(tracer))
            .with(
                tracing_subscriber::fmt::layer()
                    .event_format(TextLine::new())
                    .with_writer(buffer.clone()),
            );
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("outside");
            let _entered = tracing::info_span!("order.place").entered();
            tracing::info!("inside");
        });
        let text = buffer.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("outside"), "{text}");
        assert!(lines[1].contains("inside trace_id="), "{text}");
    }

    #[test]
    fn the_configuration_overrules_the_quieting() {
        let quiet = filter("info").unwrap().to_string();
        assert!(quiet.contains("h2=warn") && quiet.contains("consulrs=off"), "{quiet}");
        assert!(quiet.contains("lapin=off"), "it logs whole messages: {quiet}");
        let loud = filter("info,h2=debug").unwrap().to_string();
        assert!(loud.contains("h2=debug") && !loud.contains("h2=warn"), "{loud}");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_a_configuration_error() {
        let text = filter("info,=!").unwrap_err().to_string();
        assert!(text.contains("telemetry.filter"), "{text}");
    }
}
