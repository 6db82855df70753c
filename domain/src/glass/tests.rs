//! Whose signatures open what, and what is refused.

use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;

pub(crate) fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn public(seed: u8) -> PublicKey {
    PublicKey::of(key(seed).public_key().as_ref().try_into().unwrap())
}

/// Two of alice (1), bob (2) and carol (3).
pub(crate) fn enrolment() -> Enrolment {
    let keys = [("alice", 1), ("bob", 2), ("carol", 3)].map(|(name, seed)| (name.to_owned(), public(seed)));
    Enrolment { threshold: 2, keys: keys.into() }
}

pub(crate) fn request() -> GlassRequest {
    GlassRequest {
        fleet: "prod".into(),
        generation: Generation(1),
        service: "shop".into(),
        epoch: Epoch(1),
        from: "us-east-1".into(),
        to: "eu-west-1".into(),
        mode: Mode::Forced,
        reason: "us-east-1 is gone".into(),
        expires_at: Timestamp(1_900_000),
        nonce: "00112233445566778899aabbccddeeff".into(),
    }
}

pub(crate) fn sign(request: &GlassRequest, seed: u8) -> GlassSignature {
    GlassSignature::of(public(seed), key(seed).sign(&request.signed_bytes()).as_ref())
}

pub(crate) fn signed(request: GlassRequest, seeds: &[u8]) -> Glass {
    let signatures = seeds.iter().map(|seed| sign(&request, *seed)).collect();
    Glass { request, signatures }
}

