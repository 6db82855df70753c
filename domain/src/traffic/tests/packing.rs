//! Packing, by itself and with what real manifests want after a move.

use super::*;
use crate::fleet::Role;
use crate::manifest::read_manifests;

fn text(name: &str, value: &str) -> RecordSet {
    RecordSet::simple(name, RecordType::Txt, 60, vec![value.into()])
}

/// `records` changes of `characters` characters together, as far as that goes.
fn piece<K: ToString>(key: K, records: usize, characters: usize) -> Piece<K> {
    let each = characters / records;
    let change = |at: usize| {
        let name = format!("r{at}.{}.example.com", key.to_string());
        let record = text(&name, &"x".repeat(each.saturating_sub(2)));
        if at < records / 2 { Change::Delete(record) } else { Change::Create(record) }
    };
    Piece { changes: (0..records).map(change).collect(), key }
}

fn loads<K>(pieces: &[Piece<K>]) -> Vec<Load> {
    pieces.iter().map(|piece| Load::of(&piece.changes)).collect()
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn every_change_is_in_one_batch_in_its_order_and_no_batch_is_too_large() {
    for seed in 0..100 {
        let mut dice = Dice(seed);
        let (most, long) = [(8, 4), (8, 900), (60, 90), (300, 40), (1_100, 8)][dice.roll(5)];
        let pieces: Vec<Piece<usize>> = (0..dice.roll(30))
            .map(|key| {
                let records = 1 + dice.roll(most);
                piece(key, records, records * (2 + dice.roll(long)))
            })
            .collect();
        let (fitting, large): (Vec<_>, Vec<_>) =
            pieces.iter().cloned().partition(|piece| Load::of(&piece.changes).fits());
        let (batches, refused) = pack(pieces);
        let mut named: Vec<usize> = refused.iter().map(|large| large.key).collect();
        named.sort_unstable();
        assert_eq!(named, large.iter().map(|piece| piece.key).collect::<Vec<_>>(), "seed {seed}");
        for batch in &batches {
            let changes: Vec<Change> = batch.changes().cloned().collect();
            assert!(!changes.is_empty() && Load::of(&changes).fits(), "seed {seed}: {}", Load::of(&changes));
        }
        let mut packed: Vec<Piece<usize>> = batches.iter().flat_map(|batch| batch.pieces.clone()).collect();
        packed.sort_by_key(|piece| piece.key);
        assert_eq!(packed, fitting, "seed {seed}: each piece once, as it was");
        // First fit, the largest first, is never worse than the best by more than 11/9 and 1 in one dimension; here are two.
        let least = least_batches(&loads(&fitting));
        assert!(least <= batches.len() && batches.len() <= 2 * least + 1, "seed {seed}: {} {least}", batches.len());
    }
}

#[test]
fn equal_pieces_go_in_the_fewest_batches_there_can_be() {
    for (records, characters) in
        [(1, 2), (6, 240), (7, 70), (250, 500), (333, 999), (500, 1_000), (1_000, 2_000), (3, 12_000)]
    {
        for count in [0, 1, 2, 3, 165, 166, 167, 1_000].into_iter().filter(|count| count * records <= 7_000) {
            let pieces: Vec<Piece<usize>> = (0..count).map(|key| piece(key, records, characters)).collect();
            let (least, (batches, refused)) = (least_batches(&loads(&pieces)), pack(pieces));
            assert!(refused.is_empty());
            assert_eq!(batches.len(), least, "{count} pieces of {records} records, {characters} characters");
        }
    }
}

#[test]
fn what_no_batch_takes_is_refused_by_name_and_number_and_holds_nobody_up() {
    let pieces =
        vec![piece("shop", 6, 240), piece("huge", 1_001, 3_000), piece("wordy", 10, 33_000), piece("cart", 6, 240)];
    let (batches, refused) = pack(pieces);
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].pieces.iter().map(|piece| piece.key).collect::<Vec<_>>(), ["shop", "cart"]);
    assert_eq!(refused.iter().map(|large| large.key).collect::<Vec<_>>(), ["wordy", "huge"]);
    assert_eq!(
        refused[1].to_string(),
        "its changes are 1001 records and 2002 characters of values, and one batch of Route 53 takes 1000 records and \
         32000 characters of values: they cannot be split, as they stand behind one fence; give the service fewer \
         records or values"
    );
}

#[test]
fn aliases_values_and_quotes_count() {
    let alias = AliasTarget { dns_name: "x".into(), hosted_zone: "Z".into(), evaluate_target_health: true };
    let plain = text("a.example.com", "say \"x\"");
    let changes = [
        Change::Delete(RecordSet { alias: Some(alias), values: vec![], ..plain.clone() }),
        Change::Create(RecordSet { record_type: RecordType::A, values: vec!["192.0.2.1".into(); 3], ..plain.clone() }),
        Change::Create(plain),
    ];
    assert_eq!(Load::of(&changes), Load { records: 1 + 3 + 1, characters: 3 * 10 + 11 });
}

