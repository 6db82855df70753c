//! What a Query call brings along: scalars, lists (`Ids.Id.1`) and lists of structures (`Tags.Tag.1.Key`).

use std::collections::BTreeMap;

use failoverd_domain::ids::Region;
use failoverd_domain::time::Timestamp;

use super::super::query::Form;
use super::super::xml::Xml;
use crate::sim::world::{Refusal, parse_arn};

/// The parameters of one call.
pub(super) struct Params(Form);

impl Params {
    pub(super) const fn new(given: Form) -> Self {
        Self(given)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.0.need(name)
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

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.0.list(name).into_iter().map(str::to_owned).collect()
    }

    pub(super) fn tags(&self) -> BTreeMap<String, String> {
        let tags = self.0.structures("Tags");
        let tag = |tag: &Form| Some((tag.get("Key")?.to_owned(), tag.get("Value").unwrap_or_default().to_owned()));
        tags.iter().filter_map(tag).collect()
    }

    /// Filters by name; one that is not `known` is refused.
    pub(super) fn filters(&self, known: &[&str]) -> Result<Filters, Refusal> {
        let mut filters = Filters::default();
        for filter in self.0.structures("Filters") {
            let name = filter.get("Name").unwrap_or_default();
            if !known.contains(&name) {
                return Err(Refusal::new("InvalidParameterValue", format!("Unrecognized filter name: {name}")));
            }
            let values = filter.list("Values").into_iter().map(str::to_owned);
            filters.0.insert(name.to_owned(), values.collect());
        }
        Ok(filters)
    }
}

/// What a list is to be narrowed to.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    /// Whether a filter, if there is one of that name, has one of an item's names among its values.
    pub(super) fn pass(&self, name: &str, item: &[&str]) -> bool {
        self.0.get(name).is_none_or(|values| values.iter().any(|value| item.contains(&value.as_str())))
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

/// One page: items in the order of their keys, from behind the marker.
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) marker: Option<String>,
}

impl<T> Page<T> {
    /// `MaxRecords` of 20 to 100, as AWS has it.
    pub(super) fn of(params: &Params, mut items: Vec<T>, key: impl Fn(&T) -> String) -> Result<Self, Refusal> {
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

    /// The page as a list of that name.
    pub(super) fn told(self, name: &str, shape: impl Fn(&T) -> Xml) -> Vec<Xml> {
        let marker = self.marker.map(|marker| Xml::new("Marker").body(marker));
        std::iter::once(Xml::new(name).children(self.items.iter().map(shape))).chain(marker).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::request::pairs;
    use super::*;

    fn params(text: &str) -> Params {
        Params::new(Form::given(pairs(text)))
    }

    #[test]
    fn scalars_are_checked() {
        let params = params("On=true&Odd=maybe&Days=7&At=2009-07-08T18:00Z&Empty=");
        assert_eq!((params.flag("On"), params.int("Days"), params.get("Empty")), (Ok(true), Ok(Some(7)), None));
        assert_eq!(params.bool("Odd").unwrap_err().code, "MalformedInput");
        assert_eq!(params.time("At").unwrap().unwrap().rfc3339(), "2009-07-08T18:00:00.000Z");
        assert_eq!(params.required("Empty").unwrap_err().code, "MissingParameter");
    }

    #[test]
    fn filters_narrow_and_unknown_ones_are_refused() {
        let params =
            params("Filters.Filter.1.Name=engine&Filters.Filter.1.Values.Value.1=a&Filters.Filter.1.Values.Value.2=b");
        let filters = params.filters(&["engine"]).unwrap();
        assert!(filters.pass("engine", &["b"]) && !filters.pass("engine", &["c"]) && filters.pass("region", &["x"]));
        assert_eq!(params.filters(&["region"]).unwrap_err().code, "InvalidParameterValue");
    }

    #[test]
    fn a_page_ends_with_a_marker_that_the_next_one_begins_behind() {
        let items: Vec<u32> = (0..45).collect();
        let key = |item: &u32| format!("{item:04}");
        let first = Page::of(&params("MaxRecords=20"), items.clone(), key).unwrap();
        assert_eq!((first.items.len(), first.marker.as_deref()), (20, Some("0019")));
        let last = Page::of(&params("MaxRecords=20&Marker=0039"), items.clone(), key).unwrap();
        assert_eq!((last.items, last.marker), (vec![40, 41, 42, 43, 44], None));
        assert!(Page::of(&params("MaxRecords=5"), items, key).is_err());
    }
}
