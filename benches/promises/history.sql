-- Ten million events that read as ours do: $1 runs from number $2 on, fifty events each, of five hundred services.
-- Hashes are made up (nothing here walks the chain); the newest one is what appended events follow.
with run as (
    select r, 'service-' || r % 500 as service, 'service-' || r % 500 || '-' || r / 500 + 1 as id,
           case when r % 20 = 0 then format('"drill":"service-%s-monthly.%s",', r % 500, r / 500 + 1) else '' end as drill
    from generate_series($2::bigint, $2::bigint + $1::bigint - 1) r
),
planned as (
    select string_agg(format(
               '{"name":"promote/store-%s","kind":{"promote":{"store":"store-%s","fencing":"builtin"}},"region":"eu-west-1","plane":"data","critical":true,"undoable":false,"after":[],"calls":["rds FailoverGlobalCluster store-%s-global"],"timeout_ms":600000}',
               n, n, n), ',') as steps
    from generate_series(0, 7) n
),
judged as (
    select string_agg(format('{"guard":"guard-%s","ok":true,"reason":"three of three daemons are fresh here","severity":"blocks"}', n), ',') as guards
    from generate_series(0, 13) n
),
observed as (
    select string_agg(format('{"observer":"region-%s","status":"bad","counts":true,"detail":"front-door: no answer within 2000 ms, 6 times","held_ms":12000}', n), ',') as opinions
    from generate_series(0, 2) n
),
event as (
    select run.r * 50 + i + 1 as seq, run.*, i,
           case when i = 0 then 'decided' when i = 1 then 'started'
                when i < 34 then case when i % 2 = 0 then 'step-intent' else 'step-outcome' end
                when i < 38 then 'switch' when i = 38 then 'finished' when i = 39 then 'receipt'
                when i < 49 then 'settle-intent' else 'settled' end as kind,
           format('promote/store-%s', (i - 2) / 4) as step, (i - 2) / 2 % 2 + 1 as attempt
    from run cross join generate_series(0, 49) i
)
insert into history_event (seq, event)
select seq, format(
    '{"seq":%s,"index":%s,"at":%s,"fleet":"bench","service":"%s","run":%s,%s"kind":"%s","region":"eu-west-1","actor":"daemon:eu-west-1","message":"%s","data":%s,"hash":"%s"}',
    seq, seq + 100, 1700000000000 + seq * 2000, service,
    case when i < 40 then '"' || id || '"' else 'null' end, case when i < 40 then drill else '' end, kind,
    case kind
        when 'decided' then format('run %s decided: forced failover of %s from us-east-1 to eu-west-1', id, service)
        when 'step-intent' then format('%s, attempt %s: rds FailoverGlobalCluster', step, attempt)
        when 'step-outcome' then format('%s: the global cluster says that its writer is in eu-west-1', step)
        when 'finished' then format('run %s succeeded: traffic is answered from eu-west-1', id)
        else format('%s of %s: records and checks are as they were agreed', kind, service)
    end,
    case kind
        when 'decided' then format(
            '{"trigger":"automatic","mode":"forced","plan_hash":"0123456789ab","plan":{"service":"%s","from":"us-east-1","to":"eu-west-1","mode":"forced","spec_index":7,"steps":[%s]},"guards":[%s],"evidence":[{"diagnosis":"region-down","because":"three of three observers see it","held_ms":12000,"opinions":[%s]}],"loss":[],"state":"announced"}',
            service, steps, guards, opinions)
        when 'step-intent' then format('{"step":"%s","attempt":%s,"epoch":7,"calls":["rds FailoverGlobalCluster"],"unfenced":false,"consent":null}', step, attempt)
        when 'step-outcome' then format('{"step":"%s","attempt":%s,"state":"%s","critical":true}', step, attempt, case when attempt = 1 then 'failed' else 'succeeded' end)
        when 'finished' then '{"state":"succeeded","epoch":7,"rto_ms":48211,"detect_ms":10512}'
        else '{"epoch":7}'
    end,
    md5(seq::text) || md5((-seq)::text))
from event, planned, judged, observed
