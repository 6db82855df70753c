//! One account, as one role: a client per service and Region, made when it is first needed, and the one way to call.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::retry::{RetryPartition, TokenBucket};
use aws_sdk_sts::operation::RequestId;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::answer::sort;
use super::budget::{Budgets, Kind};
use super::limits::limit_of;
use super::time::AwsTime;
use crate::ports::{Call, CallError, Clock, Effect};
use crate::telemetry::{CallOutcome, CallSpan, Meters};

/// Route 53 and IAM have no Regions; their control planes are asked here.
pub(super) const GLOBAL: &str = "us-east-1";

/// How AWS is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The daemon's own Region: where roles are assumed.
    pub home: Region,
    /// One endpoint for every service, instead of AWS's.
    pub endpoint_url: Option<String>,
    /// An endpoint per service: `route53`, `rds`, `dynamodb`, `s3`, `cloudwatch`, `sts`, `iam`.
    pub endpoints: BTreeMap<String, String>,
    /// Longest time for a call that changes something; lies under the leader's lease.
    pub mutation_timeout: Duration,
    /// Access key id and secret; absent: AWS's default chain (IRSA, Pod Identity, environment, profile).
    pub credentials: Option<(String, String)>,
}

impl Settings {
    fn endpoint(&self, service: &str) -> Option<&String> {
        self.endpoints.get(service).or(self.endpoint_url.as_ref())
    }
}

/// Connecting to an endpoint.
const CONNECT: Duration = Duration::from_millis(500);
/// One attempt of a read.
const READ_ATTEMPT: Duration = Duration::from_secs(1);
/// A read with its attempts.
const READ: Duration = Duration::from_secs(3);
const READ_ATTEMPTS: u32 = 3;
/// Tokens that one retry takes.
const COST: u8 = 5;
const READ_PAUSE: Duration = Duration::from_millis(100);

/// One account, as one role.
pub struct Account {
    pub(super) settings: Arc<Settings>,
    role: Option<String>,
    http: SharedHttpClient,
    config: OnceCell<SdkConfig>,
    budgets: Arc<Budgets>,
    meters: Arc<Meters>,
    time: AwsTime,
    route53: Clients<aws_sdk_route53::Client>,
    rds: Clients<aws_sdk_rds::Client>,
    dynamodb: Clients<aws_sdk_dynamodb::Client>,
    s3: Clients<aws_sdk_s3::Client>,
    cloudwatch: Clients<aws_sdk_cloudwatch::Client>,
    sts: Clients<aws_sdk_sts::Client>,
    iam: Clients<aws_sdk_iam::Client>,
}

/// Clients of one service by Region, for reads and for what changes something.
type Clients<C> = Mutex<BTreeMap<(Region, bool), C>>;

/// A call that is about to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'a> {
    pub(super) service: &'static str,
    pub(super) operation: &'static str,
    pub(super) region: &'a Region,
    pub(super) kind: Kind,
}

impl<'a> Ask<'a> {
    pub(super) const fn read(service: &'static str, operation: &'static str, region: &'a Region) -> Self {
        Self { service, operation, region, kind: Kind::Read }
    }

    pub(super) const fn action(service: &'static str, operation: &'static str, region: &'a Region) -> Self {
        Self { service, operation, region, kind: Kind::Action }
    }

    /// A no of our own, in the form of AWS's.
    pub(super) fn error(&self, code: &str, message: impl Into<String>, effect: Effect) -> CallError {
        CallError {
            service: self.service,
            operation: self.operation,
            region: self.region.clone(),
            code: code.to_owned(),
            message: message.into(),
            effect,
        }
    }

    /// How it ended, for whoever counts.
    fn ended<'b>(&'b self, outcome: CallOutcome, code: &'b str, request_id: &'b str, took: Duration) -> CallSpan<'b> {
        let Self { service, operation, region, kind } = *self;
        CallSpan { service, operation, region, acts: kind == Kind::Action, outcome, code, request_id, took }
    }

    /// A no that trying again does not change, before anything was sent.
    pub(super) fn refuse(&self, code: &str, message: impl Into<String>) -> CallError {
        self.error(code, message, Effect::None)
    }
}

macro_rules! client {
    ($name:ident, $sdk:ident) => {
        pub(super) async fn $name(&self, region: &Region, kind: Kind) -> $sdk::Client {
            let config = self.config().await;
            let made = || {
                let mut builder = $sdk::config::Builder::from(config)
                    .region($sdk::config::Region::new(region.to_string()))
                    .timeout_config(self.timeouts(kind))
                    .retry_config(retries(kind))
                    .retry_partition(partition(stringify!($name), region, kind))
                    .interceptor(self.time.clone());
                if let Some(url) = self.settings.endpoint(stringify!($name)) {
                    builder = builder.endpoint_url(url);
                }
                $sdk::Client::from_conf(adapt::$name(builder, self.settings.endpoint(stringify!($name)).is_some()))
            };
            let mut clients = self.$name.lock().unwrap_or_else(PoisonError::into_inner);
            clients.entry((region.clone(), kind == Kind::Action)).or_insert_with(made).clone()
        }
    };
}

