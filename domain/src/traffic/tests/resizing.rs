//! A daemon comes to the fleet, or leaves it: its checks follow, and at no moment does the answer.

use super::*;

/// Every way from one fleet to the other, with the bit as it was or turned meanwhile.
fn ways() -> impl Iterator<Item = (Scene, Scene)> {
    let bits = [(true, true), (false, false), (true, false), (false, true)];
    [(3, 4), (4, 3), (4, 5)]
        .into_iter()
        .flat_map(move |(from, to)| bits.into_iter().map(move |(was, is)| (Scene::new(from, was), Scene::new(to, is))))
}

fn hosts(scene: &Scene) -> Vec<String> {
    scene.members.values().flatten().map(|at| at.host.clone()).collect()
}

#[test]
fn no_step_of_settlement_moves_the_answer_while_daemons_come_and_go() {
    for (from, to) in ways() {
        let larger = if from.members.len() > to.members.len() { &from } else { &to };
        let (old, new) = (hosts(&from), hosts(&to));
        let is_on = |scene: &Scene| scene.switch.bits[&Region::from("us-east-1")].on;
        let (word, against) = if is_on(&to) { (Vote::On, Vote::Off) } else { (Vote::Off, Vote::On) };
        let mut model = settled(&from, 10);
        let desired = to.desired();
        loop {
            for votes in ballots(larger) {
                let stays = |host: &String| old.contains(host) && new.contains(host);
                let says = |host: &String, vote| votes[host] == vote;
                let somebody = votes.keys().any(|host| stays(host) && says(host, word));
                // Who was removed speaks for what it last knew; with the bit as it was settled it is outvoted by anybody.
                let counts = |host: &String| new.contains(host) || is_on(&from) != is_on(&to);
                if somebody && !votes.keys().any(|host| counts(host) && says(host, against)) {
                    assert_eq!(model.answers(&votes), to.primary.as_str(), "{} to {}: {votes:?}", old.len(), new.len());
                }
            }
            match model.next(&desired, &mark(1, 20)).first() {
                Some(action) => model.act(action),
                None => break,
            }
        }
    }
}

#[test]
fn each_daemon_has_its_two_checks_and_the_vote_counts_all_of_them() {
    let mut model = settled(&Scene::new(3, true), 10);
    for (daemons, on, threshold) in [(4, true, 4), (4, false, 5), (5, false, 6), (3, false, 4), (3, true, 3)] {
        model.settle(&Scene::new(daemons, on).desired(), &mark(1, 20));
        let votes: Vec<_> = model
            .checks
            .iter()
            .filter_map(|check| match &check.config.kind {
                CheckKind::Calculated { children, threshold } => Some((children.len(), *threshold)),
                _ => None,
            })
            .collect();
        assert_eq!(votes, [(2 * daemons, threshold); 2], "{daemons} daemons");
        let asked: std::collections::BTreeSet<_> = model
            .checks
            .iter()
            .filter_map(|check| match &check.config.kind {
                CheckKind::Endpoint(endpoint) => Some(endpoint.host.clone()),
                _ => None,
            })
            .filter(|host| host.starts_with("switch."))
            .collect();
        assert_eq!(asked.into_iter().collect::<Vec<_>>().len(), daemons, "nobody who left is asked");
    }
}
