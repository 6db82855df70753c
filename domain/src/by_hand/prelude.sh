# What the steps below are made of. Everything is read before it is written, so that the script can be run again after
# a break at any point: what is done already is seen and left alone.

set -euo pipefail
export AWS_PAGER='' AWS_CLI_AUTO_PROMPT=off
# A call that changes something is made once; what became of it is looked at.
export AWS_MAX_ATTEMPTS=1

say() { printf '%s\n' "$*"; }
stop() {
    printf 'STOPPED: %s\n' "$*" >&2
    exit 1
}
step() {
    printf '\n== %s\n' "$1"
    shift
    printf '   %s\n' "$@"
}
# Asks before what cannot be taken back. YES=1 answers everything.
agree() {
    if [ "${YES:-}" = 1 ]; then
        say "   $1: yes (YES=1)"
        return 0
    fi
    printf '   %s? Type yes: ' "$1"
    local answer=''
    { read -r answer </dev/tty; } 2>/dev/null || stop "there is nobody to ask; YES=1 says yes to everything"
    [ "$answer" = yes ] || stop "not agreed to; nothing was done in this step. Run it again to go on"
}
# aws, in a Region, with limits: a Region that is gone does not answer. LONGEST_S cuts a connection that hangs.
in_region() {
    local region=$1
    shift
    command aws --region "$region" --cli-connect-timeout 5 --cli-read-timeout "${LONGEST_S:-20}" "$@"
}
# until_seen SECONDS WHAT COMMAND ...: looks until the command says 0.
until_seen() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    while true; do
        "$@" && return 0
        if [ "$SECONDS" -ge "$end" ]; then
            say "   gave up waiting: $what"
            return 1
        fi
        sleep "${LOOK_EVERY_S:-3}"
    done
}
one_line() { tr '\t' '\n' | sed '/^None$/d;/^$/d'; }

# -- Route 53 ---------------------------------------------------------------------------------------------------------

