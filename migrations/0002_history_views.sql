-- Histories of tens of millions of events: leaner rows, what drills and people ask for, and retention.
--
-- A row keeps the event's text and the few columns that are searched by; everything else is read from the text when
-- somebody asks. Measured in docs/adr/0012: every stored column is one more parse of the text, `json` is parsed twice
-- as fast as `jsonb`, and a stored copy of `data` made rows 60 % larger.

alter table history_event
    drop constraint history_event_check,
    drop column log_index,
    drop column at,
    drop column fleet,
    drop column service,
    drop column run,
    drop column kind,
    drop column region,
    drop column actor,
    drop column message,
    drop column data,
    drop column hash;

-- The number stands first in every event's text.
alter table history_event
    add check (starts_with(event, '{"seq":' || seq::text || ',')),
    add column at      timestamptz generated always as (to_timestamp(
                           least((replace(event, '\u0000', '\ufffd')::json ->> 'at')::numeric, 253402300799999)::float8 / 1000)) stored not null,
    add column kind    text generated always as (replace(event, '\u0000', '\ufffd')::json ->> 'kind') stored not null,
    add column service text generated always as (replace(event, '\u0000', '\ufffd')::json ->> 'service') stored,
    add column run     text generated always as (replace(event, '\u0000', '\ufffd')::json ->> 'run') stored,
    add column drill   text generated always as (replace(event, '\u0000', '\ufffd')::json ->> 'drill') stored,
    add column actor   text generated always as (replace(event, '\u0000', '\ufffd')::json ->> 'actor') stored not null;

create index history_event_by_service on history_event (service, seq);
create index history_event_by_service_and_time on history_event (service, at);
create index history_event_by_run on history_event (run, seq) where run is not null;
create index history_event_by_drill on history_event (drill, seq) where drill is not null;
create index history_event_by_kind on history_event (kind, seq);
create index history_event_by_time on history_event (at);
create index history_event_by_actor on history_event (actor, seq);
-- What the views of runs begin with: one row a run.
create index history_event_decided on history_event (service, seq) where kind = 'decided';

-- Where the chain begins once retention has removed its oldest events: one row a removal, the newest one holds.
create table history_anchor (
    seq        bigint primary key check (seq > 0),
    hash       text not null,
    removed    bigint not null check (removed > 0),
    removed_at timestamptz not null default now()
);
comment on table history_anchor is 'What retention removed: up to which event, and that event''s hash, from which the chain goes on.';
create trigger history_anchor_append_only before update or delete on history_anchor
    for each row execute function history_event_refuse_change();
create trigger history_anchor_no_truncate before truncate on history_anchor
    for each statement execute function history_event_refuse_change();

-- Views, not tables: what people query is read from the text that was hashed, and can say nothing else.

create function history_document(event text) returns jsonb language sql immutable parallel safe as
$$ select replace(event, '\u0000', '\ufffd')::jsonb $$;
comment on function history_document(text) is 'An event as jsonb, which knows no \u0000.';

create view history as
select e.seq, e.at, e.service, e.run, e.drill, e.kind, e.actor,
       history_document(e.event) ->> 'region' as region,
       history_document(e.event) ->> 'message' as message,
       history_document(e.event) -> 'data' as data,
       (history_document(e.event) ->> 'index')::bigint as log_index,
       history_document(e.event) ->> 'fleet' as fleet,
       history_document(e.event) ->> 'hash' as hash
from history_event e;
comment on view history is 'Every event with all its fields.';

