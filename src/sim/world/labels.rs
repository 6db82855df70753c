//! What strangers write on Route 53's things and find again: tags, and settings that change nothing here.

use std::collections::BTreeMap;

use failoverd_domain::ids::HealthCheckId;

/// Tags by kind and id of the resource, and settings of health checks.
#[derive(Clone, Debug, Default)]
pub struct Labels {
    tags: BTreeMap<(String, String), BTreeMap<String, String>>,
    kept: BTreeMap<HealthCheckId, BTreeMap<String, String>>,
}

impl Labels {
    /// The tags of a resource.
    #[must_use]
    pub fn tags(&self, kind: &str, id: &str) -> BTreeMap<String, String> {
        self.tags.get(&(kind.to_owned(), id.to_owned())).cloned().unwrap_or_default()
    }

    /// Sets a tag.
    pub fn tag(&mut self, kind: &str, id: &str, key: &str, value: &str) {
        let tags = self.tags.entry((kind.to_owned(), id.to_owned())).or_default();
        tags.insert(key.to_owned(), value.to_owned());
    }

    /// Takes a tag away.
    pub fn untag(&mut self, kind: &str, id: &str, key: &str) {
        if let Some(tags) = self.tags.get_mut(&(kind.to_owned(), id.to_owned())) {
            tags.remove(key);
        }
    }

    /// Settings of a check that are only kept.
    #[must_use]
    pub fn kept(&self, check: &HealthCheckId) -> BTreeMap<String, String> {
        self.kept.get(check).cloned().unwrap_or_default()
    }

    /// Keeps a setting.
    pub fn keep(&mut self, check: &HealthCheckId, name: &str, value: &str) {
        self.kept.entry(check.clone()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// The check is gone.
    pub fn forget(&mut self, check: &HealthCheckId) {
        self.kept.remove(check);
        self.tags.remove(&("healthcheck".to_owned(), check.to_string()));
    }
}
