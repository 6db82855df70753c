//! One version of an S3 object as a stranger wrote it.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A body and what is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The bytes; none for a mark of deletion.
    pub body: Arc<[u8]>,
    /// In quotes, as S3 writes it.
    pub etag: String,
    /// In a versioned bucket; replicas have the same.
    pub version_id: Option<String>,
    /// Content type and the like, and `x-amz-meta-…`, by header.
    pub headers: BTreeMap<String, String>,
    /// A mark that the object was deleted.
    pub is_marker: bool,
    /// Buckets that a rule sends it to: known when it is written, as a later rule does not touch it.
    pub sent_to: Vec<String>,
    /// Whether a rule covered it whose destination could not take it.
    pub has_failed: bool,
}

impl StoredObject {
    /// `null` where the bucket was not versioned.
    #[must_use]
    pub fn version(&self) -> &str {
        self.version_id.as_deref().unwrap_or("null")
    }
}
