//! How the services are reached: health, reflection, browsers, certificates.

use super::*;

#[tokio::test]
async fn health_and_both_reflections_are_on() {
    let served = plain().await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let request = tonic_health::pb::HealthCheckRequest { service: "failoverd.v1.StatusService".to_owned() };
    assert_eq!(health.check(request).await.unwrap().into_inner().status, 1);

    use tonic_reflection::pb::{v1, v1alpha};
    let mut new = v1::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let ask = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    let mut answers = new.server_reflection_info(tokio_stream::once(ask)).await.unwrap().into_inner();
    let answer = format!("{:?}", answers.message().await.unwrap());
    for service in ["StatusService", "ControlService", "PeerService", "grpc.health.v1.Health"] {
        assert!(answer.contains(service), "{service} is not in {answer}");
    }
    let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(served.channel.clone());
    let ask = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let ask = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(ask) };
    assert!(old.server_reflection_info(tokio_stream::once(ask)).await.is_ok());
}

#[tokio::test]
async fn a_browser_can_ask_too() {
    let served = plain().await;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}/failoverd.v1.StatusService/GetSwitches", served.url);
    let answer = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/grpc-web+proto")
        .header("x-grpc-web", "1")
        .body(vec![0, 0, 0, 0, 0])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc-web+proto");
    assert!(String::from_utf8_lossy(&answer.bytes().await.unwrap()).contains("grpc-status:0"));
}

fn test_tls() -> TlsPem {
    TlsPem {
        cert: include_bytes!("../testdata/cert.pem").to_vec(),
        key: include_bytes!("../testdata/key.pem").to_vec(),
        ca: include_bytes!("../testdata/ca.pem").to_vec(),
    }
}

#[tokio::test]
async fn with_tls_a_caller_needs_a_certificate() {
    let daemon = daemon(state_with(&["checkout"]), FakePeers::default(), Vec::new());
    let served = served_with(daemon, Some(secured(test_tls()))).await;
    let us = Region::from("us-east-1");
    let urls = BTreeMap::from([(us.clone(), served.url.clone())]);
    let peers = GrpcPeers::new(&urls, Some(&LiveTls::new(test_tls(), Callers::WithCertificate).unwrap())).unwrap();
    assert_eq!(peers.raft(&us, vec![1, 2]).await.unwrap(), [2, 1]);

    let ca = tonic::transport::Certificate::from_pem(test_tls().ca);
    let nobody = tonic::transport::ClientTlsConfig::new().ca_certificate(ca);
    let endpoint = Channel::from_shared(served.url.clone()).unwrap().tls_config(nobody).unwrap();
    let answer = StatusServiceClient::new(endpoint.connect_lazy()).get_switches(proto::GetSwitchesRequest {}).await;
    assert!(answer.is_err(), "no certificate, no answer");
}

#[tokio::test]
async fn a_question_is_short_and_a_manifest_may_be_long() {
    let served = plain().await;
    let long = || "x".repeat(100 * 1024);
    let asked = proto::GetServiceRequest { name: long() };
    assert_eq!(served.status().get_service(asked).await.unwrap_err().code(), Code::OutOfRange);
    let mut health = tonic_health::pb::health_client::HealthClient::new(served.channel.clone());
    let asked = tonic_health::pb::HealthCheckRequest { service: long() };
    assert_eq!(health.check(asked).await.unwrap_err().code(), Code::OutOfRange);
    let files =
        vec![proto::ManifestFile { name: "a.yaml".to_owned(), content: format!("# {}\n", long()).into_bytes() }];
    let request = proto::ApplyRequest { files, prune: false, dry_run: true, confirm: Vec::new() };
    let taken = served.control().apply(request).await;
    assert_ne!(taken.err().map(|refused| refused.code()), Some(Code::OutOfRange));
}