#[test]
fn what_is_signed_is_fixed_to_the_byte() {
    let bytes = request().signed_bytes();
    let expected = concat!(
        "failoverd break-glass request 1\n",
        r#"{"fleet":"prod","generation":1,"service":"shop","epoch":1,"from":"us-east-1","to":"eu-west-1","mode":"forced","#,
        r#""reason":"us-east-1 is gone","expires_at":1900000,"nonce":"00112233445566778899aabbccddeeff"}"#
    );
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn a_request_can_be_mailed_about_but_nothing_can_be_slipped_in() {
    let glass = signed(request(), &[1, 2]);
    let spaced = serde_json::to_string_pretty(&glass).unwrap();
    let read: Glass = serde_json::from_str(&spaced).unwrap();
    assert_eq!(read.names(&enrolment()), Ok("alice+bob".to_owned()));
    let slipped = spaced.replacen("\"fleet\"", "\"read_this\": \"a harmless drill\", \"fleet\"", 1);
    assert!(serde_json::from_str::<Glass>(&slipped).is_err());
}

#[test]
fn enough_different_people_open_it_and_are_named_in_order() {
    assert_eq!(signed(request(), &[2, 1]).names(&enrolment()), Ok("alice+bob".to_owned()));
    assert_eq!(signed(request(), &[3, 2, 1]).names(&enrolment()), Ok("alice+bob+carol".to_owned()));
}

#[test]
fn too_few_wrong_foreign_and_double_signatures_open_nothing() {
    let names = |glass: &Glass| glass.names(&enrolment()).unwrap_err().to_string();
    assert_eq!(names(&signed(request(), &[])), "0 of 2 signatures are there (nobody's)");
    assert_eq!(names(&signed(request(), &[1])), "1 of 2 signatures are there (alice)");
    assert_eq!(names(&signed(request(), &[1, 1])), "alice has signed twice, which counts for nothing");
    assert!(names(&signed(request(), &[1, 9])).ends_with("is not enrolled here"));
    let mut borrowed = signed(request(), &[1, 2]);
    borrowed.signatures[1].signature = borrowed.signatures[0].signature.clone();
    assert_eq!(names(&borrowed), "the signature of bob is wrong: something else was signed");
    // A wrong one beside enough right ones is no slip of a pen.
    let mut third = signed(request(), &[1, 2, 3]);
    third.signatures[2].signature = "00".repeat(64);
    assert_eq!(names(&third), "the signature of carol is wrong: something else was signed");
    // One signature has one spelling: `+f` is no hexadecimal digit either.
    let right = sign(&request(), 3).signature;
    let zero = (0..right.len()).step_by(2).find(|at| right[*at..].starts_with('0')).unwrap();
    let spelt = format!("{}+{}", &right[..zero], &right[zero + 1..]);
    for wrong in ["zz", "abc", &right[1..], &spelt] {
        third.signatures[2].signature = wrong.to_owned();
        assert_eq!(names(&third), "the signature of carol is wrong: something else was signed", "{wrong}");
    }
    let many = Glass { request: request(), signatures: vec![sign(&request(), 1); MOST_KEYS + 1] };
    assert!(names(&many).contains("more signatures than there can be keys"));
}

#[test]
fn a_signature_is_for_every_word_of_the_request() {
    let changes: [fn(&mut GlassRequest); 10] = [
        |it| it.fleet = "staging".into(),
        |it| it.generation = Generation(2),
        |it| it.service = "cart".into(),
        |it| it.epoch = Epoch(2),
        |it| it.from = "eu-west-1".into(),
        |it| it.to = "us-east-1".into(),
        |it| it.reason = "for fun".into(),
        |it| it.expires_at = Timestamp(1_900_001),
        |it| it.nonce = "00112233445566778899aabbccddee00".into(),
        |it| it.mode = Mode::Graceful,
    ];
    for change in changes {
        let mut glass = signed(request(), &[1, 2]);
        change(&mut glass.request);
        assert!(!glass.signatures[0].is_for(&glass.request), "{:?}", glass.request);
        assert!(glass.names(&enrolment()).is_err());
    }
}

#[test]
fn a_request_that_cannot_be_meant_is_not_even_verified() {
    for (change, says) in [
        ((|it| it.mode = Mode::Graceful) as fn(&mut GlassRequest), "only forced moves"),
        (|it| it.nonce = "short".into(), "nonce"),
        (|it| it.reason = String::new(), "reason"),
        (|it| it.reason = "two\nlines".into(), "reason"),
    ] {
        let mut request = request();
        change(&mut request);
        let refused = signed(request, &[1, 2]).names(&enrolment()).unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

#[test]
fn the_limits_of_a_request_are_kept_to_the_byte() {
    let checked = |change: &dyn Fn(&mut GlassRequest)| {
        let mut request = request();
        change(&mut request);
        request.check().is_ok()
    };
    for (length, fits) in [(15, false), (16, true), (64, true), (65, false)] {
        assert_eq!(checked(&|it| it.nonce = "a".repeat(length)), fits, "a nonce of {length}");
    }
    assert!(!checked(&|it| it.nonce = "g".repeat(32)), "no hexadecimal digits");
    for (length, fits) in [(0, false), (1, true), (512, true), (513, false)] {
        assert_eq!(checked(&|it| it.reason = "r".repeat(length)), fits, "a reason of {length}");
    }
    let all = Glass { request: request(), signatures: (1..=16).map(|seed| sign(&request(), seed)).collect() };
    let everybody =
        Enrolment { threshold: 16, keys: (1..=16).map(|seed| (format!("p{seed:02}"), public(seed))).collect() };
    assert_eq!(everybody.check(), Ok(()));
    assert_eq!(all.signers(&everybody).unwrap().len(), MOST_KEYS);
}

#[test]
fn it_is_said_what_is_asked_and_whose_keys_count() {
    assert_eq!(enrolment().sentence(), "2 of alice, bob, carol");
    let asked = format!(
        "forced move of shop from us-east-1 to eu-west-1 in fleet prod (generation 1, epoch 1, until {}): us-east-1 is gone",
        Timestamp(1_900_000)
    );
    assert_eq!(request().sentence(), asked);
    assert_eq!(public(1).to_string(), public(1).as_str());
}

#[test]
fn an_enrolment_that_protects_nothing_is_refused() {
    assert_eq!(enrolment().check(), Ok(()));
    let refused = |change: fn(&mut Enrolment)| {
        let mut enrolment = enrolment();
        change(&mut enrolment);
        enrolment.check().unwrap_err()
    };
    assert!(refused(|it| it.threshold = 1).contains("nobody's check"));
    assert!(refused(|it| it.threshold = 4).contains("could never be used"));
    assert!(refused(|it| drop(it.keys.insert("eve+bob".into(), public(9)))).contains("names are"));
    assert!(refused(|it| drop(it.keys.insert("dave".into(), public(1)))).contains("the same key"));
    assert!(
        refused(|it| drop(it.keys.insert("dave".into(), PublicKey("00".into())))).contains("no ed25519 key for dave")
    );
    let many = |it: &mut Enrolment| it.keys.extend((4..=17).map(|seed| (format!("p{seed}"), public(seed))));
    assert!(refused(many).contains("has 17 keys; at most 16 are enrolled"));
    assert_eq!(Enrolment { threshold: 3, ..enrolment() }.check(), Ok(()), "everybody may be needed");
    for (name, fits) in
        [("a.b-c_d9", true), (&"a".repeat(32), true), (&"a".repeat(33), false), ("", false), ("Eve", false)]
    {
        let mut enrolment = enrolment();
        enrolment.keys.insert(name.to_owned(), public(9));
        assert_eq!(enrolment.check().is_ok(), fits, "{name:?}");
    }
    let upper = PublicKey(public(1).0.to_uppercase());
    assert_eq!(upper.bytes(), Vec::<u8>::new(), "one key has one name");
}

/// Written by `ssh-keygen -t ed25519`; its last 32 bytes are the key.
const SSH: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl someone@example";

#[test]
fn a_line_of_openssh_is_read_and_written() {
    let key = PublicKey::of_line(SSH).unwrap();
    assert_eq!(key.as_str(), "e32aaa7915ceb9b449d1ba50ea2a28bb1a6e01f90bda245a2d1d87697d18a265");
    assert_eq!(key.line("someone@example"), SSH);
    for (text, says) in [
        ("ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB", "is not an ed25519 public key"),
        (&SSH[..60], "cut off"),
        ("ssh-ed25519", "cut off"),
        ("", "is not an ed25519 public key"),
    ] {
        assert!(PublicKey::of_line(text).unwrap_err().contains(says), "{text}");
    }
}
