#!/usr/bin/env bash
# This script 'moves checkout from us-east-1 to eu-west-1, forced', with nothing but `aws` (plan d0e7d23e545a).
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
    hand_back '_failoverd.checkout.example.com' 'prod' 3
    find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
    hand_back '_failoverd.storefront.example.com' 'prod' 3
    say "From now on failoverd writes these records again."
    exit 0
fi

step 'take the zone' \
    'route53:ChangeResourceRecordSets: the fence of each service becomes that of the next generation' \
    'how long: up to a minute' \
    'risk: until it is handed back no daemon of the fleet changes these records; can be put back by hand-back'
agree 'no daemon will move this service meanwhile (all are dead, or automatic moves are paused): take its records from the fleet'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
take_zone '_failoverd.checkout.example.com' 'prod' 3
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
take_zone '_failoverd.storefront.example.com' 'prod' 3

step 'fence/orders-db' \
    'rds:ModifyDBCluster in us-east-1: security group sg-0a1b2c3d4e5f60001 only' \
    'how long: not measured before; given up after 5s' \
    'risk: can be put back; what it cannot do does not hold the move up'
LONGEST_S=5 fence 'us-east-1' cluster 'checkout-use1' 'sg-0a1b2c3d4e5f60001' 30 ||
    agree "the old writer of "'orders-db'" in "'us-east-1'" is NOT fenced: go on, although it may still take writes that will be lost"

step 'promote/orders-db' \
    'rds:FailoverGlobalCluster with data loss allowed in eu-west-1: checkout-global to checkout-euw1' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 900s' \
    'risk: cannot be taken back, and loses what the old Region took and had not sent yet'
unfence 'eu-west-1' cluster 'checkout-euw1' 'sg-0a1b2c3d4e5f60002'
promote_global 'eu-west-1' 'checkout-global' 'checkout-euw1' forced 900

step 'check-data/orders-db' \
    'rds:DescribeGlobalClusters in eu-west-1: checkout-global writes there' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
arn=$(in_region 'eu-west-1' rds describe-db-clusters --db-cluster-identifier 'checkout-euw1' --output text --query 'DBClusters[0].DBClusterArn')
until_seen 60 'checkout-euw1'' does not write' global_writes 'eu-west-1' 'checkout-global' "$arn" ||
    stop 'orders-db'" is not ready in "'eu-west-1'
say '   ''orders-db'' is ready in ''eu-west-1'

step 'check-data/orders' \
    'dynamodb:DescribeTable in eu-west-1: the replica of Orders is ACTIVE' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'Orders'' is not ACTIVE' table_is_active 'eu-west-1' 'Orders' ||
    stop 'orders'" is not ready in "'eu-west-1'
say '   ''orders'' is ready in ''eu-west-1'

step 'check-data/media' \
    's3:GetBucketVersioning in eu-west-1: media-euw1 takes objects' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'media-euw1'' keeps no versions' bucket_takes 'eu-west-1' 'media-euw1' ||
    stop 'media'" is not ready in "'eu-west-1'
replicates_back 'eu-west-1' 'media-euw1' 'media-use1'
say '   ''media'' is ready in ''eu-west-1'

step 'flip-switch/checkout' \
    'commit switch checkout: eu-west-1 serves, us-east-1 does not' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 30s' \
    'risk: can be put back'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
hold_check "ResourceRecordSets[?SetIdentifier=='eu-west-1' && ((Name=='fo-eu-west-1.api.example.com.' && Type=='A'))].[HealthCheckId]" healthy
hold_check "ResourceRecordSets[?SetIdentifier=='us-east-1' && ((Name=='fo-us-east-1.api.example.com.' && Type=='A'))].[HealthCheckId]" unhealthy
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
changes=$(zone_json "[ResourceRecordSets[?Name=='api.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='api.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='api.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'PRIMARY'})}, ResourceRecordSets[?Name=='api.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'SECONDARY'})}][]")
if [ "$(printf '%s' "$changes" | tr -d ' \n')" = '[]' ]; then
    say '   the records have their roles already'
else
    read_mark '_failoverd.checkout.example.com' 'prod'
    [ "$GENERATION $INDEX" = '4 0' ] || stop "somebody else took the zone meanwhile (generation $GENERATION, index $INDEX)"
    changes=${changes#?} changes=${changes%?}
    change_zone "{\"Changes\":[$(mark_change '_failoverd.checkout.example.com' 'prod' 4 "$EPOCH" 0),$changes]}"
    say '   the records have their new roles'
fi
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
changes=$(zone_json "[ResourceRecordSets[?Name=='shop.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='shop.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'DELETE',ResourceRecordSet:@}, ResourceRecordSets[?Name=='shop.example.com.' && Type=='A' && SetIdentifier=='eu-west-1' && Failover!='PRIMARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'PRIMARY'})}, ResourceRecordSets[?Name=='shop.example.com.' && Type=='A' && SetIdentifier!='eu-west-1' && Failover!='SECONDARY'].{Action:'CREATE',ResourceRecordSet:merge(@,{Failover:'SECONDARY'})}][]")
if [ "$(printf '%s' "$changes" | tr -d ' \n')" = '[]' ]; then
    say '   the records have their roles already'
else
    read_mark '_failoverd.storefront.example.com' 'prod'
    [ "$GENERATION $INDEX" = '4 0' ] || stop "somebody else took the zone meanwhile (generation $GENERATION, index $INDEX)"
    changes=${changes#?} changes=${changes%?}
    change_zone "{\"Changes\":[$(mark_change '_failoverd.storefront.example.com' 'prod' 4 "$EPOCH" 0),$changes]}"
    say '   the records have their new roles'
fi

step 'verify-answer/checkout' \
    'dns api.example.com A at the zone'\''s servers: the answer of eu-west-1' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
until_seen 300 'api.example.com'' is not answered so' answers_as 'api.example.com' A 'fo-eu-west-1.api.example.com' ||
    stop 'the answer has not moved: look at the health checks and records, and run this again'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
until_seen 300 'shop.example.com'' is not answered so' answers_as 'shop.example.com' A 'fo-eu-west-1.shop.example.com' ||
    stop 'the answer has not moved: look at the health checks and records, and run this again'

say ''
say 'Done: this script moves checkout from us-east-1 to eu-west-1, forced.'
for line in 'failoverd does not know of this yet. Its records are locked against it, and the health checks are held: daemons that come back change nothing there, whatever they believe.' \
    '1. Before they start, or right after: failoverctl pause checkout' \
    '2. Tell the fleet; it finds everything done and turns its switch: failoverctl failover checkout --to eu-west-1 --mode forced --reason "moved by hand" --wait' \
    '3. Give it the records back: bash THIS-SCRIPT hand-back. Settlement then frees the health checks.' \
    '4. When failoverctl status shows checkout steady: failoverctl resume checkout' \
    'If the fleet is lost for good, make a new one of the next generation (runbook, "All daemons are dead"): it may write at once.'; do
    say "$line"
done
