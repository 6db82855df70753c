//! Three daemons in this process: real disks, real sockets, no outside world.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use failoverd::adapters::aws::{self, Account, Outside, Settings};
use failoverd::adapters::clock::SystemClock;
use failoverd::adapters::dns::AuthoritativeDns;
use failoverd::adapters::probe::{NetworkProber, ProberSettings};
use failoverd::api::{SwitchLimits, SwitchSettings};
use failoverd::consensus::Disk;
use failoverd::daemon::{Daemon, Listeners, Setup};
use failoverd::ports::{Clock, Leadership, World};
use failoverd::runtime::Timing;
use failoverd::telemetry::Telemetry;
use failoverd_domain::fleet::Role;
use failoverd_domain::ids::Region;
use failoverd_domain::traffic::SwitchEndpoint;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];

pub struct Trio {
    pub daemons: Vec<Option<Daemon>>,
    folder: tempfile::TempDir,
    ports: Vec<u16>,
    /// Where each answers Route 53's checkers.
    pub switches: Vec<SocketAddr>,
}

impl Trio {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut ports = Vec::new();
        for _ in REGIONS {
            ports.push(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port());
        }
        let mut trio =
            Self { daemons: vec![None, None, None], folder, ports, switches: vec![([127, 0, 0, 1], 0).into(); 3] };
        for me in 0..REGIONS.len() {
            trio.restart(me).await;
        }
        trio
    }

    pub async fn restart(&mut self, me: usize) {
        let grpc = TcpListener::bind(("127.0.0.1", self.ports[me])).await.unwrap();
        let (switch, ops) = (any().await, any().await);
        self.switches[me] = switch.local_addr().unwrap();
        let peers = REGIONS.iter().zip(&self.ports);
        // One address asks for all checkers, and as fast as it can.
        let limits = SwitchLimits { requests_of_a_source: Some(1_000_000), ..SwitchLimits::default() };
        let setup = Setup {
            settings: Default::default(),
            me: REGIONS[me].into(),
            fleet: "bench".into(),
            join: None,
            members: REGIONS.iter().map(|region| (Region::from(*region), Role::Member)).collect(),
            peers: peers.map(|(region, port)| ((*region).into(), format!("http://127.0.0.1:{port}"))).collect(),
            advertise: Some(SwitchEndpoint { host: "127.0.0.1".to_owned(), port: 1, https: false }),
            references: Vec::new(),
            listeners: Listeners { grpc, switch, ops },
            switch: SwitchSettings { limits, ..SwitchSettings::default() },
            secured: None,
            disk: Disk::Directory(self.data_of(me)),
            world: nowhere(),
            history: None,
            webhooks: None,
            keep: None,
            telemetry: Telemetry::counting(SystemClock.now()),
            clock: Arc::new(SystemClock),
            timing: Timing::fast(),
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_millis(200),
        };
        self.daemons[me] = Some(Daemon::start(setup).await.unwrap());
    }

    fn data_of(&self, me: usize) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(REGIONS[me])
    }

    pub fn leadership(&self, me: usize) -> Option<watch::Receiver<Leadership>> {
        self.daemons[me].as_ref().map(|daemon| daemon.handles().agreement.leadership())
    }

    /// The daemon that leads, once every running one has caught up and knows it.
    pub async fn leader(&self) -> usize {
        loop {
            let seen: Vec<Leadership> =
                (0..3).filter_map(|me| self.leadership(me)).map(|seen| seen.borrow().clone()).collect();
            let leader = REGIONS.iter().position(|region| {
                seen.iter().all(|seen| seen.caught_up && seen.leader.as_ref().is_some_and(|is| is.as_str() == *region))
            });
            match leader.filter(|leader| self.daemons[*leader].is_some()) {
                Some(leader) => return leader,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    }

    pub async fn stop(&mut self) {
        for daemon in self.daemons.iter_mut().filter_map(Option::take) {
            daemon.crash().await;
        }
    }
}

async fn any() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

fn nowhere() -> World {
    let prober = NetworkProber::new(ProberSettings { references: BTreeMap::new(), ..Default::default() });
    let outside = Outside {
        dns: Arc::new(AuthoritativeDns::new(&[([127, 0, 0, 1], 9).into()]).unwrap()),
        prober: Arc::new(prober.unwrap()),
        variables: Arc::default(),
    };
    // Nothing is applied, so nothing is asked.
    let settings = Settings {
        home: "us-east-1".into(),
        endpoint_url: Some("http://127.0.0.1:9".to_owned()),
        endpoints: BTreeMap::new(),
        mutation_timeout: Duration::from_secs(1),
        credentials: Some(("nobody".to_owned(), "nothing".to_owned())),
    };
    let account = Account::new(settings, Arc::new(SystemClock), Telemetry::counting(SystemClock.now()).meters);
    aws::world(&account, &outside)
}
