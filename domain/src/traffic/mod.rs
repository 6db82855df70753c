//! The vote of the switches, the record fence, desired records and checks, and what settlement has to write.

mod alarm;
mod believed;
mod desired;
mod endpoint;
mod mark;
mod naming;
mod packing;
mod preview;
mod prices;
mod records;
mod refused;
mod resolve;
mod settle;
mod shift;
mod switch_checks;
#[cfg(test)]
mod tests;
mod verify;
mod vote;
mod waves;

pub use alarm::{
    FIGURE, FLEET, GROUP, HEARD_AGAIN_S, NAMESPACE, REGION, SwitchAlarm, Voice, slowest_s, switch_alarm, voices,
    word_weight,
};
pub use believed::Believed;
pub use desired::{DesireProblem, Desired, DesiredCheck, DesiredKind, DesiredRecord, Inputs, SwitchEndpoint, desired};
pub use endpoint::INTERVAL_S as CHECK_INTERVAL_S;
pub use endpoint::through_name;
pub use mark::{FenceMark, MarkError};
pub use naming::{
    MOST_LIVES, canary_name, fence_name, internal_name, reference_for_life, switch_alarm_name, switch_path,
    wanted_reference,
};
pub use packing::{Batch, Load, MOST_CHARACTERS, MOST_RECORDS, Piece, TooLarge, least_batches, pack};
pub use preview::{Deed, Line, MOST_TOUCHED_PERCENT, Preview, Share, compare_checks, preview};
pub use prices::{CHECKED, PAGES, monthly_checks_usd, monthly_reads_usd, monthly_voices_usd};
pub use refused::{KnownZone, Refused, refused, strayed};
pub use settle::{SettleAction, settle};
pub use shift::{Shift, shifts, shifts_of};
pub use switch_checks::SWITCH_FAILURE_THRESHOLD;
pub use verify::{
    AnswerSeen, Heard, LookUp, Looked, NameProbe, NameSeen, Question, Sighting, Verdict, Wanted, Watch, questions,
    sentence, warning,
};
pub use vote::{Tie, pair, pair_of_words, weight};
pub use waves::{WAVES, first_share, next_share};
