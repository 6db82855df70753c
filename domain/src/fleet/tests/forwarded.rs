//! What a daemon may have proposed by the leader, and in whose name.

use super::fixture::*;
use crate::fleet::*;
use crate::ids::{Epoch, Region};
use crate::plan::Mode;

fn goes(actor: Actor, command: Command) -> bool {
    Entry::new(NOW, actor, command).may_be_forwarded().is_ok()
}

#[test]
fn a_persons_word_goes_in_a_persons_name_only() {
    let asked = Command::Decide(Box::new(Bench::serving().asked(Mode::Graceful)));
    let switch = |run| Command::SetSwitch { group: "shop".into(), region: EU.into(), on: true, run };
    let drill = |scheduled_for| Command::OpenDrill { drill: "gameday".into(), scheduled_for };
    for command in [
        asked,
        switch(None),
        drill(None),
        Command::Approve { run: "shop-1".into() },
        Command::Abort { run: "shop-1".into(), reason: "no".into() },
        Command::Pause { service: None },
        Command::Resume { service: None },
        apply(vec![]),
    ] {
        assert!(goes(person(), command.clone()), "{command:?}");
        assert!(!goes(daemon(), command.clone()), "{command:?}");
    }
    for (length, fits) in [(0, false), (1, true), (256, true), (257, false)] {
        assert_eq!(goes(Actor::Operator("a".repeat(length)), Command::Pause { service: None }), fits, "{length}");
    }
    for command in [
        Command::Decide(Box::new(Bench::serving().automatic())),
        switch(Some(("shop-1".into(), "flip-switch/shop".into()))),
        drill(Some(NOW)),
        Command::Widen { service: "shop".into(), region: EU.into(), epoch: Epoch(1), share: 100 },
        Command::RaiseFormat { format: crate::format::Format(2) },
    ] {
        assert!(!goes(person(), command.clone()), "{command:?}");
        assert!(!goes(daemon(), command.clone()), "{command:?}");
    }
}

#[test]
fn a_daemon_says_where_it_is_itself_and_forms_a_fleet_of_which_it_is_one() {
    assert!(goes(daemon(), form()));
    let Command::Form { fleet, mut members } = form() else { unreachable!() };
    members.remove(&Region::from(EU));
    assert!(!goes(daemon(), Command::Form { fleet, members }));
    assert!(goes(daemon(), advertise(EU, "switch.example.com")));
    assert!(!goes(daemon(), advertise(US, "switch.example.com")));
    assert!(!goes(person(), form()));
}
