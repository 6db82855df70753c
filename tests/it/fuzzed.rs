//! What the fuzz targets have been given (`fuzz/corpus/`), given again: nothing panics, and nothing takes long.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError, mpsc};
use std::time::Duration;

#[path = "../../fuzz/bodies/domain.rs"]
mod domain;
#[path = "../../fuzz/bodies/whole.rs"]
mod whole;

/// One input, on a busy machine in a build without optimisation.
const LONGEST: Duration = Duration::from_secs(30);

/// Panics by thread: tasks of a daemon may panic where nobody waits for them.
static PANICS: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Some(name) = std::thread::current().name().filter(|name| name.starts_with("replay-")) {
                let mut panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner);
                panics.entry(name.to_owned()).or_default().push(panic.to_string());
            }
            before(panic);
        }));
    });
}

/// Gives a target its corpus, file by file, on a thread of its own.
fn replay<T: 'static>(target: &str, begin: impl FnOnce() -> T + Send + 'static, body: fn(&T, &[u8])) {
    note_panics();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 1, "{} is empty", folder.display());
    let (tell, told) = mpsc::channel();
    let name = format!("replay-{target}");
    let all = files.len();
    let work = move || {
        let begun = begin();
        for file in files {
            let data = std::fs::read(&file).unwrap();
            let _ = tell.send(file.display().to_string());
            body(&begun, &data);
        }
    };
    let thread = std::thread::Builder::new().name(name.clone()).spawn(work).unwrap();
    let (mut seen, mut at) = (0, String::new());
    loop {
        match told.recv_timeout(LONGEST) {
            Ok(file) => (seen, at) = (seen + 1, file),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{at} takes longer than {LONGEST:?}"),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let ended = thread.join();
    let panics = PANICS.lock().unwrap_or_else(PoisonError::into_inner).remove(&name).unwrap_or_default();
    assert!(ended.is_ok() && panics.is_empty(), "{at}: {panics:?}");
    assert_eq!(seen, all);
}

macro_rules! replays {
    ($($name:ident: $body:path;)*) => {$(
        #[test]
        fn $name() {
            replay(stringify!($name), || (), |(), data| $body(data));
        }
    )*};
}

replays! {
    manifests: domain::manifests;
    entries: domain::entries;
    backups: domain::backups;
    snapshots: domain::snapshots;
    reports: domain::reports;
    schedules: domain::schedules;
    config: whole::config;
    dns: whole::dns;
    wire: whole::wire;
    messages: whole::messages;
}

#[test]
fn protos() {
    replay("protos", whole::Host::start, whole::Host::protos);
}

#[test]
fn every_target_is_replayed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> = entries.map(|path| path.file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    let replayed = [
        "backups",
        "config",
        "dns",
        "entries",
        "manifests",
        "messages",
        "protos",
        "reports",
        "schedules",
        "snapshots",
        "wire",
    ];
    assert_eq!(names("fuzz_targets"), replayed);
    assert_eq!(names("corpus"), replayed);
}
