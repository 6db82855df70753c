//! Spans on their way to an OpenTelemetry collector.
//!
//! Exporting never holds a run up: spans wait in a bounded queue and are dropped when the collector is away for long. The
//! history is the record; a trace is a picture of it.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use failoverd_domain::ids::{FleetId, Region};
use failoverd_domain::time::Timestamp;
use opentelemetry::trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanEvents, SpanLinks, SpanProcessor};
use tonic::transport::{Certificate, ClientTlsConfig};

use super::trace::{CallSpan, SpanOf};
use crate::ports::Clock;

/// One batch on its way.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// What is left at the end may take so long.
const LAST_EXPORT: Duration = Duration::from_secs(2);

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpSettings {
    /// The collector's gRPC endpoint: `http://otel-collector:4317`, or `https://…`.
    pub endpoint: String,
    /// Whom to trust for `https`, PEM; the public authorities when absent.
    pub ca: Option<Vec<u8>>,
}

/// The exporter could not be made.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be exported to {endpoint}: {cause}")]
pub struct OtlpError {
    endpoint: String,
    cause: String,
}

/// Takes spans and exports them.
pub struct Spans {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    clock: Arc<dyn Clock>,
    /// Numbers spans that have no name of their own.
    next: AtomicU64,
    seed: u64,
}

/// A span that is over.
pub(super) struct Ended<'a> {
    pub(super) of: SpanOf,
    pub(super) parent: Option<SpanOf>,
    pub(super) kind: SpanKind,
    pub(super) name: Cow<'static, str>,
    pub(super) begun: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) events: Vec<(Timestamp, &'static str)>,
    /// Why it did not end well, if so.
    pub(super) error: Option<&'a str>,
}

impl Spans {
    /// Begins to export; the collector is reached when the first span ends. Needs tokio's runtime.
    ///
    /// # Errors
    /// An endpoint or an authority that cannot be used.
    pub fn begin(
        settings: &OtlpSettings,
        fleet: &FleetId,
        me: &Region,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, OtlpError> {
        let refused = |cause: &dyn Display| OtlpError { endpoint: settings.endpoint.clone(), cause: cause.to_string() };
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(settings.endpoint.clone())
            .with_timeout(EXPORT_TIMEOUT);
        if settings.endpoint.starts_with("https:") {
            let tls = match &settings.ca {
                Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)),
                None => ClientTlsConfig::new().with_enabled_roots(),
            };
            exporter = exporter.with_tls_config(tls);
        }
        let exporter = exporter.build().map_err(|error| refused(&error))?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let resource = Resource::builder()
            .with_service_name("failoverd")
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.namespace", fleet.to_string()),
                KeyValue::new("service.instance.id", me.to_string()),
                KeyValue::new("cloud.provider", "aws"),
                KeyValue::new("cloud.region", me.to_string()),
            ])
            .build();
        processor.set_resource(&resource);
        let seed = clock.now().0;
        let scope = InstrumentationScope::builder("failoverd").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Arc::new(Self { processor, scope, clock, next: AtomicU64::new(0), seed }))
    }

    /// A call to AWS that was made on behalf of a step.
    pub(super) fn call(&self, parent: &SpanOf, call: &CallSpan<'_>) {
        let ended = self.clock.now();
        let took = u64::try_from(call.took.as_millis()).unwrap_or(u64::MAX);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let of = SpanOf { trace: parent.trace, span: mixed(self.seed, number) };
        let well = call.code == "ok";
        let mut attributes = vec![
            KeyValue::new("rpc.system", "aws-api"),
            KeyValue::new("rpc.service", call.service),
            KeyValue::new("rpc.method", call.operation),
            KeyValue::new("cloud.region", call.region.to_string()),
            KeyValue::new("failoverd.acts", call.acts),
            KeyValue::new("failoverd.outcome", call.outcome.word()),
        ];
        if !call.request_id.is_empty() {
            attributes.push(KeyValue::new("aws.request_id", call.request_id.to_owned()));
        }
        if !well {
            attributes.push(KeyValue::new("error.type", call.code.to_owned()));
        }
        self.end(Ended {
            of,
            parent: Some(*parent),
            kind: SpanKind::Client,
            name: Cow::Owned(format!("{}.{}", call.service, call.operation)),
            begun: ended.minus_ms(took),
            ended,
            attributes,
            events: Vec::new(),
            error: (!well).then_some(call.code),
        });
    }

    /// A span that is over.
    pub(super) fn end(&self, ended: Ended<'_>) {
        let Ended { of, parent, kind, name, begun, ended, attributes, events, error } = ended;
        let events = events.into_iter().map(|(at, name)| Event::new(name, time(at), Vec::new(), 0)).collect();
        let mut recorded = SpanEvents::default();
        recorded.events = events;
        self.processor.on_end(SpanData {
            span_context: SpanContext::new(
                TraceId::from_bytes(of.trace),
                SpanId::from_bytes(of.span),
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span)),
            // Another daemon may have led when the parent began.
            parent_span_is_remote: parent.is_some(),
            span_kind: kind,
            name,
            start_time: time(begun),
            end_time: time(ended.max(begun)),
            attributes,
            dropped_attributes_count: 0,
            events: recorded,
            links: SpanLinks::default(),
            status: error.map_or(Status::Ok, |error| Status::error(error.to_owned())),
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// Sends what waits, for a moment at most. Blocks: not for the runtime's own threads.
    pub fn close(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(LAST_EXPORT) {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

/// An attribute out of anything that has words.
pub(super) fn text(key: &'static str, value: &impl Display) -> KeyValue {
    KeyValue::new(key, Value::from(value.to_string()))
}

fn time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.0)
}

/// Eight bytes that differ for every call of this process and, by its start, of others.
fn mixed(seed: u64, number: u64) -> [u8; 8] {
    // SplitMix64's finalizer: one to one, so that numbers that differ stay different.
    let mut mixed = seed.rotate_left(20) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_be_bytes()
}
