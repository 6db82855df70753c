//! Services that clash with each other.

use super::*;

fn pair(changes: &[(&str, &str)]) -> Vec<String> {
    let mut other = FULL.to_owned();
    for (from, to) in changes {
        assert!(other.contains(from), "{from:?} is not in the manifest");
        other = other.replace(from, to);
    }
    read_set([("a.yaml", FULL.as_bytes()), ("b.yaml", other.as_bytes())], &fleet(), &[])
        .map_or_else(|problems| in_words(&problems), |_| Vec::new())
}

const APART: [(&str, &str); 6] = [
    ("name: checkout,", "name: cart,"),
    ("name: api.", "name: cart."),
    ("checkout-global", "cart-global"),
    ("checkout-use1, eu-west-1: checkout-euw1", "cart-use1, eu-west-1: cart-euw1"),
    ("Orders,", "Carts,"),
    ("media-use1, eu-west-1: media-euw1", "cart-use1, eu-west-1: cart-euw1"),
];

#[test]
fn services_that_clash_with_each_other() {
    assert_eq!(pair(&APART), [] as [&str; 0]);
    let problems = pair(&[("name: checkout,", "name: cart,")]);
    let said = problems.join("\n");
    assert!(
        said.contains(
            "b.yaml:39: spec.data[1].dynamodb.table: table Orders already belongs to store orders of checkout"
        ),
        "{said}"
    );
    assert!(said.contains("b.yaml:38: spec.data[0].aurora.global_cluster"), "{said}");
    assert!(said.contains("b.yaml:40: spec.data[2].s3.buckets.us-east-1"), "{said}");
    assert!(
        said.contains("b.yaml:30: spec.traffic.records[0].name: api.example.com A already belongs to checkout"),
        "{said}"
    );
    assert_eq!(pair(&[]), ["b.yaml:3: metadata.name: checkout is declared twice, first in a.yaml:3"]);
}

#[test]
fn services_of_one_switch_must_be_alike() {
    let group = ("switch_group: null", "switch_group: checkout");
    let only = |changes: &[(&str, &str)]| {
        let mut problems = pair(&[&APART[..], &[group], changes].concat());
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.remove(0)
    };
    let with_data = only(&[]);
    let place = "b.yaml:28: spec.traffic.switch_group: cart shares the switch";
    assert!(with_data.starts_with(place) && with_data.contains("has data of its own"), "{with_data}");
    let turned = only(&[("[us-east-1, eu-west-1]", "[eu-west-1, us-east-1]")]);
    assert!(turned.starts_with(place) && turned.contains("another list of Regions"), "{turned}");
    let (lead, rest) = (FULL, FULL.split("  data:\n").next().unwrap().replace("name: checkout,", "name: cart,"));
    let rest = rest.replace("name: api.", "name: cart.").replace("switch_group: null", "switch_group: checkout");
    assert!(read_set([("a", lead.as_bytes()), ("b", rest.as_bytes())], &fleet(), &[]).is_ok());
    let headless = rest.replace("switch_group: checkout", "switch_group: other");
    let other = headless.replace("name: cart,", "name: more,").replace("name: cart.", "name: more.");
    let problems =
        in_words(&read_set([("a", headless.as_bytes()), ("b", other.as_bytes())], &fleet(), &[]).unwrap_err());
    assert!(problems.len() == 1 && problems[0].contains("none of them is called other"), "{problems:?}");
}

#[test]
fn follows_must_lead_somewhere_and_not_in_a_circle() {
    refused("follows: null", "follows: nobody", "8: spec.follows", "no service nobody");
    refused("follows: null", "follows: checkout", "8: spec.follows", "checkout → checkout");
    let first = full_with("follows: null", "follows: search");
    let problems = read(&format!("{first}---\n{SEARCH}")).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].contains("checkout → search → checkout"), "{problems:?}");
    // A document that could not be read may be the one that is followed.
    let problems = read(&format!("{}---\n{SEARCH}", full_with("rto: 5m", "rto: 5"))).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn existing_services_count_unless_they_are_replaced() {
    let existing = one(FULL);
    assert!(read_set([("f", FULL.as_bytes())], &fleet(), &[&existing]).is_ok());
    assert!(read_set([("f", SEARCH.as_bytes())], &fleet(), &[&existing]).is_ok());
    assert!(read_set([("f", SEARCH.as_bytes())], &fleet(), &[]).is_err(), "follows a service that is not there");
    let without_data = FULL.split("  data:\n").next().unwrap().replace("api.example", "www.example");
    let heir = full_with("name: checkout,", "name: heir,");
    let handed_over = read_set([("f", without_data.as_bytes()), ("g", heir.as_bytes())], &fleet(), &[&existing]);
    assert!(handed_over.is_ok(), "a service that gives a store up in the same apply still holds it: {handed_over:?}");
    let thief = full_with("name: checkout,", "name: thief,");
    let problems = read_set([("f", thief.as_bytes())], &fleet(), &[&existing]).unwrap_err();
    assert!(in_words(&problems).join("\n").contains("already belongs to store orders-db of checkout"));
}
