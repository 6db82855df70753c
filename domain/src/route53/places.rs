//! Where questions come from: countries, subdivisions, continents and AWS Regions, and which Regions are near to each.
//!
//! Route 53 measures latency and does not publish what it measured. The order of Regions here goes by great-circle
//! distance, which is an estimate. The data files under `domain/data` name their sources.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use super::answer::Place;
use super::record::{Location, Policy, RecordSet, RecordType};
use crate::ids::Region;

const CONTINENTS: &str = include_str!("../../data/continents.csv");
const COUNTRIES: &str = include_str!("../../data/countries.csv");
const SUBDIVISIONS: &str = include_str!("../../data/subdivisions.csv");
const REGIONS: &str = include_str!("../../data/regions.csv");

/// A point on the earth, degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    latitude: f64,
    longitude: f64,
}

impl Point {
    fn read(latitude: &str, longitude: &str) -> Option<Self> {
        Some(Self { latitude: latitude.parse().ok()?, longitude: longitude.parse().ok()? })
    }

    /// The haversine of the angle between two points: rises with their distance, which is all that is asked.
    fn apart(self, other: Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half = |degrees: f64| (degrees.to_radians() / 2.0).sin().powi(2);
        half(other.latitude - self.latitude) + a.cos() * b.cos() * half(other.longitude - self.longitude)
    }
}

/// The lines of a data file that hold data, as fields.
fn rows(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| line.split(',').collect())
}

/// Everything the files say.
struct Atlas {
    continents: BTreeMap<&'static str, Point>,
    /// By code: continent and place.
    countries: BTreeMap<&'static str, (&'static str, Point)>,
    subdivisions: BTreeMap<(&'static str, &'static str), Point>,
    /// By code: country, subdivision (may be empty) and place.
    regions: BTreeMap<&'static str, (&'static str, &'static str, Point)>,
}

static ATLAS: LazyLock<Atlas> = LazyLock::new(|| Atlas {
    continents: rows(CONTINENTS)
        .filter_map(|row| if let [code, at, by, ..] = row[..] { Some((code, Point::read(at, by)?)) } else { None })
        .collect(),
    countries: rows(COUNTRIES)
        .filter_map(|row| match row[..] {
            [code, continent, at, by, ..] => Some((code, (continent, Point::read(at, by)?))),
            _ => None,
        })
        .collect(),
    subdivisions: rows(SUBDIVISIONS)
        .filter_map(|row| match row[..] {
            [country, code, at, by, ..] => Some(((country, code), Point::read(at, by)?)),
            _ => None,
        })
        .collect(),
    regions: rows(REGIONS)
        .filter_map(|row| match row[..] {
            [code, country, subdivision, at, by, ..] => Some((code, (country, subdivision, Point::read(at, by)?))),
            _ => None,
        })
        .collect(),
});

impl Atlas {
    /// All Regions, nearest first; of equally near ones the first by name.
    fn regions_near(&self, to: Point) -> Vec<Region> {
        let mut all: Vec<(&&str, f64)> = self.regions.iter().map(|(code, (.., at))| (code, at.apart(to))).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1));
        all.into_iter().map(|(code, _)| Region::from(*code)).collect()
    }

    fn in_country(&self, country: &str, subdivision: Option<&str>, at: Point) -> Place {
        Place {
            regions_by_latency: self.regions_near(at),
            continent: self.countries.get(country).map(|(continent, _)| (*continent).to_owned()),
            country: Some(country.to_owned()),
            subdivision: subdivision.map(str::to_owned),
        }
    }
}

/// Where somebody asks from, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// `eu-west-1`: somebody in that AWS Region.
    Region(Region),
    /// `continent=EU`.
    Continent(String),
    /// `country=DE`.
    Country(String),
    /// `country=US,subdivision=CA`.
    Subdivision(String, String),
}

