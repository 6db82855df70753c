#!/usr/bin/env bash
# This script 'takes orders out of us-east-1, graceful; its writer is, or goes, in eu-west-1', with nothing but `aws` (plan 64094979757d).
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
    hand_back '_failoverd.orders.example.com' 'prod' 3
    say "From now on failoverd writes these records again."
    exit 0
fi

step 'take the zone' \
    'route53:ChangeResourceRecordSets: the fence of each service becomes that of the next generation' \
    'how long: up to a minute' \
    'risk: until it is handed back no daemon of the fleet changes these records; can be put back by hand-back'
agree 'no daemon will move this service meanwhile (all are dead, or automatic moves are paused): take its records from the fleet'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
take_zone '_failoverd.orders.example.com' 'prod' 3

step 'flip-switch/orders' \
    'commit switch orders: us-east-1 serves no more' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 30s' \
    'risk: can be put back'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
hold_check "ResourceRecordSets[?SetIdentifier=='us-east-1' && ((Name=='fo-us-east-1.orders.example.com.' && Type=='A'))].[HealthCheckId]" unhealthy

step 'drain/orders' \
    'wait in eu-west-1 until the canary is within the RPO' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
drain_table 'us-east-1' 'eu-west-1' 'failoverd-canary' 'orders/orders.by-hand' 300 ||
    agree "nobody can say that "'orders'" has everything in "'eu-west-1'": go on, although what is on the way may be lost"

step 'check-data/orders' \
    'dynamodb:DescribeTable in eu-west-1: the replica of Orders is ACTIVE' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 60s' \
    'risk: changes nothing'
until_seen 60 'Orders'' is not ACTIVE' table_is_active 'eu-west-1' 'Orders' ||
    stop 'orders'" is not ready in "'eu-west-1'
say '   ''orders'' is ready in ''eu-west-1'

step 'verify-answer/orders' \
    'dns orders.example.com A at the zone'\''s servers: the answer of a Region that serves, not of us-east-1' \
    'how long: took 1.2s (p50), 61s (p95) before; given up after 300s' \
    'risk: changes nothing'
find_zone "HostedZones[?Name=='example.com.' && Config.PrivateZone!=\`true\`].Id"
until_seen 300 'orders.example.com'' is not answered so' answers_without 'orders.example.com' A 'fo-us-east-1.orders.example.com' ||
    stop 'the answer has not moved: look at the health checks and records, and run this again'

say ''
say 'Done: this script takes orders out of us-east-1, graceful; its writer is, or goes, in eu-west-1.'
for line in 'failoverd does not know of this yet. Its records are locked against it, and the health checks are held: daemons that come back change nothing there, whatever they believe.' \
    '1. Before they start, or right after: failoverctl pause orders' \
    '2. Tell the fleet; it finds everything done and turns its switch: failoverctl evacuate us-east-1 --service orders --mode forced --reason "moved by hand" --wait' \
    '3. Give it the records back: bash THIS-SCRIPT hand-back. Settlement then frees the health checks.' \
    '4. When failoverctl status shows orders steady: failoverctl resume orders' \
    'If the fleet is lost for good, make a new one of the next generation (runbook, "All daemons are dead"): it may write at once.'; do
    say "$line"
done
