//! Traces that come in from outside. Which trace a request belongs to may be said by whoever sends it;
//! whether it is recorded may not, or strangers would have everything recorded, at our cost, until
//! nothing of others finds room, or nothing of what they do.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};

use crate::config::TelemetryConfig;

/// Decides which requests of strangers are recorded: `telemetry.sample_ratio` of them.
#[derive(Clone, Debug)]
pub struct Recording(Sampler);

impl Recording {
    /// Records the configured share.
    pub fn new(config: &TelemetryConfig) -> Self {
        Self(Sampler::TraceIdRatioBased(config.sample_ratio))
    }

    /// The parent that a stranger names, under a decision of ours. Identities and state stay, so that
    /// log lines, problem documents and spans are found by the stranger's trace id. A context without
    /// a parent is returned as it is: for a new trace the tracer decides.
    #[must_use]
    pub fn decide(&self, named: &Context) -> Context {
        let parent = named.span().span_context().clone();
        if !parent.is_valid() {
            return named.clone();
        }
        let flags = parent.trace_flags().with_sampled(self.is_drawn());
        let (trace, span) = (parent.trace_id(), parent.span_id());
        let decided = SpanContext::new(trace, span, flags, true, parent.trace_state().clone());
        named.with_remote_span_context(decided)
    }

    /// Draws by an id made here, as for a trace that begins here. By the stranger's own, whoever
    /// names a small one would be recorded every time.
    fn is_drawn(&self) -> bool {
        let drawn = RandomIdGenerator::default().new_trace_id();
        let ruling = self.0.should_sample(None, drawn, "", &SpanKind::Server, &[], &[]);
        ruling.decision == SamplingDecision::RecordAndSample
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::propagation::TextMapPropagator as _;
    use opentelemetry_sdk::propagation::TraceContextPropagator;

    use super::*;

    /// The lowest id there is: every ratio but zero would record it.
    const TRACE: &str = "00000000000000000000000000000001";
    const PARENT: &str = "b7ad6b7169203331";

    fn recording(sample_ratio: f64) -> Recording {
        Recording::new(&TelemetryConfig { sample_ratio, ..TelemetryConfig::default() })
    }

    fn named(flags: &str) -> Context {
        let parent = format!("00-{TRACE}-{PARENT}-{flags}");
        let headers = HashMap::from([
            ("traceparent".to_owned(), parent),
            ("tracestate".to_owned(), "shop=1".to_owned()),
        ]);
        TraceContextPropagator::new().extract(&headers)
    }

    #[test]
    fn a_stranger_names_the_trace_and_does_not_decide() {
        for (ratio, flags, is_recorded) in
            [(0.0, "01", false), (0.0, "00", false), (1.0, "00", true), (1.0, "01", true)]
        {
            let decided = recording(ratio).decide(&named(flags));
            let span = decided.span();
            let parent = span.span_context();
            assert_eq!(parent.is_sampled(), is_recorded, "{ratio} {flags}");
            assert_eq!((parent.trace_id().to_string().as_str(), parent.is_remote()), (TRACE, true));
            assert_eq!(parent.span_id().to_string(), PARENT);
            assert_eq!(parent.trace_state().header(), "shop=1");
        }
    }

    #[test]
    fn no_trace_id_is_recorded_more_often_than_others() {
        let (recording, named) = (recording(0.5), named("01"));
        let is_recorded = |_: &u32| recording.decide(&named).span().span_context().is_sampled();
        let recorded = (0..1_000).filter(is_recorded).count();
        assert!((300..=700).contains(&recorded), "{recorded} of 1,000");
    }

    #[test]
    fn without_a_parent_there_is_nothing_to_decide() {
        let decided = recording(1.0).decide(&Context::new());
        assert!(!decided.span().span_context().is_valid());
    }
}