/// What only one service needs.
mod adapt {
    macro_rules! plain {
        ($($name:ident $sdk:ident),*) => {$(
            pub(super) fn $name(builder: $sdk::config::Builder, _: bool) -> $sdk::Config {
                builder.build()
            }
        )*};
    }
    plain!(route53 aws_sdk_route53, rds aws_sdk_rds, dynamodb aws_sdk_dynamodb, cloudwatch aws_sdk_cloudwatch, sts aws_sdk_sts, iam aws_sdk_iam);

    /// Endpoints of one's own have no name per bucket.
    pub(super) fn s3(builder: aws_sdk_s3::config::Builder, own_endpoint: bool) -> aws_sdk_s3::Config {
        builder.force_path_style(own_endpoint).build()
    }
}

impl Account {
    /// The account that the default chain of credentials leads to. Nothing is asked before the first call. `clock` is the
    /// daemon's, for the age of figures and the instant of words; answers of AWS put it right.
    #[must_use]
    pub fn new(settings: Settings, clock: Arc<dyn Clock>, meters: Arc<Meters>) -> Arc<Self> {
        let tls = tls::Provider::Rustls(CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
        Arc::new(Self::with(Arc::new(settings), None, http, AwsTime::new(clock), meters))
    }

    /// The same, with a role assumed: another account, perhaps.
    pub(super) fn assuming(&self, role_arn: &str) -> Arc<Self> {
        let (http, time, meters) = (self.http.clone(), self.time.clone(), self.meters.clone());
        Arc::new(Self::with(self.settings.clone(), Some(role_arn.to_owned()), http, time, meters))
    }

    fn with(
        settings: Arc<Settings>,
        role: Option<String>,
        http: SharedHttpClient,
        time: AwsTime,
        meters: Arc<Meters>,
    ) -> Self {
        let budgets = Arc::new(Budgets::of(role.as_deref()));
        let watched: Weak<Budgets> = Arc::downgrade(&budgets);
        meters.watch_budgets(watched);
        Self {
            settings,
            role,
            http,
            config: OnceCell::new(),
            budgets,
            meters,
            time,
            route53: Mutex::default(),
            rds: Mutex::default(),
            dynamodb: Mutex::default(),
            s3: Mutex::default(),
            cloudwatch: Mutex::default(),
            sts: Mutex::default(),
            iam: Mutex::default(),
        }
    }

    pub(super) fn home(&self) -> &Region {
        &self.settings.home
    }

    /// Now, by AWS's own clock as far as it is known.
    pub(super) fn now(&self) -> Timestamp {
        self.time.now()
    }

    async fn config(&self) -> &SdkConfig {
        self.config.get_or_init(|| self.load()).await
    }

    async fn load(&self) -> SdkConfig {
        let home = aws_config::Region::new(self.settings.home.to_string());
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .region(home.clone())
            .http_client(self.http.clone())
            .time_source(self.time.clone())
            // That time is right for all clients at once.
            .disable_clock_skew_correction(true)
            .identity_cache(IdentityCache::lazy().build())
            .timeout_config(self.timeouts(Kind::Read))
            .retry_config(retries(Kind::Read))
            // The deadline of an attempt covers its body too.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some((key, secret)) = &self.settings.credentials {
            let credentials = aws_credential_types::Credentials::new(key, secret, None, None, "settings");
            loader = loader.credentials_provider(credentials);
        }
        if let Some(url) = self.settings.endpoint("sts").filter(|_| self.role.is_some()) {
            loader = loader.endpoint_url(url);
        }
        let own = loader.load().await;
        let Some(role) = &self.role else { return own };
        let provider = AssumeRoleProvider::builder(role)
            .session_name(format!("failoverd-{}", self.settings.home))
            .region(home)
            // Whoever gives out roles is asked by a client that hears no time.
            .configure(&own.to_builder().disable_clock_skew_correction(false).build())
            .build()
            .await;
        let assumed = own.to_builder().credentials_provider(SharedCredentialsProvider::new(provider));
        let mut assumed = assumed.identity_cache(IdentityCache::lazy().build());
        assumed.set_endpoint_url(None);
        assumed.build()
    }

    fn timeouts(&self, kind: Kind) -> TimeoutConfig {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
        match kind {
            Kind::Read => timeouts.operation_attempt_timeout(READ_ATTEMPT).operation_timeout(READ).build(),
            Kind::Action => timeouts.operation_timeout(self.settings.mutation_timeout).build(),
        }
    }