create view history_run as
select d.run, d.service, d.drill, d.at as decided_at, o.started_at, o.finished_at,
       x.data ->> 'trigger' as trigger,
       coalesce(x.data #>> '{plan,movement}', 'failover') as movement,
       x.data ->> 'mode' as mode,
       x.data #>> '{plan,from}' as from_region,
       x.data #>> '{plan,to}' as to_region,
       coalesce(o.data ->> 'state', case when o.started_at is null then x.data ->> 'state' else 'running' end) as state,
       (o.data ->> 'rto_ms')::bigint as rto_ms,
       (o.data ->> 'detect_ms')::bigint as detect_ms,
       substr(o.message, strpos(o.message, ': ') + 2) as verdict,
       d.actor, x.data ->> 'plan_hash' as plan_hash, d.seq
from history_event d
cross join lateral (select history_document(d.event) -> 'data' as data offset 0) x
cross join lateral (
    select min(e.at) filter (where e.kind = 'started') as started_at,
           max(e.at) filter (where e.kind = 'finished') as finished_at,
           (array_agg(history_document(e.event) -> 'data' order by e.seq desc) filter (where e.kind = 'finished'))[1] as data,
           (array_agg(history_document(e.event) ->> 'message' order by e.seq desc) filter (where e.kind = 'finished'))[1] as message
    from history_event e
    where e.run = d.run and e.kind in ('started', 'finished')
) o
where d.kind = 'decided' and d.run is not null;
comment on view history_run is 'One row a run.';

create view history_attempt as
select e.run, e.service, e.drill, x.data ->> 'step' as step, (x.data ->> 'attempt')::int as attempt,
       max(x.doc ->> 'region') as region,
       min(e.at) filter (where e.kind = 'step-intent') as intended_at,
       max(e.at) filter (where e.kind = 'step-outcome') as ended_at,
       coalesce(max(x.data ->> 'state') filter (where e.kind = 'step-outcome'), 'acting') as state,
       max(x.doc ->> 'message') filter (where e.kind = 'step-outcome') as message,
       max((x.data -> 'calls')::text) filter (where e.kind = 'step-intent')::jsonb as calls,
       max(x.data ->> 'unfenced') filter (where e.kind = 'step-intent') as unfenced,
       min(e.actor) filter (where e.kind = 'step-intent') as actor
from history_event e
cross join lateral (
    select doc, doc -> 'data' as data from (select history_document(e.event) as doc offset 0) parsed offset 0
) x
where e.kind in ('step-intent', 'step-outcome') and e.run is not null and x.data ->> 'attempt' is not null
group by e.run, e.service, e.drill, x.data ->> 'step', x.data ->> 'attempt';
comment on view history_attempt is 'One row an attempt of a step: the intent that was agreed before it acted, and the outcome.';

create view history_step as
select d.run, d.service, d.drill, s.position, s.step, s.region, s.plane, s.critical,
       coalesce(s.state, 'pending') as state, coalesce(s.attempts, 0) as attempts, s.started_at, s.finished_at, s.message
from history_event d
cross join lateral (
    select planned.position, planned.step ->> 'name' as step, planned.step ->> 'region' as region,
           planned.step ->> 'plane' as plane, (planned.step ->> 'critical')::boolean as critical,
           coalesce(seen.skipped, seen.state, case when seen.attempts > 0 then 'acting' end) as state,
           seen.attempts, seen.started_at, seen.finished_at, seen.message
    from jsonb_array_elements(history_document(d.event) #> '{data,plan,steps}') with ordinality as planned (step, position)
    left join (
        select x.step, count(*) filter (where e.kind = 'step-intent') as attempts,
               min(e.at) filter (where e.kind = 'step-intent') as started_at,
               max(e.at) filter (where e.kind = 'step-outcome') as finished_at,
               (array_agg(x.data ->> 'state' order by e.seq desc) filter (where e.kind = 'step-outcome'))[1] as state,
               max('skipped') filter (where e.kind = 'step-outcome' and x.data ->> 'state' is null) as skipped,
               (array_agg(x.doc ->> 'message' order by e.seq desc) filter (where e.kind = 'step-outcome'))[1] as message
        from history_event e
        cross join lateral (
            select doc, doc -> 'data' as data, coalesce(doc #>> '{data,step}', split_part(doc ->> 'message', ' ', 1)) as step
            from (select history_document(e.event) as doc offset 0) parsed offset 0
        ) x
        where e.run = d.run and e.kind in ('step-intent', 'step-outcome')
        group by x.step
    ) seen on seen.step = planned.step ->> 'name'
) s
where d.kind = 'decided' and d.run is not null;
comment on view history_step is 'One row a step of a run''s plan, begun or not.';

create view history_guard as
select d.run, d.service, d.drill, d.at as decided_at, v.verdict ->> 'guard' as guard, (v.verdict ->> 'ok')::boolean as ok,
       v.verdict ->> 'severity' as severity, v.verdict ->> 'reason' as reason
from history_event d
cross join lateral jsonb_array_elements(history_document(d.event) #> '{data,guards}') as v (verdict)
where d.kind = 'decided' and d.run is not null;
comment on view history_guard is 'What each guard said when a run was decided.';

create view history_observation as
select d.run, d.service, d.drill, d.at as decided_at, f.finding ->> 'diagnosis' as diagnosis, f.finding ->> 'because' as because,
       o.opinion ->> 'observer' as observer, o.opinion ->> 'status' as status, (o.opinion ->> 'counts')::boolean as counts,
       (o.opinion ->> 'held_ms')::bigint as held_ms, o.opinion ->> 'detail' as detail
from history_event d
cross join lateral jsonb_array_elements(history_document(d.event) #> '{data,evidence}') as f (finding)
cross join lateral jsonb_array_elements(f.finding -> 'opinions') as o (opinion)
where d.kind = 'decided' and d.run is not null;
comment on view history_observation is 'What each observer had seen when a run was decided.';

create view history_approval as
select e.at, e.service, e.run, e.drill, e.actor, history_document(e.event) ->> 'message' as message, e.seq
from history_event e
where e.kind = 'approved';
comment on view history_approval is 'Who consented to what, and when.';

create view history_actor as
select e.actor, e.service, min(e.at) as first_at, max(e.at) as last_at, count(*) as events
from history_event e
group by e.actor, e.service;
comment on view history_actor is 'Who did anything, by service.';

-- Drills say their name and kind in every event, where they have one.
create view history_drill as
select e.drill, max(x.data ->> 'drill') as name, e.service, max(x.data ->> 'kind') as kind,
       min(e.at) filter (where e.kind = 'drill-opened') as opened_at,
       max(e.at) filter (where e.kind = 'drill-finished') as finished_at,
       coalesce(
           max('finished') filter (where e.kind = 'drill-finished'),
           (array_agg(x.data ->> 'phase' order by e.seq desc) filter (where x.data ->> 'phase' is not null))[1],
           'opened'
       ) as phase,
       (array_agg(x.data ->> 'verdict' order by e.seq desc) filter (where e.kind = 'drill-finished'))[1] as verdict,
       (array_agg(x.message order by e.seq desc))[1] as message,
       min(e.seq) as seq
from history_event e
cross join lateral (
    select doc -> 'data' as data, doc ->> 'message' as message
    from (select history_document(e.event) as doc offset 0) parsed offset 0
) x
where e.kind in ('drill-opened', 'drill-phase', 'drill-finished') and e.drill is not null
group by e.drill, e.service
union all
select e.drill, x.data ->> 'drill', e.service, x.data ->> 'kind', null, null, 'missed', x.data ->> 'verdict', x.message, e.seq
from history_event e
cross join lateral (
    select doc -> 'data' as data, doc ->> 'message' as message
    from (select history_document(e.event) as doc offset 0) parsed offset 0
) x
where e.kind = 'drill-missed';
comment on view history_drill is 'One row an execution of a drill, and one row a window that was missed.';
