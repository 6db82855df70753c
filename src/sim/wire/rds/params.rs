//! What a Query call brings along: scalars, lists (`Ids.Id.1`) and lists of structures (`Tags.Tag.1.Key`).

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use crate::sim::world::{Refusal, parse_arn};

/// The parameters of one call.
pub(super) struct Params<'a>(&'a [(String, String)]);

impl<'a> Params<'a> {
    pub(super) const fn new(given: &'a [(String, String)]) -> Self {
        Self(given)
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let given = self.0.iter().find(|(key, _)| key == name);
        given.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub(super) fn required(&self, name: &str) -> Result<&'a str, Refusal> {
        let missing = || Refusal::new("MissingParameter", format!("The request must contain the parameter {name}"));
        self.get(name).ok_or_else(missing)
    }

    pub(super) fn bool(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(malformed(name, other)),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self.bool(name)?.unwrap_or(false))
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<u32>, Refusal> {
        self.get(name).map(|value| value.parse().map_err(|_| malformed(name, value))).transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        // "ISO 8601", for example 2009-07-08T18:00Z: seconds may be missing.
        let full = value.strip_suffix('Z').filter(|head| head.len() == 16).map(|head| format!("{head}:00Z"));
        let read = chrono::DateTime::parse_from_rfc3339(full.as_deref().unwrap_or(value));
        read.map(|at| Some(Timestamp::from_utc(at.to_utc()))).map_err(|_| malformed(name, value))
    }

    /// The entries of a list, in order: what follows `name.member.N`, by what follows that.
    fn entries(&self, name: &str) -> Vec<BTreeMap<&'a str, &'a str>> {
        let mut found: BTreeMap<u32, BTreeMap<&str, &str>> = BTreeMap::new();
        for (key, value) in self.0 {
            let Some(rest) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
            // `Ids.1` as well as `Ids.Id.1` and `Ids.member.1`.
            let (first, after) = rest.split_once('.').unwrap_or((rest, ""));
            let (number, field) = match first.parse::<u32>() {
                Ok(number) => (number, after),
                Err(_) => {
                    let (number, field) = after.split_once('.').unwrap_or((after, ""));
                    let Ok(number) = number.parse() else { continue };
                    (number, field)
                }
            };
            found.entry(number).or_default().insert(field, value);
        }
        found.into_values().collect()
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.entries(name).iter().filter_map(|entry| entry.get("").map(|value| (*value).to_owned())).collect()
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let tag = |entry: &BTreeMap<&str, &str>| {
            Some(((*entry.get("Key")?).to_owned(), entry.get("Value").copied().unwrap_or_default().to_owned()))
        };
        self.entries("Tags").iter().filter_map(tag).collect()
    }

    /// Filters by name; one that is not `known` is refused.
    pub(super) fn filters(&self, known: &[&str]) -> Result<BTreeMap<&'a str, Vec<&'a str>>, Refusal> {
        let mut filters = BTreeMap::new();
        for entry in self.entries("Filters") {
            let name = entry.get("Name").copied().unwrap_or_default();
            if !known.contains(&name) {
                return Err(Refusal::new("InvalidParameterValue", format!("Unrecognized filter name: {name}")));
            }
            let values = entry.iter().filter(|(field, _)| field.starts_with("Values")).map(|(_, value)| *value);
            filters.insert(name, values.collect());
        }
        Ok(filters)
    }
}

fn malformed(name: &str, value: &str) -> Refusal {
    Refusal::new("MalformedInput", format!("Unable to parse {value} as the value of {name}"))
}

/// An identifier given as such or as an ARN of that kind in this Region; `None` for an ARN of anything else.
pub(super) fn local_id(given: &str, kind: &str, region: &Region) -> Option<String> {
    if !given.starts_with("arn:") {
        return Some(given.to_ascii_lowercase());
    }
    parse_arn(given).filter(|(at, found, _)| at == region && *found == kind).map(|(_, _, id)| id.to_owned())
}

/// Whether a filter, if there is one, has a value among an item's names.
pub(super) fn passes(filters: &BTreeMap<&str, Vec<&str>>, name: &str, item: &[&str]) -> bool {
    filters.get(name).is_none_or(|values| values.iter().any(|value| item.contains(value)))
}

/// One page: items in the order of their keys, from behind the marker.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) marker: Option<String>,
}

impl<T> Page<T> {
    /// `MaxRecords` of 20 to 100, as AWS has it.
    pub(super) fn of(params: &Params<'_>, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Result<Self, Refusal> {
        let most = params.int("MaxRecords")?.unwrap_or(100);
        if !(20..=100).contains(&most) {
            let message = format!("Invalid value {most} for MaxRecords. Must be between 20 and 100");
            return Err(Refusal::new("InvalidParameterValue", message));
        }
        if let Some(marker) = params.get("Marker") {
            items.retain(|item| key(item).as_str() > marker);
        }
        let most = usize::try_from(most).unwrap_or(100);
        let more = items.len() > most;
        items.truncate(most);
        let marker = items.last().map(&key).filter(|_| more);
        Ok(Self { items, marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lists_are_read_in_their_order_however_their_members_are_called() {
        let form = given(&[
            ("Ids.Id.10", "c"),
            ("Ids.Id.2", "b"),
            ("Ids.Id.1", "a"),
            ("Tags.Tag.1.Key", "team"),
            ("Tags.Tag.1.Value", "db"),
            ("TagKeys.member.1", "x"),
            ("Filters.Filter.1.Name", "db-cluster-id"),
            ("Filters.Filter.1.Values.Value.1", "one"),
            ("Filters.Filter.1.Values.Value.2", "two"),
        ]);
        let params = Params::new(&form);
        assert_eq!(params.list("Ids"), ["a", "b", "c"]);
        assert_eq!(params.list("TagKeys"), ["x"]);
        assert_eq!(params.tags(), BTreeMap::from([("team".to_owned(), "db".to_owned())]));
        assert_eq!(params.filters(&["db-cluster-id"]).unwrap()["db-cluster-id"], ["one", "two"]);
        assert_eq!(params.filters(&["region"]).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn scalars_are_checked() {
        let form =
            given(&[("On", "true"), ("Odd", "maybe"), ("Days", "7"), ("At", "2009-07-08T18:00Z"), ("Empty", "")]);
        let params = Params::new(&form);
        assert_eq!((params.flag("On"), params.int("Days"), params.get("Empty")), (Ok(true), Ok(Some(7)), None));
        assert_eq!(params.bool("Odd").unwrap_err().code, "MalformedInput");
        assert_eq!(params.time("At").unwrap().unwrap().rfc3339(), "2009-07-08T18:00:00.000Z");
        assert_eq!(params.required("Name").unwrap_err().message, "The request must contain the parameter Name");
    }

    #[test]
    fn a_page_ends_with_a_marker_that_the_next_one_begins_behind() {
        let items: Vec<u32> = (0..45).collect();
        let key = |item: &u32| format!("{item:04}");
        let form = given(&[("MaxRecords", "20")]);
        let first = Page::of(&Params::new(&form), items.clone(), key).unwrap();
        assert_eq!((first.items.len(), first.marker.as_deref()), (20, Some("0019")));
        let form = given(&[("MaxRecords", "20"), ("Marker", "0039")]);
        let last = Page::of(&Params::new(&form), items.clone(), key).unwrap();
        assert_eq!((last.items, last.marker), (vec![40, 41, 42, 43, 44], None));
        let form = given(&[("MaxRecords", "5")]);
        assert!(Page::of(&Params::new(&form), items, key).is_err());
    }
}
