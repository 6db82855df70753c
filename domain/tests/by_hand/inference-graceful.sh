#!/usr/bin/env bash
# This script 'moves inference from us-east-1 to eu-west-1, graceful', with nothing but `aws` (plan 44a8c9759ab3).
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
    hand_back '_failoverd.inference.example.com' 'prod' 3
    say "From now on failoverd writes these records again."
    exit 0
fi

step 'take the zone' \
    'route53:ChangeResourceRecordSets: the fence of each service becomes that of the next generation' \
    'how long: up to a minute' \
    'risk: until it is handed back no daemon of the fleet changes these records; can be put back by hand-back'
agree 'no daemon will move this service meanwhile (all are dead, or automatic moves are paused): take its records from the fleet'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
take_zone '_failoverd.inference.example.com' 'prod' 3

step 'drain/uploads' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_bucket 'us-east-1' 'inference-uploads-use1' 'eu-west-1' 'inference-uploads-euw1' '.failoverd/inference/uploads.by-hand' 300 ||
    agree "nobody can say that "'uploads'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'drain/models' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_bucket 'us-east-1' 'inference-models-use1' 'eu-west-1' 'inference-models-euw1' '.failoverd/inference/models.by-hand' 300 ||
    agree "nobody can say that "'models'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'drain/results' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_table 'us-east-1' 'eu-west-1' 'failoverd-canary' 'inference/results.by-hand' 300 ||
    agree "nobody can say that "'results'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'check-data/uploads' \
    's3:GetBucketVersioning in eu-west-1: inference-uploads-euw1 takes objects' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'inference-uploads-euw1'' keeps no versions' bucket_takes 'eu-west-1' 'inference-uploads-euw1' ||
    stop 'uploads'" is not ready in "'eu-west-1'
replicates_back 'eu-west-1' 'inference-uploads-euw1' 'inference-uploads-use1'
say '   ''uploads'' is ready in ''eu-west-1'

step 'check-data/models' \
    's3:GetBucketVersioning in eu-west-1: inference-models-euw1 takes objects' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'inference-models-euw1'' keeps no versions' bucket_takes 'eu-west-1' 'inference-models-euw1' ||
    stop 'models'" is not ready in "'eu-west-1'
replicates_back 'eu-west-1' 'inference-models-euw1' 'inference-models-use1'
say '   ''models'' is ready in ''eu-west-1'

step 'check-data/results' \
    'dynamodb:DescribeTable in eu-west-1: the replica of Results is ACTIVE' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'Results'' is not ACTIVE' table_is_active 'eu-west-1' 'Results' ||
    stop 'results'" is not ready in "'eu-west-1'
say '   ''results'' is ready in ''eu-west-1'

step 'flip-switch/inference' \
    'commit switch inference: eu-west-1 serves, us-east-1 does not' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 30s' \
    'risk: can be put back'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
hold_check "ResourceRecordSets[?SetIdentifier=='eu-west-1' && ((Name=='fo-eu-west-1.inference.example.com.' && Type=='A'))].[HealthCheckId]" healthy
hold_check "ResourceRecordSets[?SetIdentifier=='us-east-1' && ((Name=='fo-us-east-1.inference.example.com.' && Type=='A'))].[HealthCheckId]" unhealthy
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
changes=$(zone_json "[ResourceRecordSets[?Name=='inference.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='inference.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='inference.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'PRIMARY'})}, ResourceRecordSets[?Name=='inference.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'SECONDARY'})}][]")
if [ "$(printf '%s' "$changes" | tr -d ' \n')" = '[]' ]; then
    say '   the records have their roles already'
else
    read_mark '_failoverd.inference.example.com' 'prod'
    [ "$GENERATION $INDEX" = '4 0' ] || stop "somebody else took the zone meanwhile (generation $GENERATION, index $INDEX)"
    changes=${changes#?} changes=${changes%?}
    change_zone "{\"Changes\":[$(mark_change '_failoverd.inference.example.com' 'prod' 4 "$EPOCH" 0),$changes]}"
    say '   the records have their new roles'
fi

step 'verify-answer/inference' \
    'dns inference.example.com A at the zone'\''s servers: the answer of eu-west-1' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
until_seen 300 'inference.example.com'' is not answered so' answers_as 'inference.example.com' A 'fo-eu-west-1.inference.example.com' ||
    stop 'the answer has not moved: look at the health checks and records, and run this again'

say ''
say 'Done: this script moves inference from us-east-1 to eu-west-1, graceful.'
for line in 'failoverd does not know of this yet. Its records are locked against it, and the health checks are held: daemons that come back change nothing there, whatever they believe.' \
    '1. Before they start, or right after: failoverctl pause inference' \
    '2. Tell the fleet; it finds everything done and turns its switch: failoverctl failover inference --to eu-west-1 --mode forced --reason "moved by hand" --wait' \
    '3. Give it the records back: bash THIS-SCRIPT hand-back. Settlement then frees the health checks.' \
    '4. When failoverctl status shows inference steady: failoverctl resume inference' \
    'If the fleet is lost for good, make a new one of the next generation (runbook, "All daemons are dead"): it may write at once.'; do
    say "$line"
done
