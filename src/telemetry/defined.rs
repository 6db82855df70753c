//! Every metric: its name, kind, labels and help, once.

/// A metric's definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defined {
    /// Name, `failoverd_…`.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Labels, in the order in which values are given.
    pub labels: &'static [&'static str],
    /// One line for whoever reads the raw page.
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only rises, from 0 at the start of the process.
    Counter,
    /// Observations in buckets.
    Histogram,
}

macro_rules! defined {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Defined = Defined {
            name: concat!("failoverd_", $name),
            kind: Kind::$kind,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All of them.
        #[must_use]
        pub const fn all() -> &'static [Defined] {
            &[$($id),*]
        }
    };
}

defined! {
    BUILD_INFO = Gauge "build_info" ["version", "role"] "Always 1: version of the daemon, and what its Region is for.";
    START_TIME = Gauge "start_time_seconds" [] "When the daemon started, Unix time.";
    CERTIFICATE_EXPIRY = Gauge "tls_certificate_expiry_timestamp_seconds" [] "When the daemon's own certificate ends, Unix time.";
    CLOCK_AHEAD = Gauge "clock_ahead_seconds" [] "The daemon's clock minus the machine's.";
    CLOCK_JUMPS = Counter "clock_jumps_total" [] "How often the machine's clock was set by a second or more.";
    LOG_OVERRIDE = Gauge "log_level_override" [] "1 while a log filter that was set at run time is in force.";

    IS_LEADER = Gauge "consensus_is_leader" [] "1 where this daemon leads.";
    HAS_LEADER = Gauge "consensus_has_leader" [] "1 where this daemon knows a leader.";
    CAUGHT_UP = Gauge "consensus_caught_up" [] "1 once everything that was agreed before the start is applied here.";
    TERM = Gauge "consensus_term" [] "The newest term.";
    LEADER_CHANGES = Counter "consensus_leader_changes_total" [] "Changes of the known leader that were seen here.";
    APPLIED_INDEX = Gauge "consensus_applied_index" [] "The newest entry that is applied here.";
    ENTRIES = Counter "consensus_entries_total" ["outcome"] "Entries that were applied here since the start.";
    PROPOSALS = Counter "consensus_proposals_total" ["outcome"] "Entries that this daemon proposed.";
    PROPOSAL_SECONDS = Histogram "consensus_proposal_duration_seconds" [] "From proposing an entry to having applied it.";
    VIOLATIONS = Counter "invariant_violations_total" ["invariant"] "Invariants that did not hold over an applied entry.";

    FLEET_MEMBERS = Gauge "fleet_members" ["role"] "Daemons of the fleet.";
    FLEET_GENERATION = Gauge "fleet_generation" [] "Raised only by disaster recovery of the fleet.";
    FLEET_PAUSED = Gauge "fleet_paused" [] "1 while automatic action is off for the whole fleet.";
    DAEMONS_FRESH = Gauge "fleet_daemons_fresh" [] "Daemons whose newest report is fresh here, this one included.";
    PEER_AGE = Gauge "peer_report_age_seconds" ["peer"] "Since the newest report of another daemon arrived.";
    PEER_SKEW = Gauge "peer_clock_skew_seconds" ["peer"] "Another daemon's clock minus ours.";
    PEER_ISOLATED = Gauge "peer_isolated" ["peer"] "1 where a daemon reaches neither peers nor references.";
    SURVIVABLE = Gauge "region_survivable_ratio" ["region"] "Share of the services hit by the end of a Region that would move by themselves.";
    CONTROL_PLANE_UP = Gauge "region_control_plane_up" ["region"] "1 where a Region's RDS API answers this daemon.";

    SERVICE_INFO = Gauge "service_info" ["service", "pattern", "failover"] "Always 1: what the manifest says.";
    SERVICE_EPOCH = Gauge "service_epoch" ["service"] "Raised once for every change of who serves.";
    SERVICE_PHASE = Gauge "service_phase" ["service", "phase"] "1 for the present phase.";
    SERVICE_PAUSED = Gauge "service_paused" ["service"] "1 while automatic action is off for it.";
    SERVICE_SETTLED = Gauge "service_settled" ["service"] "1 where records and checks match who serves.";
    SERVICE_SERVING = Gauge "service_serving" ["service", "region"] "1 where the committed switch says that it serves.";
    SERVICE_SHARE = Gauge "service_share_ratio" ["service", "region"] "The part of its traffic that a serving Region is given.";
    PRIMARY_SINCE = Gauge "service_primary_since_timestamp_seconds" ["service"] "Since when it serves where it does, Unix time.";
    DIAGNOSIS = Gauge "service_diagnosis" ["service", "region", "diagnosis"] "1 for the present diagnosis.";
    FORECAST = Gauge "service_forecast" ["service", "region", "outcome"] "1 for what would come of it if the Region vanished now.";
    GUARD_OK = Gauge "service_guard_ok" ["service", "guard"] "What the guards would say now to an automatic move.";
    CHECKS = Gauge "service_checks" ["service", "verdict"] "Readiness checks by verdict.";
    CHECK_NOT_READY = Gauge "service_check_not_ready" ["service", "region", "check"] "1 for each check that is not ready.";
    OBJECTIVE_RTO = Gauge "service_objective_rto_seconds" ["service"] "RTO of the manifest.";
    OBJECTIVE_RPO = Gauge "service_objective_rpo_seconds" ["service"] "RPO of the manifest.";
    DRILL_REQUIRED = Gauge "service_drill_required" ["service"] "1 where it may move by itself only after a drill that was passed.";
    LICENCE_EXPIRY = Gauge "service_drill_licence_expiry_timestamp_seconds" ["service", "from", "to"] "Until when a passed drill lets it move by itself that way, Unix time; 0: none does.";

    SIGNAL_STATUS = Gauge "signal_status" ["service", "region", "signal", "status"] "1 for the present status, as this daemon reads it.";
    SIGNAL_BREACHED = Gauge "signal_breached" ["service", "region", "signal"] "1 where it was bad for long enough, and not good for long enough since.";
    SIGNAL_AGE = Gauge "signal_age_seconds" ["service", "region", "signal"] "Since this daemon's newest reading.";
    SIGNAL_LATENCY = Gauge "signal_latency_seconds" ["service", "region", "signal"] "How long the newest answer took.";
    ROUTE53_STATUS = Gauge "route53_checkers_status" ["service", "region", "status"] "1 for what Route 53's own checkers say.";
    STORE_READY = Gauge "store_ready" ["service", "store", "region"] "1 where that copy could take over, or serves.";
    LOSS_BOUND = Gauge "store_loss_bound_seconds" ["service", "store", "to"] "The most that would be lost if the service were forced there now.";
    LOSS_KNOWN = Gauge "store_loss_known" ["service", "store", "to"] "0 where nobody can say what would be lost.";
    STORE_LAG = Gauge "store_replication_lag_seconds" ["service", "store", "region"] "CloudWatch's lag towards that copy, with its age.";

    SWITCH_ON = Gauge "switch_on" ["group", "region"] "The committed bit.";
    SWITCH_SINCE = Gauge "switch_since_timestamp_seconds" ["group", "region"] "Since when, Unix time.";
    SWITCH_VOTES = Gauge "switch_votes" ["group", "region", "vote"] "Daemons by what they answer to Route 53's checkers.";
    SWITCH_CHANGES = Counter "switch_changes_total" ["group", "region"] "Turns of the bit since the start.";
    SWITCH_REQUESTS = Counter "switch_requests_total" ["answer"] "What the switch listener answered.";

    RUN_OPEN = Gauge "run_open" ["service", "state"] "1 for the state of the open run.";
    RUN_DECIDED = Gauge "run_decided_timestamp_seconds" ["service"] "When the open run was decided, Unix time.";
    RUNS = Counter "runs_total" ["service", "trigger", "outcome"] "Runs that ended since the start.";
    RUN_RTO = Histogram "run_rto_seconds" ["trigger"] "From the breach, or the start, to the verified answer.";
    RUN_DETECTION = Histogram "run_detection_seconds" ["trigger"] "From the breach to the decision.";
    STEP_SECONDS = Histogram "run_step_duration_seconds" ["kind", "outcome"] "From the intent of a step to its outcome.";
    RUN_LAST_RTO = Gauge "run_last_rto_seconds" ["service", "trigger"] "RTO of the newest run that succeeded.";
    RUN_LAST_FINISHED = Gauge "run_last_finished_timestamp_seconds" ["service", "trigger", "outcome"] "When the newest run of each kind ended, Unix time.";
    RUN_LAST_LOSS = Gauge "run_last_loss_seconds" ["service", "store"] "What the newest forced run really lost.";

    DRILL_PHASE = Gauge "drill_phase" ["drill", "service", "phase"] "1 for the phase of an open execution.";
    DRILL_NEXT = Gauge "drill_next_timestamp_seconds" ["drill", "service"] "The next opening of its schedule, Unix time.";
    DRILL_VERDICT = Gauge "drill_last_verdict" ["drill", "service", "verdict"] "1 for the verdict of the newest closed execution.";
    DRILL_FINISHED = Gauge "drill_last_finished_timestamp_seconds" ["drill", "service"] "When that ended, Unix time.";
    DRILL_RTO = Gauge "drill_last_rto_seconds" ["drill", "service"] "The RTO that it measured.";
    DRILL_MISSED = Gauge "drill_missed_timestamp_seconds" ["drill", "service"] "The newest opening that passed without it, Unix time.";
    DRILLS = Counter "drills_total" ["drill", "verdict"] "Executions that ended since the start.";

    AWS_CALLS = Counter "aws_calls_total" ["service", "operation", "region", "outcome"] "Calls to AWS by how they ended.";
    AWS_SECONDS = Histogram "aws_call_duration_seconds" ["service", "kind"] "How long calls to AWS took, attempts of the SDK included.";
    BUDGET = Gauge "aws_budget_tokens" ["service", "region", "group", "account"] "Tokens left in a budget.";
    BUDGET_CAPACITY = Gauge "aws_budget_capacity_tokens" ["service", "region", "group", "account"] "Tokens of a full budget.";

    HISTORY_HEAD = Gauge "history_head_sequence" [] "The newest event that the fleet made.";
    HISTORY_PENDING = Gauge "history_pending_events" [] "Events that this Region's database does not hold yet.";
    HISTORY_UP = Gauge "history_up" [] "1 where the database answered the newest attempt.";
    HISTORY_CONTRADICTED = Gauge "history_contradicted" [] "1 where the database does not follow from what was agreed.";
    WEBHOOK_PENDING = Gauge "webhook_pending_events" ["hook"] "News that a webhook was not told yet.";
    GRPC_REQUESTS = Counter "grpc_requests_total" ["method", "code"] "Answered requests; streams count when they begin.";
}