route53() { in_region us-east-1 route53 "$@"; }
# The id of a public zone, by name.
find_zone() {
    local found
    found=$(route53 list-hosted-zones --output text --query "$1") ||
        stop "Route 53's API does not answer. It is in us-east-1; nothing but it can move traffic without a daemon. Its name servers go on answering as they do now. Try again, or start daemons in two Regions"
    found=$(printf '%s\n' "$found" | one_line)
    [ -n "$found" ] || stop "there is no such public hosted zone in this account: $1"
    [ "$(printf '%s\n' "$found" | wc -l)" -eq 1 ] || stop "there are several public hosted zones of that name: $found"
    ZONE=${found#/hostedzone/}
}
zone_text() { route53 list-resource-record-sets --hosted-zone-id "$ZONE" --output text --query "$1"; }
zone_json() { route53 list-resource-record-sets --hosted-zone-id "$ZONE" --output json --query "$1"; }
in_sync() { [ "$(route53 get-change --id "$1" --output text --query 'ChangeInfo.Status')" = INSYNC ]; }
# One batch, all or nothing: what was read is deleted as it was read, so anybody else's change makes it fail.
change_zone() {
    local id
    id=$(route53 change-resource-record-sets --hosted-zone-id "$ZONE" --change-batch "$1" --output text --query 'ChangeInfo.Id') ||
        stop "Route 53 took none of it: somebody else may have changed the zone meanwhile. Look, and run this again"
    until_seen 300 "the change is not on every name server yet ($id)" in_sync "$id" ||
        stop "look at 'aws route53 get-change --id $id', and run this again"
}
# read_mark FENCE FLEET: whose the service's records are, into GENERATION, EPOCH, INDEX and the record into MARKED.
read_mark() {
    local value pattern
    value=$(zone_text "ResourceRecordSets[?Name=='$1.' && Type=='TXT'].ResourceRecords[].Value") || stop "the zone cannot be read"
    [ -n "$value" ] || stop "there is no fence $1 in the zone: these records are not failoverd's (yet)"
    pattern='^"fleet=([^ ]+) generation=([0-9]+) epoch=([0-9]+) index=([0-9]+)"$'
    [[ $value =~ $pattern ]] || stop "the fence $1 says $value: somebody else wrote it"
    [ "${BASH_REMATCH[1]}" = "$2" ] || stop "the fence $1 says that the records are of fleet ${BASH_REMATCH[1]}, not of $2"
    GENERATION=${BASH_REMATCH[2]} EPOCH=${BASH_REMATCH[3]} INDEX=${BASH_REMATCH[4]}
    MARKED=$(zone_json "ResourceRecordSets[?Name=='$1.' && Type=='TXT'] | [0]")
    case $MARKED in
    *"fleet=$2 generation=$GENERATION epoch=$EPOCH index=$INDEX"*) ;;
    *) stop "the fence $1 changed while it was read: run this again" ;;
    esac
}
# mark_change FENCE FLEET GENERATION EPOCH INDEX: the two changes that replace the mark that was read.
mark_change() {
    printf '{"Action":"DELETE","ResourceRecordSet":%s},' "$MARKED"
    printf '{"Action":"CREATE","ResourceRecordSet":{"Name":"%s","Type":"TXT","TTL":60,' "$1"
    printf '"ResourceRecords":[{"Value":"\\"fleet=%s generation=%s epoch=%s index=%s\\""}]}}' "$2" "$3" "$4" "$5"
}
# take_zone FENCE FLEET GENERATION: the next generation, which no daemon of this one writes behind. Index 0 says that a
# person with this script did it.
take_zone() {
    read_mark "$1" "$2"
    if [ "$GENERATION" = $(($3 + 1)) ] && [ "$INDEX" = 0 ]; then
        say "   $1 is taken already: generation $GENERATION, epoch $EPOCH"
        return 0
    fi
    [ "$GENERATION" = "$3" ] ||
        stop "the zone was written by generation $GENERATION of the fleet, and this script is of $3: print a new one"
    change_zone "{\"Changes\":[$(mark_change "$1" "$2" "$((GENERATION + 1))" "$((EPOCH + 1))" 0)]}"
    say "   $1 taken: generation $((GENERATION + 1)), epoch $((EPOCH + 1))"
}
# hand_back FENCE FLEET GENERATION: from now on the fleet may write again.
hand_back() {
    read_mark "$1" "$2"
    if [ "$GENERATION" = "$3" ]; then
        say "   $1 is the fleet's already"
        return 0
    fi
    if [ "$GENERATION" != $(($3 + 1)) ] || [ "$INDEX" != 0 ]; then
        stop "the zone was written by generation $GENERATION of the fleet: there is nothing to hand back"
    fi
    change_zone "{\"Changes\":[$(mark_change "$1" "$2" "$3" "$EPOCH" 0)]}"
    say "   $1 handed back to generation $3"
}
# hold_check QUERY healthy|unhealthy: the check that gates a Region's internal record says so from now on, whatever
# daemons answer. A disabled check counts as healthy; inverted, as unhealthy.
hold_check() {
    local id seen version inverted wanted=False flag=--no-inverted
    id=$(zone_text "$1" | one_line | sort -u)
    [ -n "$id" ] || stop "no health check gates that Region's record: $1"
    [ "$(printf '%s\n' "$id" | wc -l)" -eq 1 ] || stop "several health checks gate that Region's records: $id"
    if [ "$2" = unhealthy ]; then
        wanted=True flag=--inverted
    fi
    seen=$(route53 get-health-check --health-check-id "$id" --output text \
        --query 'HealthCheck.[HealthCheckVersion,HealthCheckConfig.Inverted,HealthCheckConfig.Disabled]')
    read -r version inverted seen <<<"$seen"
    if [ "$seen" = True ] && [ "$inverted" = "$wanted" ]; then
        say "   health check $id is held $2 already"
        return 0
    fi
    route53 update-health-check --health-check-id "$id" --health-check-version "$version" --disabled "$flag" \
        --output text --query 'HealthCheck.HealthCheckVersion' >/dev/null
    say "   health check $id is held $2"
}
# answer_of NAME TYPE: what the zone's servers say, one value a line.
answer_of() {
    route53 test-dns-answer --hosted-zone-id "$ZONE" --record-name "$1" --record-type "$2" \
        --output text --query 'RecordData[]' | one_line | sort -u
}
# answers_as PUBLIC TYPE INTERNAL: the public name's answer is the Region's.
answers_as() {
    local said wanted
    said=$(answer_of "$1" "$2") && wanted=$(answer_of "$3" "$2") || return 1
    [ -n "$said" ] && [ -n "$wanted" ] || return 1
    [ -z "$(comm -23 <(printf '%s\n' "$said") <(printf '%s\n' "$wanted"))" ] || return 1
    say "   $1 $2: $(printf '%s' "$said" | tr '\n' ' ')"
}
# answers_without PUBLIC TYPE INTERNAL: nobody is answered what the Region would.
answers_without() {
    local said unwanted
    said=$(answer_of "$1" "$2") && unwanted=$(answer_of "$3" "$2") || return 1
    [ -n "$said" ] || return 1
    [ -z "$(comm -12 <(printf '%s\n' "$said") <(printf '%s\n' "$unwanted"))" ] || return 1
    say "   $1 $2: $(printf '%s' "$said" | tr '\n' ' ')"
}

# -- databases --------------------------------------------------------------------------------------------------------

