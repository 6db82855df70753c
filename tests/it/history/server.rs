//! The private server: nothing of it may be left behind.

use std::time::Duration;

use failoverd::sandbox::postgres::PrivatePostgres;
use tokio::io::AsyncBufReadExt;

#[tokio::test]
async fn a_private_server_leaves_nothing_behind() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let stopped = PrivatePostgres::start(parent.path(), 0).await.unwrap();
    let dropped = PrivatePostgres::start(parent.path(), 0).await.unwrap();
    let (ports, folders) =
        ([stopped.port(), dropped.port()], [stopped.folder().to_owned(), dropped.folder().to_owned()]);
    assert!(folders.iter().all(|folder| folder.starts_with(parent.path())));
    stopped.stop().await;
    drop(dropped);
    for (port, folder) in ports.iter().zip(&folders) {
        assert!(!folder.exists());
        assert!(tokio::net::TcpStream::connect(("127.0.0.1", *port)).await.is_err());
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = PrivatePostgres::start(parent.path(), taken.local_addr().unwrap().port()).await.err().unwrap();
    assert!(refused.to_string().contains("Address already in use"), "{refused}");
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
}

const ORPHANAGE: &str = "FAILOVERD_TEST_ORPHANAGE";

/// Not a test by itself: the process that `a_killed_sandbox_leaves_no_server_running` kills.
#[tokio::test]
#[ignore = "started and killed by another test"]
async fn holds_a_server_until_killed() {
    let parent = std::env::var(ORPHANAGE).unwrap();
    let server = PrivatePostgres::start(parent.as_ref(), 0).await.unwrap();
    println!("\nport {}", server.port());
    std::future::pending::<()>().await;
}

async fn closes_within(port: u16, limit: Duration) {
    let deadline = tokio::time::Instant::now() + limit;
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the server outlived its sandbox");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_killed_sandbox_leaves_no_server_running() {
    let parent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut sandbox = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "history::server::holds_a_server_until_killed", "--ignored", "--nocapture"])
        .env(ORPHANAGE, parent.path())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(sandbox.stdout.take().unwrap()).lines();
    let port: u16 = loop {
        let line = lines.next_line().await.unwrap().expect("it ended before it said its port");
        if let Some(port) = line.strip_prefix("port ") {
            break port.parse().unwrap();
        }
    };
    tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    sandbox.kill().await.unwrap();
    let told = std::process::Command::new("setpriv").args(["--pdeathsig", "keep", "true"]).status();
    if told.is_ok_and(|status| status.success()) {
        closes_within(port, Duration::from_secs(20)).await;
    }
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "a killed process cannot tidy up");
    let next = PrivatePostgres::start(parent.path(), 0).await.unwrap();
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "the next one does, and has a folder itself");
    closes_within(port, Duration::from_secs(90)).await;
    next.stop().await;
}
