//! CloudWatch: lag figures, alarms, and what the fleet tells of itself.

mod alarms;
mod batch;
mod figures;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_cloudwatch::types as aws;
use failoverd_domain::ids::Region;
use failoverd_domain::service::Store;
use failoverd_domain::traffic::word_weight;

use super::account::{Account, Ask};
use super::budget::Kind;
use super::limits::{FIGURE_AGE, MOST_ALARMS, MOST_DATA};
use super::s3::S3;
use crate::ports::{Call, Figure, Metrics};
pub(super) use alarms::thousandths;
use batch::Batch;
use figures::{Point, Series, instant};

const SERVICE: &str = "cloudwatch";
/// Under which the fleet's own figures stand.
const NAMESPACE: &str = "failoverd";

/// What is asked together in each Region.
type ByRegion<K, V> = Mutex<BTreeMap<Region, Arc<Batch<K, V>>>>;

/// CloudWatch of one account, in every Region.
pub(super) struct Cloudwatch {
    account: Arc<Account>,
    s3: Arc<S3>,
    figures: ByRegion<Series, Point>,
    alarms: ByRegion<String, Option<bool>>,
}

const fn read<'a>(operation: &'static str, region: &'a Region) -> Ask<'a> {
    Ask::read(SERVICE, operation, region)
}

impl Cloudwatch {
    pub(super) fn new(account: Arc<Account>, s3: Arc<S3>) -> Self {
        Self { account, s3, figures: Mutex::default(), alarms: Mutex::default() }
    }

    async fn client(&self, region: &Region, kind: Kind) -> aws_sdk_cloudwatch::Client {
        self.account.cloudwatch(region, kind).await
    }

    fn figures_of(&self, region: &Region) -> Arc<Batch<Series, Point>> {
        let mut all = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(region.clone()).or_insert_with(|| Arc::new(Batch::new(FIGURE_AGE))).clone()
    }

    fn alarms_of(&self, region: &Region) -> Arc<Batch<String, Option<bool>>> {
        let mut all = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        // An alarm is a signal: shared by those who ask together, and asked anew each time.
        all.entry(region.clone()).or_insert_with(|| Arc::new(Batch::new(std::time::Duration::ZERO))).clone()
    }

    async fn fetch_alarms(&self, region: &Region, names: Vec<String>) -> Call<BTreeMap<String, Option<bool>>> {
        let mut found = BTreeMap::new();
        for names in names.chunks(MOST_ALARMS) {
            let client = self.client(region, Kind::Read).await;
            let request = client.describe_alarms().set_alarm_names(Some(names.to_vec()));
            let both = request.alarm_types(aws::AlarmType::MetricAlarm).alarm_types(aws::AlarmType::CompositeAlarm);
            let page = self.account.call(read("DescribeAlarms", region), both.send()).await?;
            let metric = page.metric_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.state_value()));
            let composite = page.composite_alarms().iter().map(|alarm| (alarm.alarm_name(), alarm.state_value()));
            for (name, state) in metric.chain(composite) {
                let state = match state {
                    Some(aws::StateValue::Alarm) => Some(true),
                    Some(aws::StateValue::Ok) => Some(false),
                    _ => None,
                };
                found.insert(name.unwrap_or_default().to_owned(), state);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Metrics for Cloudwatch {
    async fn replication_lag(&self, region: &Region, store: &Store) -> Call<Option<(u64, u64)>> {
        let mut newest: Option<Point> = None;
        let mut failure = None;
        for (emitter, series) in figures::of(store, region, |from, to| self.s3.rule_id(from, to)) {
            let batch = self.figures_of(&emitter);
            let fetched = batch.get(series, |asked| self.fetch_figures(&emitter, asked)).await;
            match fetched {
                Ok(Some(point)) => newest = newest.into_iter().chain([point]).max_by_key(|point| point.at),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
        match (newest, failure) {
            (Some(point), _) => Ok(Some((point.value_ms, self.account.now().since(point.at)))),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }

    async fn alarm(&self, region: &Region, name: &str) -> Call<Option<bool>> {
        let batch = self.alarms_of(region);
        let found = batch.get(name.to_owned(), |names| self.fetch_alarms(region, names)).await?;
        found.ok_or_else(|| {
            let why = format!("there is no alarm {name} in {region}: create it, or correct the signal");
            read("DescribeAlarms", region).refuse("ResourceNotFound", why)
        })
    }

    async fn publish(&self, region: &Region, figures: &[Figure]) -> Call<()> {
        for figures in figures.chunks(MOST_DATA) {
            // One instant for both: the weight is of the minute in which CloudWatch files it.
            let now = self.account.now();
            let data = figures.iter().map(|figure| {
                let dimension =
                    |(name, value): &(&str, String)| aws::Dimension::builder().name(*name).value(value).build();
                let dimensions = figure.dimensions.iter().map(dimension).collect();
                let datum = aws::MetricDatum::builder().metric_name(figure.name).set_dimensions(Some(dimensions));
                if figure.newest_decides {
                    datum.values(figure.value).counts(word_weight(now)).timestamp(instant(now.0)).build()
                } else {
                    datum.value(figure.value).build()
                }
            });
            let client = self.client(region, Kind::Action).await;
            let sending = client.put_metric_data().namespace(NAMESPACE).set_metric_data(Some(data.collect())).send();
            self.account.call(Ask::action(SERVICE, "PutMetricData", region), sending).await?;
        }
        Ok(())
    }
}