impl Origin {
    /// What Route 53 would know of somebody there.
    ///
    /// # Errors
    /// There is no such place, in words.
    pub fn place(&self) -> Result<Place, String> {
        let atlas = &*ATLAS;
        match self {
            Self::Region(region) => match atlas.regions.get(region.as_str()) {
                Some((country, subdivision, at)) => {
                    Ok(atlas.in_country(country, Some(*subdivision).filter(|code| !code.is_empty()), *at))
                }
                None => Err(format!("{region} is no AWS Region that latency records can name")),
            },
            Self::Continent(code) => match atlas.continents.get(code.as_str()) {
                Some(at) => Ok(Place {
                    regions_by_latency: atlas.regions_near(*at),
                    continent: Some(code.clone()),
                    ..Place::default()
                }),
                None => {
                    let known: Vec<&str> = atlas.continents.keys().copied().collect();
                    Err(format!("there is no continent {code}: {}", known.join(", ")))
                }
            },
            Self::Country(code) => match atlas.countries.get(code.as_str()) {
                Some((_, at)) => Ok(atlas.in_country(code, None, *at)),
                None => Err(format!("Route 53 knows no country {code}: two letters of ISO 3166-1 are wanted, like DE")),
            },
            Self::Subdivision(country, code) => match atlas.subdivisions.get(&(country.as_str(), code.as_str())) {
                Some(at) => Ok(atlas.in_country(country, Some(code), *at)),
                None => Err(format!("Route 53 knows no subdivision {code} of {country}: only states of US and of UA")),
            },
        }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mut continent, mut country, mut subdivision) = (None, None, None);
        for part in text.split(',').map(str::trim) {
            let slot = match part.split_once('=') {
                None if text == part && !part.is_empty() => return Ok(Self::Region(Region::from(part))),
                Some(("continent", code)) => (&mut continent, code),
                Some(("country", code)) => (&mut country, code),
                Some(("subdivision", code)) => (&mut subdivision, code),
                _ => {
                    return Err(format!(
                        "{text:?} is no place: write eu-west-1, continent=EU, country=DE or country=US,subdivision=CA"
                    ));
                }
            };
            *slot.0 = Some(slot.1.trim().to_ascii_uppercase());
        }
        match (continent, country, subdivision) {
            (Some(continent), None, None) => Ok(Self::Continent(continent)),
            (None, Some(country), None) => Ok(Self::Country(country)),
            (None, Some(country), Some(subdivision)) => Ok(Self::Subdivision(country, subdivision)),
            _ => Err(format!("{text:?} is no single place: a subdivision goes with its country, a continent alone")),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => write!(f, "{region}"),
            Self::Continent(code) => write!(f, "continent={code}"),
            Self::Country(code) => write!(f, "country={code}"),
            Self::Subdivision(country, code) => write!(f, "country={country},subdivision={code}"),
        }
    }
}

