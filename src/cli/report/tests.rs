//! Golden files of every form, pages that are whole, and text of others that stays text.
//! After a change on purpose: `UPDATE_GOLDEN=1 cargo test --lib cli::report`, then read the diff.

use std::path::PathBuf;

use failoverd_domain::report::Report;

use super::{html, sample, view};

fn samples() -> [(&'static str, Report); 3] {
    [("report", sample::run()), ("report-drill", sample::drill()), ("report-begun", sample::begun())]
}

fn golden(name: &str, seen: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden").join(name);
    // The version is not what these are about.
    let seen = seen.replace(&format!("failoverctl {}", env!("CARGO_PKG_VERSION")), "failoverctl");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &seen).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(seen == wanted, "{} differs: look with UPDATE_GOLDEN=1 and git diff", path.display());
}

#[test]
fn every_form_looks_as_it_did() {
    for (name, report) in samples() {
        golden(&format!("{name}.md"), &view(&report).text);
        golden(&format!("{name}.json"), &format!("{:#}\n", view(&report).json));
        golden(&format!("{name}.html"), &html::html(&report));
    }
}

/// Every tag that is opened is closed in its turn. Void elements are written as closed.
fn unclosed(page: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        let end = rest[at..].find('>').ok_or("a tag without an end")? + at;
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if tag.starts_with('!') || tag.ends_with('/') {
            continue;
        }
        match tag.strip_prefix('/') {
            None => open.push(tag.split_whitespace().next().unwrap_or_default()),
            Some(closed) => match open.pop() {
                Some(opened) if opened == closed => {}
                other => return Err(format!("</{closed}> closes {other:?}")),
            },
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("never closed: {open:?}")) }
}

#[test]
fn every_page_is_whole_and_needs_no_network_and_no_script() {
    for (name, report) in samples().into_iter().chain([("hostile", sample::hostile())]) {
        let page = html::html(&report);
        assert_eq!(unclosed(&page), Ok(()), "{name}");
        for word in ["<script", "http://", "https://", "url(", "@import", "src=", "<link", "javascript:"] {
            assert!(!page.contains(word), "{name}: {word}");
        }
        assert_eq!(page.matches("<h1>").count(), 1, "{name}");
        assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\"").count(), "every picture has words");
    }
    assert!(unclosed("<p><b>x</p></b>").is_err());
}

#[test]
fn text_of_others_never_becomes_markup_nor_a_command() {
    let report = sample::hostile();
    let page = html::html(&report);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script>") && !page.contains('\u{1b}'));
    let text = view(&report).text;
    assert!(!text.contains('\u{1b}') && !text.contains("\n# heading"), "{text}");
    assert!(text.contains("\\<script>alert(1)"), "{text}");
    let table = text.lines().find(|line| line.starts_with("| promote/orders-db")).unwrap();
    let heading = text.lines().find(|line| line.starts_with("| STEP")).unwrap();
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    assert_eq!(cells(table), cells(heading));
}

#[test]
fn what_scripts_read_stands_where_it_did() {
    let body = view(&sample::run()).json;
    assert_eq!(body["run"]["id"], "checkout-7");
    assert_eq!(body["run"]["rto_ms"], 57_000);
    assert_eq!(body["run"]["breach_at"], "2025-11-24T16:00:00.000Z");
    assert_eq!(body["run"]["steps"][1]["attempts"], 2);
    assert_eq!(body["run"]["loss"][0]["measured"], 800);
    assert_eq!(body["run"]["guards"][1]["name"], "rpo-budget");
    assert_eq!(body["verdict"], "succeeded");
    assert!(body["missed"].as_array().unwrap().is_empty());
    assert_eq!(body["timeline"][0]["kind"], "decided");
    assert_eq!(body["history"]["from_seq"], 1_000);
    assert_eq!(body["history"]["events"], body["timeline"].as_array().unwrap().len());
}

#[test]
fn a_report_of_two_events_says_what_is_missing() {
    let (page, text) = (html::html(&sample::begun()), view(&sample::begun()).text);
    for form in [page, text] {
        assert!(form.contains("this history is 12 events behind: the report is not complete yet"), "{form}");
    }
}

#[test]
fn a_drill_shows_both_moves_apart_from_the_days_between() {
    let page = html::html(&sample::drill());
    assert_eq!(page.matches("aria-label=\"Steps of").count(), 2);
    assert!(page.contains("hit: bad for 61 s by 2 of 2 observers"));
    assert!(page.contains("2d23h"), "the hold, in the phases");
}
