-- The fleet's history in one Region: what was agreed, in order, exactly once, chained by hash.
--
-- `event` holds the event as it was written, byte for byte: the hash chain is checked against it (jsonb would
-- reorder keys and rewrite numbers). Every other column is derived from it by the database, so that what people
-- query can never say anything else than what was hashed. jsonb knows no \u0000, hence the replacement.

create table history_fleet (
    only_row   boolean primary key default true check (only_row),
    fleet      text not null,
    created_at timestamptz not null default now()
);
comment on table history_fleet is 'The one fleet whose history this database holds; writers lock this row.';

create table history_event (
    seq       bigint primary key check (seq > 0),
    event     text not null,
    log_index bigint generated always as ((replace(event, '\u0000', '\ufffd')::jsonb ->> 'index')::bigint) stored not null,
    at        timestamptz generated always as (to_timestamp(
                  least((replace(event, '\u0000', '\ufffd')::jsonb ->> 'at')::numeric, 253402300799999)::float8 / 1000)) stored not null,
    fleet     text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'fleet') stored not null,
    service   text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'service') stored,
    run       text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'run') stored,
    kind      text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'kind') stored not null,
    region    text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'region') stored,
    actor     text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'actor') stored not null,
    message   text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'message') stored not null,
    data      jsonb generated always as (replace(event, '\u0000', '\ufffd')::jsonb -> 'data') stored,
    hash      text generated always as (replace(event, '\u0000', '\ufffd')::jsonb ->> 'hash') stored not null,
    check (seq = (replace(event, '\u0000', '\ufffd')::jsonb ->> 'seq')::bigint)
);
comment on table history_event is 'One row an event; nothing may change or remove a row.';
comment on column history_event.event is 'The event as it was hashed; the other columns are derived from it.';

-- Newest first is by seq, the agreed order: the clocks behind `at` are several.
create index history_event_by_service on history_event (service, seq);
create index history_event_by_run on history_event (run, seq);
create index history_event_by_kind on history_event (kind, seq);
create index history_event_by_time on history_event (at);

-- Rows stay as they are. Taking old ones out on purpose: set failoverd.allow_change = 'on' for the session.
create function history_event_refuse_change() returns trigger language plpgsql as $$
begin
    if current_setting('failoverd.allow_change', true) = 'on' then
        if tg_op = 'DELETE' then
            return old;
        end if;
        return new;
    end if;
    raise exception 'the history is append-only: % refused', lower(tg_op)
        using errcode = 'integrity_constraint_violation',
              hint = 'set failoverd.allow_change = ''on'' if you mean it; history verify will name the first row that is gone';
end
$$;

create trigger history_event_append_only before update or delete on history_event
    for each row execute function history_event_refuse_change();
create trigger history_event_no_truncate before truncate on history_event
    for each statement execute function history_event_refuse_change();
