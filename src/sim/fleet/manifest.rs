//! The services that the simulated fleet looks after, as their owner would write them down.

use std::collections::BTreeMap;

use failoverd_domain::drill::{ComesBack, DrillKind, DrillSpec, Guardrail};
use failoverd_domain::fleet::{Role, Velocity};
use failoverd_domain::ids::Region;
use failoverd_domain::manifest::read_set;
use failoverd_domain::service::ServiceSpec;

use super::whole::{EU_WEST, SERVICE, SPREAD, US_EAST};
use crate::sim::world::Draws;

/// What differs between one simulated service and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shop {
    /// Announcement of automatic runs, seconds.
    pub announce_s: u64,
    /// Between two automatic runs, seconds.
    pub cooldown_s: u64,
    /// `approval` or `proceed`.
    pub loss_over_budget: &'static str,
    /// `approval` or `proceed`.
    pub unfenced: &'static str,
    /// Loss objective, seconds.
    pub rpo_s: u64,
    /// Whether the database can be fenced.
    pub fence: bool,
    /// Whether a DynamoDB table and S3 buckets move along.
    pub more_stores: bool,
    /// Whether an RDS instance with a read replica moves along.
    pub instance: bool,
    /// `http` or `cloudwatch`.
    pub switch: &'static str,
    /// The second service, which both Regions serve at once.
    pub spread: Option<Spread>,
    /// How much may move by itself in a while.
    pub velocity: Option<Velocity>,
}

/// What differs between one active-active service and the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// `weighted` or `geolocation`.
    pub routing: &'static str,
    /// `automatic`, `approval` or `manual`.
    pub failover: &'static str,
    /// For how long each wave is watched, seconds.
    pub restore_pause_s: u64,
    /// Whether it has a database, which one Region only can write.
    pub database: bool,
}

/// Drills of the first service, short ones.
#[must_use]
pub fn drills() -> Vec<DrillSpec> {
    let drill = |name: &str, kind, guardrails| DrillSpec {
        name: name.into(),
        labels: BTreeMap::new(),
        service: SERVICE.into(),
        kind,
        from: None,
        to: None,
        schedule: None,
        hypothesis: "it moves and comes back".to_owned(),
        guardrails,
        hold_ms: 10_000,
        comes_back: ComesBack::Automatic,
        approvals: 0,
    };
    let limit = Guardrail::MaxDuration { ms: 60_000 };
    vec![drill("gameday", DrillKind::Switchover, Vec::new()), drill("loss", DrillKind::RegionLoss, vec![limit])]
}

impl Default for Shop {
    /// A service that may do everything by itself.
    fn default() -> Self {
        Self {
            announce_s: 2,
            cooldown_s: 20,
            loss_over_budget: "approval",
            unfenced: "proceed",
            rpo_s: 8,
            fence: true,
            more_stores: true,
            instance: false,
            switch: "http",
            spread: None,
            velocity: None,
        }
    }
}

impl Spread {
    fn drawn(coin: &mut impl FnMut(u64) -> u64) -> Self {
        Self {
            routing: if coin(2) == 0 { "weighted" } else { "geolocation" },
            failover: ["automatic", "automatic", "approval", "manual"][usize::try_from(coin(4)).unwrap_or(0)],
            restore_pause_s: 2 + coin(6),
            database: coin(2) == 0,
        }
    }

    fn targets(&self) -> [&'static str; 2] {
        match self.routing {
            "weighted" => ["weight: 50", "weight: 100"],
            _ => ["geo: [{ continent: NA }, { country: US }, { default: true }]", "geo: [{ continent: EU }]"],
        }
    }
}

impl Shop {
    /// Any of them.
    #[must_use]
    pub fn drawn(draws: &mut Draws) -> Self {
        let mut coin = |out_of: u64| draws.next_u64() % out_of;
        let doubt = |heads: bool| if heads { "proceed" } else { "approval" };
        Self {
            announce_s: [0, 1, 3, 25][usize::try_from(coin(4)).unwrap_or(0)],
            cooldown_s: 5 + coin(30),
            loss_over_budget: doubt(coin(2) == 0),
            unfenced: doubt(coin(3) > 0),
            rpo_s: 5 + coin(10),
            fence: coin(3) > 0,
            more_stores: coin(3) == 0,
            switch: if coin(4) == 0 { "cloudwatch" } else { "http" },
            spread: (coin(2) == 0).then(|| Spread::drawn(&mut coin)),
            instance: coin(3) == 0,
            velocity: (coin(3) == 0).then(|| Velocity {
                window_ms: 30_000 + coin(90_000),
                regions: 1 + u32::from(coin(4) == 0),
                services: [None, Some(1), Some(2)][usize::try_from(coin(3)).unwrap_or(0)],
            }),
        }
    }

