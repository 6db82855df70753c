//! What the fleet agrees on of itself: the format that it writes, and what most daemons' files say of all of it.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Context, Draft, Outcome, Rejection};
use crate::fleet::command::Actor;
use crate::fleet::event::EventKind;
use crate::fleet::settings::FleetSettings;
use crate::fleet::state::FleetState;
use crate::format::Format;
use crate::ids::Region;

impl FleetState {
    /// Only upwards: what was written under the newer one stays in the log.
    pub(super) fn raise_format(&mut self, context: &mut Context<'_>, format: Format) -> Outcome {
        if !matches!(context.entry.actor, Actor::Daemon(_)) {
            let reason = "the fleet raises its format by itself, once every daemon reads the next";
            return Err(Rejection::new("NOT_BY_HAND", reason));
        }
        if format <= self.format {
            let reason = format!("the fleet writes format {} already, and never goes back", self.format);
            return Err(Rejection::new("STALE_FORMAT", reason));
        }
        let message = format!("every daemon reads format {format}: the fleet writes it instead of {}", self.format);
        let data = json!({ "format": { "from": self.format, "to": format } });
        context.say(Draft::new(EventKind::Fleet, message).with(data));
        self.format = format;
        Ok(None)
    }

    /// What one file says is nobody's decision.
    pub(super) fn agree(
        &mut self,
        context: &mut Context<'_>,
        settings: &FleetSettings,
        said_by: &BTreeSet<Region>,
    ) -> Outcome {
        if !matches!(context.entry.actor, Actor::Daemon(_)) {
            return Err(Rejection::new("NOT_BY_HAND", "the fleet agrees on what stands in its daemons' files"));
        }
        if !self.is_majority(said_by) {
            let reason = format!("{} of {} daemons' files say so: no majority", said_by.len(), self.members.len());
            return Err(Rejection::new("NOT_AGREED", reason));
        }
        settings.check().map_err(|why| Rejection::new("INVALID_SETTINGS", why))?;
        if *settings == self.settings {
            return Err(Rejection::new("AGREED", "that is agreed already"));
        }
        let message = format!("most daemons' files say: {}", settings.sentence());
        let data = json!({ "settings": { "from": self.settings, "to": settings }, "said_by": said_by });
        context.say(Draft::new(EventKind::Fleet, message).with(data));
        self.settings = settings.clone();
        Ok(None)
    }
}
