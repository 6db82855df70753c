//! What the manifest format names and this version does not do yet. One place, so that it is easy to see and to empty.

use super::field::{Field, Mapping};

fn refuse<T>(field: &Field<'_>, what: &str) -> Option<T> {
    field.refuse(format!("{what} is not supported by this version of failoverd: remove it"))
}

/// `spec.hooks`.
pub fn of_spec(spec: &Mapping<'_>) {
    if let Some(hooks) = spec.get("hooks") {
        refuse::<()>(&hooks, "hooks");
    }
}

/// `fence.hook`: whether it is there.
#[must_use]
pub fn fence_hook(fence: &Mapping<'_>) -> bool {
    fence.get("hook").is_some_and(|hook| refuse::<()>(&hook, "fence.hook").is_none())
}

/// Wildcard records.
#[must_use]
pub fn wildcard<T>(name: &Field<'_>) -> Option<T> {
    refuse(name, "a wildcard record")
}

/// Record types other than addresses and CNAME.
#[must_use]
pub fn record_type<T>(record_type: &Field<'_>, text: &str) -> Option<T> {
    refuse(record_type, &format!("a record of type {text}"))
}
