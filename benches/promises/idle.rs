//! What an idle daemon needs of the machine's memory.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Measured;
use crate::trio::REGIONS;

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The largest of three daemons that lead, follow and witness, with nothing to do.
pub async fn memory() -> Vec<Measured> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ports: Vec<[u16; 3]> = (0..3).map(|_| free_ports()).collect();
    let fleet: Vec<Running> = (0..3).map(|me| start(folder.path(), me, &ports)).collect();
    for [.., ops] in &ports {
        until_ready(*ops).await;
    }
    // Idle means after the start, with everything allocated that a quiet minute would allocate.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let largest = fleet.iter().map(|running| resident_mb(running.0.id())).fold(0.0, f64::max);
    vec![Measured::new("an idle daemon's resident memory, the largest of three", largest, 60.0, "MB")]
}

fn free_ports() -> [u16; 3] {
    let held = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn start(folder: &std::path::Path, me: usize, ports: &[[u16; 3]]) -> Running {
    let (region, [grpc, switch, ops]) = (REGIONS[me], ports[me]);
    let mut text = format!(
        "fleet: bench\nregion: {region}\nrole: witness\ndata_dir: {}\n\
         listen: {{ grpc: 127.0.0.1:{grpc}, switch: 127.0.0.1:{switch}, ops: 127.0.0.1:{ops} }}\n\
         advertise: {{ switch: {{ host: 127.0.0.1, port: {switch}, https: false }} }}\n\
         references: {{ far-away-1: 'http://127.0.0.1:{ops}/livez' }}\n\
         database: {{ url: 'postgres://nobody@127.0.0.1:1/none' }}\npeers:\n",
        folder.join(region).display(),
    );
    for (region, [grpc, ..]) in REGIONS.iter().zip(ports) {
        writeln!(text, "  {region}: {{ url: 'http://127.0.0.1:{grpc}', role: witness }}").unwrap();
    }
    let config = folder.join(format!("{region}.yaml"));
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverd"));
    command.arg("--config").arg(config).arg("--dev").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap())
}

async fn until_ready(ops: u16) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async {
        loop {
            match client.get(format!("http://127.0.0.1:{ops}/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => return,
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.unwrap();
}

/// <https://www.kernel.org/doc/html/latest/filesystems/proc.html>, VmRSS.
pub fn resident_mb(id: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1_024.0
}
