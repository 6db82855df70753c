//! Writes elements.

use std::fmt::Display;

/// An XML fragment.
#[derive(Default)]
pub(super) struct Xml(String);

impl Xml {
    pub(super) fn within(&mut self, name: &str, fill: impl FnOnce(&mut Self)) {
        self.0.push_str(&format!("<{name}>"));
        fill(self);
        self.0.push_str(&format!("</{name}>"));
    }

    pub(super) fn text(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        let escaped = quick_xml::escape::escape(value.as_str());
        self.0.push_str(&format!("<{name}>{escaped}</{name}>"));
    }

    pub(super) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
