//! Raising the format that the fleet writes.

use serde_json::json;

use super::{Context, Draft, Outcome, Rejection};
use crate::fleet::command::Actor;
use crate::fleet::event::EventKind;
use crate::fleet::state::FleetState;
use crate::format::Format;

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
}
