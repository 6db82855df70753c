//! Backups, and a person's word on where a service of a restored fleet is.

use failoverd_domain::fleet::Backup;
use failoverd_domain::format::Format;
use failoverd_domain::health::{Matrix, ReplicaReadiness, Report, StoreReading};

use super::proto::fleet_service_client::FleetServiceClient;
use super::*;

impl Served {
    fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel.clone())
    }
}

#[tokio::test]
async fn a_backup_comes_in_pieces_and_is_what_is_agreed() {
    let names: Vec<String> = (0..300).map(|number| format!("service-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let state = state_with(&names);
    let served = served(daemon(state.clone(), FakePeers::default(), Vec::new())).await;
    let mut pieces = served.fleet().back_up(proto::BackUpRequest {}).await.unwrap().into_inner();
    let (mut file, mut count) = (Vec::new(), 0);
    while let Some(piece) = pieces.message().await.unwrap() {
        assert!(piece.data.len() <= 256 * 1024);
        count += 1;
        file.extend(piece.data);
    }
    assert!(count > 1, "{} bytes", file.len());
    let backup = Backup::read(&file, Format::NEWEST).unwrap();
    assert_eq!((backup.state, backup.about.taken_at), (state, fake::NOW));
}

fn place(serving: &str) -> proto::ConfirmServiceRequest {
    proto::ConfirmServiceRequest {
        service: "checkout".to_owned(),
        serving: vec![serving.to_owned()],
        writers: None,
        although_seen_elsewhere: false,
    }
}

#[tokio::test]
async fn what_aws_says_of_the_data_is_held_against_a_persons_word() {
    let reading = StoreReading {
        service: "checkout".into(),
        store: "orders-db".into(),
        region: "us-east-1".into(),
        readiness: ReplicaReadiness::Ready,
        writer: Some(true),
        canary: None,
        lag_ms: None,
        age_ms: 0,
    };
    let mut matrix = Matrix::default();
    matrix.take(fake::NOW, Report { stores: vec![reading], ..report("us-east-1") });
    let mut daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let (_seen, watched) = tokio::sync::watch::channel(Arc::new(matrix));
    daemon.handles.matrix = watched;
    let served = served(daemon).await;
    let status = served.fleet().confirm_service(place("eu-west-1")).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert!(status.message().contains("the writer of orders-db is in us-east-1, not in eu-west-1"), "{status}");
    assert!(served.proposed().is_empty());

    let knows_better = proto::ConfirmServiceRequest { although_seen_elsewhere: true, ..place("eu-west-1") };
    served.fleet().confirm_service(knows_better).await.unwrap();
    served.fleet().confirm_service(place("us-east-1")).await.unwrap();
    let confirm = |region: &str| Command::Confirm {
        service: "checkout".into(),
        serving: [Region::from(region)].into(),
        writers: region.into(),
    };
    let proposed: Vec<Command> = served.proposed().into_iter().map(|(_, command)| command).collect();
    assert_eq!(proposed, [confirm("eu-west-1"), confirm("us-east-1")]);
    let unknown = proto::ConfirmServiceRequest { service: "nobody".into(), ..place("us-east-1") };
    let status = served.fleet().confirm_service(unknown).await.unwrap_err();
    assert_eq!(read_status(&status).0.as_deref(), Some("NO_SUCH_SERVICE"));
}