TAG=failoverd.dev/security-groups
# see_groups REGION cluster|instance ID: its security groups into GROUPS_NOW, its ARN into ARN.
see_groups() {
    local what=DBClusters call=describe-db-clusters key=--db-cluster-identifier arn=DBClusterArn
    if [ "$2" = instance ]; then
        what=DBInstances call=describe-db-instances key=--db-instance-identifier arn=DBInstanceArn
    fi
    ARN=$(in_region "$1" rds "$call" "$key" "$3" --output text --query "${what}[0].$arn") || return 1
    GROUPS_NOW=$(in_region "$1" rds "$call" "$key" "$3" --output text \
        --query "${what}[0].VpcSecurityGroups[].VpcSecurityGroupId") || return 1
    GROUPS_NOW=$(printf '%s\n' "$GROUPS_NOW" | one_line | sort -u | tr '\n' ' ')
    GROUPS_NOW=${GROUPS_NOW% }
}
set_groups() {
    local call=modify-db-cluster key=--db-cluster-identifier region=$1 id=$3
    [ "$2" = instance ] && call=modify-db-instance key=--db-instance-identifier
    shift 3
    in_region "$region" rds "$call" "$key" "$id" --apply-immediately --vpc-security-group-ids "$@" --output text --query 'ResponseMetadata' >/dev/null
}
is_fenced() { see_groups "$1" "$2" "$3" && [ "$GROUPS_NOW" = "$4" ]; }
# fence REGION cluster|instance ID GROUP SECONDS: nobody reaches it any more; what it had is remembered as a tag.
fence() {
    see_groups "$1" "$2" "$3" || return 1
    if [ "$GROUPS_NOW" = "$4" ]; then
        say "   $3 is fenced already"
        return 0
    fi
    in_region "$1" rds add-tags-to-resource --resource-name "$ARN" --tags "Key=$TAG,Value=$GROUPS_NOW" || return 1
    set_groups "$1" "$2" "$3" "$4" || return 1
    until_seen "$5" "$3 is not fenced" is_fenced "$1" "$2" "$3" "$4" || return 1
    say "   $3 takes no connections"
}
# unfence REGION cluster|instance ID GROUP: it is about to write, and may have been fenced when it last did.
unfence() {
    see_groups "$1" "$2" "$3" || stop "$3 in $1 cannot be looked at"
    [ "$GROUPS_NOW" = "$4" ] || return 0
    local held
    held=$(in_region "$1" rds list-tags-for-resource --resource-name "$ARN" --output text --query "TagList[?Key=='$TAG'].Value")
    [ -n "$held" ] || stop "$3 has only the group $4 and no tag $TAG says which it had: set its security groups by hand, and run this again"
    local groups
    read -r -a groups <<<"$held"
    set_groups "$1" "$2" "$3" "${groups[@]}"
    in_region "$1" rds remove-tags-from-resource --resource-name "$ARN" --tag-keys "$TAG"
    say "   $3 may be reached again: $held"
}
# global_writes REGION GLOBAL ARN: 0 when that cluster writes and nothing is under way, 1 when another does, 3 while
# something is under way, 4 when nobody can tell.
global_writes() {
    local seen status writer
    seen=$(in_region "$1" rds describe-global-clusters --global-cluster-identifier "$2" --output text \
        --query 'GlobalClusters[0].[FailoverState.Status, GlobalClusterMembers[?IsWriter] | [0].DBClusterArn]') || return 4
    read -r status writer <<<"$(printf '%s' "$seen" | tr '\n' '\t')"
    [ "$status" = None ] || return 3
    [ "$writer" = "$3" ]
}
# promote_global REGION GLOBAL CLUSTER graceful|forced SECONDS
promote_global() {
    local arn code=0
    arn=$(in_region "$1" rds describe-db-clusters --db-cluster-identifier "$3" --output text --query 'DBClusters[0].DBClusterArn')
    global_writes "$1" "$2" "$arn" || code=$?
    if [ "$code" = 0 ]; then
        say "   $3 writes already"
        return 0
    fi
    if [ "$code" = 3 ]; then
        say "   $2 is on the move already"
    elif [ "$code" = 1 ]; then
        agree "promote $3 in $1"
        if [ "$4" = graceful ]; then
            in_region "$1" rds switchover-global-cluster --global-cluster-identifier "$2" \
                --target-db-cluster-identifier "$arn" --output text --query 'GlobalCluster.Status' >/dev/null ||
                say "   the answer was no, or none came: what became of it is looked at"
        else
            in_region "$1" rds failover-global-cluster --global-cluster-identifier "$2" \
                --target-db-cluster-identifier "$arn" --allow-data-loss --output text --query 'GlobalCluster.Status' >/dev/null ||
                say "   the answer was no, or none came: what became of it is looked at"
        fi
    fi
    until_seen "$5" "$3 does not write yet" global_writes "$1" "$2" "$arn" ||
        stop "$2 has not moved to $1: look at 'aws --region $1 rds describe-global-clusters', and run this again"
    say "   $3 writes in $1"
}
instance_writes() {
    local seen status source
    seen=$(in_region "$1" rds describe-db-instances --db-instance-identifier "$2" --output text \
        --query 'DBInstances[0].[DBInstanceStatus, ReadReplicaSourceDBInstanceIdentifier]') || return 4
    read -r status source <<<"$seen"
    [ "$status" = available ] || return 3
    [ -z "$source" ] || [ "$source" = None ]
}
# promote_instance REGION INSTANCE SECONDS
promote_instance() {
    local code=0
    instance_writes "$1" "$2" || code=$?
    if [ "$code" = 0 ]; then
        say "   $2 writes already"
        return 0
    fi
    if [ "$code" = 1 ]; then
        agree "promote $2 in $1"
        in_region "$1" rds promote-read-replica --db-instance-identifier "$2" --output text \
            --query 'DBInstance.DBInstanceStatus' >/dev/null || say "   the answer was no, or none came: what became of it is looked at"
    fi
    until_seen "$3" "$2 does not write yet" instance_writes "$1" "$2" ||
        stop "$2 is no writer yet: look at 'aws --region $1 rds describe-db-instances', and run this again"
    say "   $2 writes in $1"
}