#[test]
fn awss_words_are_of_the_service_whose_records_or_checks_they_name() {
    let mut with_check = text("api.example.com", "x");
    with_check.health_check = Some("0a1b-2c".into());
    let shop = Piece { key: "shop", changes: vec![Change::Create(with_check)] };
    for words in [
        "[Tried to delete resource record set [name='api.example.com.', type='A'] but it was not found]",
        "RRSet with DNS name API.example.com., type TXT cannot be created",
        "The specified health check id 0a1b-2c does not exist",
    ] {
        assert!(shop.is_named_in(words), "{words}");
    }
    for words in [
        "[Tried to delete resource record set [name='v2.api.example.com.', type='A'] but it was not found]",
        "RRSet with DNS name api.example.com.au., type TXT cannot be created",
        "The specified health check id 0a1b-2c3 does not exist",
        "Number of records limit of 1000 exceeded.",
    ] {
        assert!(!shop.is_named_in(words), "{words}");
    }
}

const PAIR: &str = include_str!("../../../../examples/active-passive.yaml");
const EVERYWHERE: &str = include_str!("../../../../examples/orders-active-active.yaml");

fn example(manifest: &str) -> ServiceSpec {
    let roles = BTreeMap::from([
        ("us-east-1".into(), Role::Member),
        ("eu-west-1".into(), Role::Member),
        ("us-west-2".into(), Role::Witness),
    ]);
    read_manifests("example.yaml", manifest.as_bytes(), &roles).unwrap().remove(0).spec
}

/// What settlement writes for a copy of an example: to set it up, and after a move from us-east-1.
fn moved(example: &ServiceSpec, copy: usize) -> (Vec<Change>, Vec<Change>) {
    let mut spec = example.clone();
    let (name, renamed) = (example.name.to_string(), format!("{}-{copy:04}", example.name));
    spec.name = renamed.as_str().into();
    for record in &mut spec.traffic.records {
        record.name = record.name.replace(&name, &renamed);
    }
    let mut scene = Scene { spec, ..Scene::new(3, true) };
    if scene.spec.pattern == Pattern::ActiveActive {
        let bits = scene.spec.regions.iter().map(|region| (region.clone(), bit(true, region.as_str()))).collect();
        scene.switch = Switch { pattern: Pattern::ActiveActive, regions: scene.spec.regions.clone(), bits };
    }
    let mut model = Model::default();
    let mut written = |scene: &Scene, mark: &FenceMark| {
        let mut all = Vec::new();
        for _ in 0..20 {
            match model.next(&scene.desired(), mark).first() {
                Some(action) => {
                    model.act(action);
                    if let SettleAction::ChangeRecords { changes } = action {
                        all.push(changes.clone());
                    }
                }
                None => break,
            }
        }
        assert_eq!(all.len(), 1, "one piece");
        all.remove(0)
    };
    let first = written(&scene, &mark(1, 1_000 + copy as u64));
    scene.switch.bits.get_mut("us-east-1").unwrap().on = false;
    scene.primary = "eu-west-1".into();
    let then = written(&scene, &FenceMark { epoch: Epoch(2), ..mark(1, 9_000 + copy as u64) });
    (first, then)
}

fn batches_for(pieces: Vec<Piece<usize>>) -> usize {
    let (least, (batches, refused)) = (least_batches(&loads(&pieces)), pack(pieces));
    assert!(refused.is_empty());
    assert_eq!(batches.len(), least, "no fewer can do");
    batches.len()
}

#[test]
fn a_thousand_services_of_one_zone_move_in_so_many_batches() {
    for (manifest, of_one, first, then) in [(PAIR, 6, 10, 7), (EVERYWHERE, 6, 13, 7)] {
        let example = example(manifest);
        let (mut first_pieces, mut then_pieces) = (Vec::new(), Vec::new());
        for copy in 0..1_000 {
            let (set_up, change) = moved(&example, copy);
            first_pieces.push(Piece { key: copy, changes: set_up });
            then_pieces.push(Piece { key: copy, changes: change });
        }
        assert_eq!(loads(&then_pieces)[0].records, of_one, "{}: {:#?}", example.name, then_pieces[0].changes);
        assert_eq!(batches_for(first_pieces), first, "{}: first set-up", example.name);
        assert_eq!(batches_for(then_pieces), then, "{}: after a move", example.name);
    }
}
