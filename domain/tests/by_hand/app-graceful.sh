#!/usr/bin/env bash
# This script 'moves app from us-east-1 to eu-west-1, graceful', with nothing but `aws` (plan 2be1468d1b6c).
# It is for the day on which no daemon of failoverd lives. While two of three do, they do it better: use
# `failoverctl failover`.
#
#   bash SCRIPT              does it; says before each step what it does, and asks before what cannot be taken back
#   YES=1 bash SCRIPT        the same, and does not ask
#   bash SCRIPT hand-back    afterwards, once the fleet lives again and knows: see the end
#
# It stops at the first error and can be run again after any break: what is done is seen and left alone.
# It needs bash, the AWS CLI (1 or 2), and credentials that may do what it does.

# (prelude.sh)

# -- the move ---------------------------------------------------------------------------------------------------------

case ${1:-move} in
move | hand-back) ;;
*) stop "usage: $0 [hand-back]" ;;
esac
command -v aws >/dev/null || stop "aws is missing: install the AWS CLI"
caller=$(in_region 'eu-west-1' sts get-caller-identity --output text --query Arn) ||
    stop "AWS does not know who you are: sign in, or set AWS_PROFILE"
say "You are $caller, with $(command aws --version 2>&1)."
if [ "${1:-move}" = hand-back ]; then
    find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
    hand_back '_failoverd.app.example.com' 'prod' 3
    say "From now on failoverd writes these records again."
    exit 0
fi

step 'take the zone' \
    'route53:ChangeResourceRecordSets: the fence of each service becomes that of the next generation' \
    'how long: up to a minute' \
    'risk: until it is handed back no daemon of the fleet changes these records; can be put back by hand-back'
agree 'no daemon will move this service meanwhile (all are dead, or automatic moves are paused): take its records from the fleet'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
take_zone '_failoverd.app.example.com' 'prod' 3

step 'drain/sessions' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_table 'us-east-1' 'eu-west-1' 'failoverd-canary' 'app/sessions.by-hand' 300 ||
    agree "nobody can say that "'sessions'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'drain/uploads' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_bucket 'us-east-1' 'uploads-use1' 'eu-west-1' 'uploads-euw1' '.failoverd/app/uploads.by-hand' 300 ||
    agree "nobody can say that "'uploads'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'fence/legacy-db' \
    'rds:ModifyDBInstance in us-east-1: legacy-db, security group sg-0a1b2c3d4e5f60011 only' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 120s' \
    'risk: can be put back'
fence 'us-east-1' instance 'legacy-db' 'sg-0a1b2c3d4e5f60011' 120 ||
    stop "the old writer of "'legacy-db'" is not fenced; nothing is promoted"

step 'drain/legacy-db' \
    'wait in eu-west-1 until the newest canary has arrived' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
until_seen 300 'CloudWatch does not say that it is close enough' below 0 figure 'eu-west-1' AWS/RDS ReplicaLag 'Name=DBInstanceIdentifier,Value=legacy-db-replica' ||
    agree "nobody can say that "'legacy-db'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'promote/legacy-db' \
    'rds:PromoteReadReplica in eu-west-1: legacy-db-replica' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 900s' \
    'risk: cannot be taken back'
unfence 'eu-west-1' instance 'legacy-db-replica' 'sg-0a1b2c3d4e5f60012'
promote_instance 'eu-west-1' 'legacy-db-replica' 900

step 'check-data/legacy-db' \
    'rds:DescribeDBInstances in eu-west-1: legacy-db-replica writes there' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'legacy-db-replica'' does not write' instance_writes 'eu-west-1' 'legacy-db-replica' ||
    stop 'legacy-db'" is not ready in "'eu-west-1'
say '   ''legacy-db'' is ready in ''eu-west-1'

step 'check-data/sessions' \
    'dynamodb:DescribeTable in eu-west-1: the replica of Sessions is ACTIVE' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'Sessions'' is not ACTIVE' table_is_active 'eu-west-1' 'Sessions' ||
    stop 'sessions'" is not ready in "'eu-west-1'
say '   ''sessions'' is ready in ''eu-west-1'

step 'check-data/uploads' \
    's3:GetBucketVersioning in eu-west-1: uploads-euw1 takes objects' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'uploads-euw1'' keeps no versions' bucket_takes 'eu-west-1' 'uploads-euw1' ||
    stop 'uploads'" is not ready in "'eu-west-1'
replicates_back 'eu-west-1' 'uploads-euw1' 'uploads-use1'
say '   ''uploads'' is ready in ''eu-west-1'

step 'flip-switch/app' \
    'commit switch app: eu-west-1 serves, us-east-1 does not' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 30s' \
    'risk: can be put back'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
hold_check "ResourceRecordSets[?SetIdentifier=='eu-west-1' && ((Name=='fo-eu-west-1.app.example.com.' && Type=='A'))].[HealthCheckId]" healthy
hold_check "ResourceRecordSets[?SetIdentifier=='us-east-1' && ((Name=='fo-us-east-1.app.example.com.' && Type=='A'))].[HealthCheckId]" unhealthy
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
changes=$(zone_json "[ResourceRecordSets[?Name=='app.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='app.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='app.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'PRIMARY'})}, ResourceRecordSets[?Name=='app.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'SECONDARY'})}][]")
if [ "$(printf '%s' "$changes" | tr -d ' \n')" = '[]' ]; then
    say '   the records have their roles already'
else
    read_mark '_failoverd.app.example.com' 'prod'
    [ "$GENERATION $INDEX" = '4 0' ] || stop "somebody else took the zone meanwhile (generation $GENERATION, index $INDEX)"
    changes=${changes#?} changes=${changes%?}
    change_zone "{\"Changes\":[$(mark_change '_failoverd.app.example.com' 'prod' 4 "$EPOCH" 0),$changes]}"
    say '   the records have their new roles'
fi

step 'verify-answer/app' \
    'dns app.example.com A at the zone'\''s servers: the answer of eu-west-1' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
until_seen 300 'app.example.com'' is not answered so' answers_as 'app.example.com' A 'fo-eu-west-1.app.example.com' ||
    stop 'the answer has not moved: look at the health checks and records, and run this again'

say ''
say 'Done: this script moves app from us-east-1 to eu-west-1, graceful.'
for line in 'failoverd does not know of this yet. Its records are locked against it, and the health checks are held: daemons that come back change nothing there, whatever they believe.' \
    '1. Before they start, or right after: failoverctl pause app' \
    '2. Tell the fleet; it finds everything done and turns its switch: failoverctl failover app --to eu-west-1 --mode forced --reason "moved by hand" --wait' \
    '3. Give it the records back: bash THIS-SCRIPT hand-back. Settlement then frees the health checks.' \
    '4. When failoverctl status shows app steady: failoverctl resume app' \
    'If the fleet is lost for good, make a new one of the next generation (runbook, "All daemons are dead"): it may write at once.'; do
    say "$line"
done