/// The places that the records of one name tell apart, as people write them, with what Route 53 knows of somebody there.
#[must_use]
pub fn origins(records: &[RecordSet], name: &str, record_type: RecordType) -> Vec<(String, Place)> {
    let own = records.iter().filter(|set| set.record_type == record_type && set.name == name);
    let (mut named, mut has_default) = (BTreeSet::new(), false);
    for set in own {
        match &set.policy {
            Policy::Geolocation(Location::Default) => has_default = true,
            Policy::Geolocation(Location::Continent(code)) => drop(named.insert(Origin::Continent(code.clone()))),
            Policy::Geolocation(Location::Country(code)) => drop(named.insert(Origin::Country(code.clone()))),
            Policy::Geolocation(Location::Subdivision(country, code)) => {
                named.insert(Origin::Subdivision(country.clone(), code.clone()));
            }
            Policy::Latency(_) => {
                named.extend(["AF", "AS", "EU", "NA", "OC", "SA"].map(|code| Origin::Continent(code.to_owned())));
            }
            _ => {}
        }
    }
    let others = if named.is_empty() { "everywhere" } else { "elsewhere" };
    let known = named.iter().filter_map(|origin| Some((origin.to_string(), origin.place().ok()?)));
    let rest = (named.is_empty() || has_default).then(|| (others.to_owned(), Place::default()));
    known.chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse::<Origin>().unwrap().place().unwrap()
    }

    fn nearest(text: &str, among: &[&str]) -> String {
        let near = place(text).regions_by_latency;
        near.iter().map(Region::as_str).find(|region| among.contains(region)).unwrap().to_owned()
    }

    #[test]
    fn every_line_of_the_data_is_read() {
        let lines = |text| rows(text).count();
        let atlas = &*ATLAS;
        assert_eq!(atlas.continents.len(), lines(CONTINENTS));
        assert_eq!(atlas.countries.len(), lines(COUNTRIES));
        assert_eq!(atlas.subdivisions.len(), lines(SUBDIVISIONS));
        assert_eq!(atlas.regions.len(), lines(REGIONS));
        assert!(atlas.countries.values().all(|(continent, _)| atlas.continents.contains_key(continent)));
        for (country, subdivision, _) in atlas.regions.values() {
            assert!(atlas.countries.contains_key(country), "{country}");
            assert!(
                subdivision.is_empty() || atlas.subdivisions.contains_key(&(*country, *subdivision)),
                "{subdivision}"
            );
        }
        let on_earth = |at: &Point| at.latitude.abs() <= 90.0 && at.longitude.abs() <= 180.0;
        assert!(atlas.countries.values().all(|(_, at)| on_earth(at)));
        assert!(atlas.regions.values().all(|(.., at)| on_earth(at)) && atlas.subdivisions.values().all(on_earth));
    }

    #[test]
    fn a_place_knows_what_lies_around_it() {
        let germany = place("country=DE");
        assert_eq!((germany.continent.as_deref(), germany.country.as_deref()), (Some("EU"), Some("DE")));
        assert_eq!(place("country=FR").regions_by_latency[0].as_str(), "eu-west-3");
        let california = place("country=us, subdivision=ca");
        assert_eq!((california.continent.as_deref(), california.subdivision.as_deref()), (Some("NA"), Some("CA")));
        let virginia = place("us-east-1");
        assert_eq!((virginia.country.as_deref(), virginia.subdivision.as_deref()), (Some("US"), Some("VA")));
        assert_eq!(virginia.regions_by_latency[0].as_str(), "us-east-1");
    }

    #[test]
    fn the_nearest_of_some_regions() {
        let served = ["us-east-1", "eu-west-1", "ap-southeast-1"];
        for (from, to) in [
            ("country=FR", "eu-west-1"),
            ("country=BR", "us-east-1"),
            ("country=AU", "ap-southeast-1"),
            ("continent=EU", "eu-west-1"),
            ("continent=NA", "us-east-1"),
            ("continent=AS", "ap-southeast-1"),
            ("ap-northeast-1", "ap-southeast-1"),
        ] {
            assert_eq!(nearest(from, &served), to, "{from}");
        }
        assert_eq!(nearest("country=US,subdivision=CA", &["us-east-1", "us-west-2"]), "us-west-2");
    }

    #[test]
    fn what_is_no_place_is_refused_in_words() {
        for (text, words) in [
            ("", "is no place"),
            ("planet=mars", "is no place"),
            ("subdivision=CA", "no single place"),
            ("continent=EU,country=DE", "no single place"),
        ] {
            assert!(text.parse::<Origin>().unwrap_err().contains(words), "{text}");
        }
        for (text, words) in [
            ("mars-north-1", "no AWS Region"),
            ("country=ZZ", "no country ZZ"),
            ("country=DE,subdivision=BY", "no subdivision BY"),
            ("continent=XX", "AF, AN, AS, EU, NA, OC, SA"),
        ] {
            assert!(text.parse::<Origin>().unwrap().place().unwrap_err().contains(words), "{text}");
        }
        assert_eq!("country=us,subdivision=ca".parse::<Origin>().unwrap().to_string(), "country=US,subdivision=CA");
    }
}
