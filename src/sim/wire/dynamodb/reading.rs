//! `Scan` and `Query`: many items, page by page.

use std::cmp::Ordering;

use failoverd_domain::ids::Region;
use failoverd_domain::service::KeyAttribute;
use serde_json::{Map, Value, json};

use super::expression::{Names, holds, order, project, unreadable};
use super::items::item_of;
use super::{invalid, need, table_name};
use crate::sim::world::{Refusal, World};

/// Bytes of a page.
const MOST_BYTES: usize = 1024 * 1024;

/// One page in the making.
struct Page<'a> {
    asked: &'a Value,
    names: Names<'a>,
    keys: Vec<KeyAttribute>,
}

impl<'a> Page<'a> {
    fn new(world: &World, region: &Region, asked: &'a Value) -> Result<Self, Refusal> {
        for field in ["IndexName", "ScanFilter", "QueryFilter", "KeyConditions", "AttributesToGet"] {
            if asked.get(field).is_some() {
                return Err(invalid(format!("{field} is not simulated")));
            }
        }
        let table = table_name(asked)?;
        world.may_read(region, table, asked["ConsistentRead"] == true)?;
        Ok(Self { asked, names: Names::of(asked), keys: world.table_keys(region, table)? })
    }

    fn all(&self, world: &World, region: &Region) -> Result<Vec<Value>, Refusal> {
        let items = world.items(region, table_name(self.asked)?)?;
        Ok(items.into_iter().map(|(key, written)| item_of(&self.keys, key, written)).collect())
    }

    /// The key attributes of an item.
    fn key(&self, item: &Value) -> Value {
        let parts = self.keys.iter().map(|key| (key.name.clone(), item[&key.name].clone()));
        Value::Object(parts.collect::<Map<_, _>>())
    }

    /// By partition key and then by sort key, as far as there is one.
    fn order(&self, a: &Value, b: &Value) -> Ordering {
        let by = |key: &KeyAttribute| order(&a[&key.name], &b[&key.name]).unwrap_or(Ordering::Equal);
        self.keys.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// Items in order, cut to a page behind the key that the last one ended with; filtered and projected.
    fn answer(&self, mut items: Vec<Value>, is_forward: bool) -> Result<Value, Refusal> {
        items.sort_by(|a, b| if is_forward { self.order(a, b) } else { self.order(b, a) });
        if let Some(start) = self.asked.get("ExclusiveStartKey").filter(|start| !start.is_null()) {
            let is_behind = |item: &Value| match self.order(item, start) {
                Ordering::Greater => is_forward,
                Ordering::Less => !is_forward,
                Ordering::Equal => false,
            };
            items.retain(is_behind);
        }
        let most = self.asked["Limit"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        if most == 0 {
            return Err(invalid("Limit must be greater than or equal to 1"));
        }
        let mut bytes = 0;
        let fits = |item: &&Value| {
            let had = bytes;
            bytes += item.to_string().len();
            had < MOST_BYTES
        };
        let seen: Vec<&Value> = items.iter().take(most).take_while(fits).collect();
        let mut shown = Vec::new();
        for item in &seen {
            shown.extend(self.shown(item)?);
        }
        if seen.is_empty() {
            // Its expressions are read all the same.
            self.shown(&json!({}))?;
        }
        self.names.all_used()?;
        let mut answer = json!({ "Count": shown.len(), "ScannedCount": seen.len() });
        if self.asked["Select"] != "COUNT" {
            answer["Items"] = Value::Array(shown);
        }
        if let Some(last) = seen.last().filter(|_| seen.len() < items.len() || seen.len() == most) {
            answer["LastEvaluatedKey"] = self.key(last);
        }
        Ok(answer)
    }

    fn shown(&self, item: &Value) -> Result<Option<Value>, Refusal> {
        let filter = self.asked["FilterExpression"].as_str();
        let passes = filter.map(|filter| holds(filter, &self.names, Some(item)));
        let passes = passes.transpose().map_err(unreadable("FilterExpression"))?.unwrap_or(true);
        let projected = match self.asked["ProjectionExpression"].as_str() {
            Some(paths) => project(paths, &self.names, item).map_err(unreadable("ProjectionExpression"))?,
            None => item.clone(),
        };
        Ok(passes.then_some(projected))
    }
}

pub(super) fn scan(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let page = Page::new(world, region, asked)?;
    if asked["TotalSegments"].as_u64().is_some_and(|segments| segments > 1) {
        return Err(invalid("Parallel scans are not simulated"));
    }
    page.answer(page.all(world, region)?, true)
}

/// Items whose key fits. The condition is one on any attribute here; DynamoDB takes conditions on keys alone, of which
/// the partition key must equal something.
pub(super) fn query(world: &World, region: &Region, asked: &Value) -> Result<Value, Refusal> {
    let page = Page::new(world, region, asked)?;
    let condition = need(asked, "KeyConditionExpression")?;
    let fits = |item: &Value| holds(condition, &page.names, Some(item)).map_err(unreadable("KeyConditionExpression"));
    let only_keys = |item: &Value| page.key(item);
    fits(&json!({}))?;
    let mut items = Vec::new();
    for item in page.all(world, region)? {
        if fits(&only_keys(&item))? {
            items.push(item);
        }
    }
    let partition = &page.keys[0].name;
    let is_one = |pair: &[Value]| order(&pair[0][partition], &pair[1][partition]) == Some(Ordering::Equal);
    let names_partition = condition.contains(partition.as_str())
        || asked["ExpressionAttributeNames"]
            .as_object()
            .is_some_and(|names| names.values().any(|name| name == partition));
    if !names_partition || !items.windows(2).all(is_one) {
        return Err(invalid(format!("Query condition missed key schema element: {partition}")));
    }
    page.answer(items, asked["ScanIndexForward"] != false)
}
