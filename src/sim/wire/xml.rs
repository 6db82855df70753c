//! XML as AWS writes it: elements, text, an attribute now and then. Written and read as small trees.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;

/// An element in the making.
#[derive(Clone, Debug)]
pub(super) struct Xml {
    name: String,
    attributes: String,
    inside: String,
}

impl Xml {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), attributes: String::new(), inside: String::new() }
    }

    pub(super) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes += &format!(" {name}=\"{}\"", escape(value));
        self
    }

    /// A child that holds text.
    pub(super) fn text(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.inside += &format!("<{name}>{}</{name}>", escape(value.to_string()));
        self
    }

    /// Text of its own.
    pub(super) fn body(mut self, value: impl std::fmt::Display) -> Self {
        self.inside += &escape(value.to_string());
        self
    }

    /// The same, where there is something to say.
    pub(super) fn maybe(self, name: &str, value: Option<impl std::fmt::Display>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    pub(super) fn child(mut self, child: Self) -> Self {
        self.inside += &child.into_text();
        self
    }

    pub(super) fn children(self, children: impl IntoIterator<Item = Self>) -> Self {
        children.into_iter().fold(self, Self::child)
    }

    /// A list: one element around elements of one name.
    pub(super) fn list(self, name: &str, children: impl IntoIterator<Item = Self>) -> Self {
        self.child(Self::new(name).children(children))
    }

    fn into_text(self) -> String {
        format!("<{0}{1}>{2}</{0}>", self.name, self.attributes, self.inside)
    }

    pub(super) fn into_document(self) -> String {
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", self.into_text())
    }
}

/// An element that was read; namespaces and attributes are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Node>,
}

impl Node {
    /// The root of a document.
    pub(super) fn read(document: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(document).map_err(|error| error.to_string())?;
        let mut reader = Reader::from_str(text);
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => open.push(Self::named(start.local_name().as_ref())),
                Event::Empty(start) => {
                    let node = Self::named(start.local_name().as_ref());
                    open.last_mut().ok_or("an element outside")?.children.push(node);
                }
                Event::Text(text) => {
                    let text = text.decode().map_err(|error| error.to_string())?;
                    open.last_mut().ok_or("text outside")?.text += &text;
                }
                Event::CData(data) => {
                    let text = data.decode().map_err(|error| error.to_string())?;
                    open.last_mut().ok_or("text outside")?.text += &text;
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|error| error.to_string())?;
                    let text = quick_xml::escape::unescape(&format!("&{name};")).map(std::borrow::Cow::into_owned);
                    open.last_mut().ok_or("text outside")?.text += &text.map_err(|error| error.to_string())?;
                }
                Event::End(_) => {
                    let node = open.pop().ok_or("an element ends that did not begin")?;
                    open.last_mut().ok_or("an element ends that did not begin")?.children.push(node);
                }
                Event::Eof => break,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
            }
        }
        let root = open.pop().filter(|_| open.is_empty()).ok_or("an element does not end")?;
        root.children.into_iter().next().ok_or_else(|| "there is no element".to_owned())
    }

    fn named(name: &[u8]) -> Self {
        Self { name: String::from_utf8_lossy(name).into_owned(), ..Self::default() }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of a child.
    pub(super) fn of(&self, name: &str) -> Option<&str> {
        self.get(name).map(|child| child.text.trim())
    }

    /// The elements of a list, whatever their name.
    pub(super) fn items(&self, list: &str) -> &[Self] {
        self.get(list).map_or(&[], |list| list.children.as_slice())
    }

    /// A child that says true or false.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.of(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// A child that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.of(name).and_then(|text| text.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let written =
            Xml::new("A").attribute("xmlns", "x").text("B", "1 < 2 & \"3\"").list("Cs", [Xml::new("C").text("D", "é")]);
        let read = Node::read(written.into_document().as_bytes()).unwrap();
        assert_eq!((read.name.as_str(), read.of("B")), ("A", Some("1 < 2 & \"3\"")));
        assert_eq!(read.items("Cs")[0].of("D"), Some("é"));
        assert_eq!(read.of("E"), None);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for bad in ["", "<A>", "</A>", "<A></B>", "plain"] {
            assert!(Node::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