    /// The manifests, read as `failoverctl apply` would.
    ///
    /// # Panics
    /// Never: every shop is a valid manifest.
    #[must_use]
    pub fn specs(&self, fleet: &BTreeMap<Region, Role>) -> Vec<ServiceSpec> {
        let spread = self.spread.as_ref().map(|spread| format!("---\n{}", self.spread_text(spread)));
        let text = self.text() + &spread.unwrap_or_default();
        let read = read_set([("shop.yaml", text.as_bytes())], fleet, &[]);
        read.unwrap_or_else(|problems| panic!("the simulated manifest is wrong: {problems:?}\n{text}")).services
    }

    fn spread_text(&self, spread: &Spread) -> String {
        let Spread { routing, failover, restore_pause_s, database } = spread;
        let data = if *database { SPREAD_DATA } else { "" };
        let ([us, eu], cooldown_s) = (spread.targets(), self.cooldown_s);
        format!(
            r#"apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: {{ name: {SPREAD} }}
spec:
  pattern: active-active
  regions: [us-east-1, eu-west-1]
  objectives: {{ rto: 5m, rpo: 5s }}
  policy:
    failover: {failover}
    announce: 1s
    cooldown: {cooldown_s}s
    restore_pause: {restore_pause_s}s
    unfenced: proceed
  health:
    breach_after: 5s
    recover_after: 10s
    signals:
      - name: front-door
        http: {{ url: "http://{{region}}.{SPREAD}.example.com/healthz", interval: 1s, timeout: 500ms, expect_status: 200 }}
  traffic:
    hosted_zone: example.com
    records:
      - name: {SPREAD}.example.com
        type: A
        routing: {routing}
        ttl: 30s
        targets:
          us-east-1: {{ values: ["198.51.100.10"], {us} }}
          eu-west-1: {{ values: ["198.51.100.20"], {eu} }}
{data}"#
        )
    }

    fn text(&self) -> String {
        let Self { announce_s, cooldown_s, loss_over_budget, unfenced, rpo_s, switch, .. } = self;
        let fence = if self.fence {
            "fence: { security_group: { us-east-1: sg-0a1b2c3d4e5f60001, eu-west-1: sg-0a1b2c3d4e5f60002 } }"
        } else {
            ""
        };
        let fence = if fence.is_empty() { String::new() } else { format!("      {fence}\n") };
        let more = if self.more_stores { MORE_STORES } else { "" };
        let instance = if self.instance { INSTANCE } else { "" };
        let instance_fence = if self.instance && self.fence { INSTANCE_FENCE } else { "" };
        format!(
            r#"apiVersion: failoverd.dev/v1
kind: FailoverService
metadata: {{ name: checkout }}
spec:
  pattern: active-passive
  regions: [us-east-1, eu-west-1]
  objectives: {{ rto: 5m, rpo: {rpo_s}s }}
  policy:
    failover: automatic
    announce: {announce_s}s
    cooldown: {cooldown_s}s
    loss_over_budget: {loss_over_budget}
    unfenced: {unfenced}
  health:
    breach_after: 5s
    recover_after: 10s
    signals:
      - name: front-door
        http: {{ url: "http://{{region}}.checkout.example.com/healthz", interval: 1s, timeout: 500ms, expect_status: 200 }}
  traffic:
    hosted_zone: example.com
    switch: {switch}
    records:
      - name: {PUBLIC_NAME}
        type: A
        routing: failover
        ttl: 30s
        targets:
          us-east-1: {{ values: ["192.0.2.10"] }}
          eu-west-1: {{ values: ["192.0.2.20"] }}
  data:
    - name: orders-db
      aurora: {{ global_cluster: checkout-global, clusters: {{ us-east-1: checkout-use1, eu-west-1: checkout-euw1 }} }}
      canary: {{ dsn_env: ORDERS_DSN }}
{fence}{more}{instance}{instance_fence}"#
        )
    }
}

const SPREAD_DATA: &str = r"  data:
    - name: search-db
      aurora: { global_cluster: search-global, clusters: { us-east-1: search-use1, eu-west-1: search-euw1 } }
      canary: { dsn_env: SEARCH_DSN }
";

/// The name by which the world knows the first service.
pub(super) const PUBLIC_NAME: &str = "api.example.com";

/// By Region, the two instances of [`INSTANCE`].
pub(super) const INSTANCES: [(&str, &str); 2] = [(US_EAST, "legacy-use1"), (EU_WEST, "legacy-euw1")];

const INSTANCE: &str = r"    - name: legacy
      rds: { instances: { us-east-1: legacy-use1, eu-west-1: legacy-euw1 }, rebuild: automatic }
      canary: { dsn_env: LEGACY_DSN }
";

pub(super) const INSTANCE_FENCE: &str = r"      fence: { security_group: { us-east-1: sg-0a1b2c3d4e5f60003, eu-west-1: sg-0a1b2c3d4e5f60004 } }
";

const MORE_STORES: &str = r"    - name: orders
      dynamodb: { table: Orders, ensure_replicas: true }
      canary: { table: failoverd-canary }
    - name: media
      s3:
        buckets: { us-east-1: media-use1, eu-west-1: media-euw1 }
        bidirectional: true
      canary: { prefix: .failoverd/ }
";
