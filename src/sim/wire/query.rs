//! AWS's Query protocol: a form comes in, XML goes out.

use super::answer::Answer;
use super::request::{WireRequest, pairs};
use super::xml::Xml;

/// The parameters of a call.
#[derive(Clone, Debug, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Out of the body, or the query of a GET.
    pub(super) fn of(request: &WireRequest) -> Self {
        let body = pairs(&String::from_utf8_lossy(&request.body));
        Self(body.into_iter().chain(request.query.iter().cloned()).collect())
    }

    #[cfg(test)]
    pub(super) const fn given(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A parameter that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, crate::sim::world::Refusal> {
        self.get(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            crate::sim::world::Refusal::new(
                "MissingParameter",
                format!("The request must contain the parameter {name}."),
            )
        })
    }

    /// `NAME.member.1`, `NAME.1` or `NAME.Item.1` and so on, in order.
    pub(super) fn list(&self, name: &str) -> Vec<&str> {
        self.indices(name).into_iter().filter_map(|at| self.get(&at)).collect()
    }

    /// A list of structures, each as a form of its own.
    pub(super) fn structures(&self, name: &str) -> Vec<Self> {
        let part = |at: String| {
            let prefix = format!("{at}.");
            let inside =
                self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
            Self(inside.collect())
        };
        self.indices(name).into_iter().map(part).collect()
    }

    /// The beginnings of a list's keys, in order: `Filters.Filter.1`, `Filters.Filter.2` …
    fn indices(&self, name: &str) -> Vec<String> {
        let mut found: Vec<(usize, String)> = Vec::new();
        for (key, _) in &self.0 {
            let Some(rest) = key.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let mut taken = name.to_owned();
            for part in rest.split('.').take(2) {
                taken = format!("{taken}.{part}");
                if let Ok(index) = part.parse::<usize>() {
                    if !found.iter().any(|(_, at)| *at == taken) {
                        found.push((index, taken));
                    }
                    break;
                }
            }
        }
        found.sort();
        found.into_iter().map(|(_, at)| at).collect()
    }
}

/// `<OPERATIONResponse><OPERATIONResult>…</OPERATIONResult><ResponseMetadata>…`.
pub(super) fn response(namespace: &str, operation: &str, result: impl FnOnce(Xml) -> Xml) -> Answer {
    let result = result(Xml::new(&format!("{operation}Result")));
    let metadata = Xml::new("ResponseMetadata").text("RequestId", "00000000-0000-0000-0000-000000000000");
    let document =
        Xml::new(&format!("{operation}Response")).attribute("xmlns", namespace).child(result).child(metadata);
    Answer::xml(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_in_every_form() {
        let form = Form(pairs("A.member.2=y&A.member.1=x&B.1=z&C.C.1.Name=n&C.C.1.Values.Value.1=v&C.C.2.Name=m"));
        assert_eq!((form.list("A"), form.list("B"), form.list("D")), (vec!["x", "y"], vec!["z"], vec![]));
        let structures = form.structures("C");
        assert_eq!(structures.len(), 2);
        assert_eq!((structures[0].get("Name"), structures[0].list("Values")), (Some("n"), vec!["v"]));
        assert_eq!(structures[1].get("Name"), Some("m"));
    }
}
