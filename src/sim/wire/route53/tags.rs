//! Tags of health checks and zones.

use super::super::answer::Answer;
use super::super::xml::{Node, Xml};
use super::document;
use crate::sim::world::World;

fn tag_set(world: &World, kind: &str, id: &str) -> Xml {
    let tags = world.labels.tags(kind, id);
    let tags = tags.iter().map(|(key, value)| Xml::new("Tag").text("Key", key).text("Value", value));
    Xml::new("ResourceTagSet").text("ResourceType", kind).text("ResourceId", id).list("Tags", tags)
}

pub(super) fn list(world: &World, kind: &str, id: &str) -> Answer {
    Answer::xml(document("ListTagsForResourceResponse").child(tag_set(world, kind, id)))
}

pub(super) fn list_many(world: &World, kind: &str, body: &Node) -> Answer {
    let sets = body.items("ResourceIds").iter().map(|id| tag_set(world, kind, id.text.trim()));
    Answer::xml(document("ListTagsForResourcesResponse").list("ResourceTagSets", sets))
}

pub(super) fn change(world: &mut World, kind: &str, id: &str, body: &Node) {
    for tag in body.items("AddTags") {
        world.labels.tag(kind, id, tag.of("Key").unwrap_or_default(), tag.of("Value").unwrap_or_default());
    }
    for key in body.items("RemoveTagKeys") {
        world.labels.untag(kind, id, key.text.trim());
    }
}