# -- replication ------------------------------------------------------------------------------------------------------

# figure REGION NAMESPACE METRIC DIMENSIONS ...: the newest of the last ten minutes; nothing when there is none.
figure() {
    local region=$1 namespace=$2 metric=$3 now
    shift 3
    now=$(date -u +%s)
    in_region "$region" cloudwatch get-metric-statistics --namespace "$namespace" --metric-name "$metric" --dimensions "$@" \
        --start-time "$((now - 600))" --end-time "$now" --period 60 --statistics Maximum --output text \
        --query 'sort_by(Datapoints,&Timestamp)[-1].Maximum' | one_line
}
# below LIMIT COMMAND ...: the figure is there, and no more.
below() {
    local limit=$1 seen
    shift
    seen=$("$@") || return 1
    [ -n "$seen" ] || return 1
    awk -v seen="$seen" -v limit="$limit" 'BEGIN { exit !(seen <= limit) }' || return 1
    say "   behind by $seen, $limit are allowed"
}
# A marker of our own, written where the service writes now and awaited where it will.
item_arrived() {
    [ "$(in_region "$1" dynamodb get-item --table-name "$2" --key "$3" --consistent-read --output text --query 'Item.by_hand.S')" = "$4" ]
}
# drain_table FROM TO TABLE KEY SECONDS
drain_table() {
    local key name marker
    name=$(in_region "$1" dynamodb describe-table --table-name "$3" --output text --query "Table.KeySchema[?KeyType=='HASH'].AttributeName")
    key="{\"$name\":{\"S\":\"$4\"}}"
    marker="$(date -u +%s).$$"
    in_region "$1" dynamodb put-item --table-name "$3" --item "{\"$name\":{\"S\":\"$4\"},\"by_hand\":{\"S\":\"$marker\"}}" ||
        return 1
    until_seen "$5" "what was written in $1 has not arrived in $2" item_arrived "$2" "$3" "$key" "$marker" || return 1
    say "   what was written in $1 just now is readable in $2"
}
object_arrived() {
    [ "$(in_region "$1" s3api head-object --bucket "$2" --key "$3" --output text --query 'Metadata.by_hand')" = "$4" ] 2>/dev/null
}
# drain_bucket FROM BUCKET TO BUCKET KEY SECONDS
drain_bucket() {
    local marker
    marker="$(date -u +%s).$$"
    in_region "$1" s3api put-object --bucket "$2" --key "$5" --metadata "by_hand=$marker" --output text --query ETag >/dev/null ||
        return 1
    until_seen "$6" "what was put in $1 has not arrived in $3" object_arrived "$3" "$4" "$5" "$marker" || return 1
    say "   what was put in $1 just now is readable in $3"
}
table_is_active() {
    [ "$(in_region "$1" dynamodb describe-table --table-name "$2" --output text --query 'Table.TableStatus')" = ACTIVE ]
}
bucket_takes() {
    [ "$(in_region "$1" s3api get-bucket-versioning --bucket "$2" --output text --query 'Status')" = Enabled ]
}
# replicates_back REGION BUCKET OTHER: what is written from now on goes to the old Region once it is back.
replicates_back() {
    local found
    found=$(in_region "$1" s3api get-bucket-replication --bucket "$2" --output text \
        --query "ReplicationConfiguration.Rules[?Status=='Enabled' && Destination.Bucket=='arn:aws:s3:::$3'].Status" 2>/dev/null) || found=''
    [ -n "$found" ] || say "   WARNING: no rule replicates $2 to $3. What is written from now on stays in $1 until there is one"
}