    client!(route53, aws_sdk_route53);
    client!(rds, aws_sdk_rds);
    client!(dynamodb, aws_sdk_dynamodb);
    client!(s3, aws_sdk_s3);
    client!(cloudwatch, aws_sdk_cloudwatch);
    client!(sts, aws_sdk_sts);
    client!(iam, aws_sdk_iam);

    /// Makes a call: waits for the budget, sends, sorts the answer, logs it. `sending` sends when it is first polled.
    pub(super) async fn call<T, E>(
        &self,
        ask: Ask<'_>,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Call<T>
    where
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match self.try_call(ask, sending).await {
            Ok(answer) => Ok(answer),
            Err((error, _)) => Err(error),
        }
    }

    /// The same; a no comes with AWS's own error beside it.
    pub(super) async fn try_call<T, E>(
        &self,
        ask: Ask<'_>,
        sending: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, (CallError, Option<E>)>
    where
        T: RequestId,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let limit = limit_of(ask.service, ask.operation);
        let waited = self.budgets.take(ask.service, ask.region, limit, ask.kind);
        let waited = match ask.kind {
            Kind::Read => waited.await.is_ok(),
            Kind::Action => tokio::time::timeout(self.settings.mutation_timeout, waited).await.is_ok(),
        };
        if !waited {
            self.meters.aws_called(&ask.ended(CallOutcome::Budget, "Budget", "", Duration::ZERO));
            let message = format!("the budget of {} is spent, and actions go first", limit.group);
            return Err((ask.error("Budget", message, Effect::NoneRetryable), None));
        }
        let begun = Instant::now();
        let answer = sending.await;
        let took = begun.elapsed();
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match answer {
            Ok(answer) => {
                let request_id = answer.request_id().unwrap_or_default();
                self.meters.aws_called(&ask.ended(CallOutcome::Ok, "ok", request_id, took));
                log(&ask, duration_ms, request_id, "ok", "");
                Ok(answer)
            }
            Err(error) => {
                let sorted = sort(&error, ask.kind);
                if sorted.throttled {
                    self.budgets.throttled(ask.service, ask.region, limit);
                }
                let request_id = error.raw_response().and_then(request_id).unwrap_or_default().to_owned();
                self.meters.aws_called(&ask.ended(sorted.outcome(), &sorted.code, &request_id, took));
                log(&ask, duration_ms, &request_id, &sorted.code, &sorted.message);
                let message = match &self.role {
                    Some(role) if sorted.code == "NotSent" => format!("as {role}: {}", sorted.message),
                    _ => sorted.message,
                };
                let own = error.into_source_error();
                Err((ask.error(&sorted.code, message, sorted.effect), own))
            }
        }
    }
}

/// AWS's own error out of what the SDK brings.
trait IntoSourceError<E> {
    fn into_source_error(self) -> Option<E>;
}

impl<E> IntoSourceError<E> for SdkError<E, HttpResponse> {
    fn into_source_error(self) -> Option<E> {
        match self {
            Self::ServiceError(service) => Some(service.into_err()),
            _ => None,
        }
    }
}

fn request_id(response: &HttpResponse) -> Option<&str> {
    response.headers().get("x-amzn-requestid").or_else(|| response.headers().get("x-amz-request-id"))
}

/// What changes something is logged always. Run, epoch and service of failoverd come with the span around it.
fn log(ask: &Ask<'_>, duration_ms: u64, request_id: &str, outcome: &str, words: &str) {
    let Ask { service, operation, region, kind } = *ask;
    match kind {
        Kind::Action => {
            tracing::info!(aws = service, operation, %region, request_id, duration_ms, outcome, words, "aws call");
        }
        Kind::Read => {
            tracing::debug!(aws = service, operation, %region, request_id, duration_ms, outcome, words, "aws call");
        }
    }
}

/// What tries of one client may cost: a tenth of what went well, one in ten seconds, and ten at once. The SDK's own quota would let
/// every read be three for a minute of throttling, and never fill up again while nothing goes well.
fn partition(service: &str, region: &Region, kind: Kind) -> RetryPartition {
    let tokens = TokenBucket::builder()
        .capacity(10 * usize::from(COST))
        .retry_cost(COST.into())
        .throttling_retry_cost(COST.into())
        .timeout_retry_cost(COST.into())
        .success_reward(f32::from(COST) / 10.0)
        .refill_rate(f32::from(COST) / 10.0)
        .build();
    RetryPartition::custom(format!("{service} in {region}, {kind:?}")).token_bucket(tokens).build()
}

fn retries(kind: Kind) -> RetryConfig {
    match kind {
        Kind::Read => RetryConfig::standard().with_max_attempts(READ_ATTEMPTS).with_initial_backoff(READ_PAUSE),
        Kind::Action => RetryConfig::disabled(),
    }
}
