//! The doors of the real process: tokens by keys that were fetched over HTTPS, the switch listener's certificate, and
//! callers who say nothing.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use failoverd::adapters::clock::SystemClock;
use failoverd::ports::Clock;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::bound::{seconds, within};
use super::fleet::{Fleet, get};
use super::security::authority::{Authority, Issued};
use super::security::{NO_DATABASE, Secured, said};

/// An identity provider: signs tokens, and serves its keys over HTTPS under an authority of its own.
struct Provider {
    pair: EcdsaKeyPair,
    authority: Authority,
    port: u16,
    asked: Arc<AtomicUsize>,
    serving: JoinSet<()>,
}

impl Provider {
    async fn up() -> Self {
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
        let authority = Authority::new("a public one");
        let Issued { cert, key } = authority.issue(&["127.0.0.1"]);
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let mut provider = Self { pair, authority, port, asked, serving: JoinSet::new() };
        let (acceptor, keys, asked) = (TlsAcceptor::from(Arc::new(config)), provider.keys(), provider.asked.clone());
        provider.serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 2_048];
                let _ = stream.read(&mut request).await;
                asked.fetch_add(1, Ordering::Relaxed);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", keys.len());
                let _ = stream.write_all((head + &keys).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        provider
    }

    fn keys(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (coordinate(&point[1..33]), coordinate(&point[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": x, "y": y }] }).to_string()
    }

    fn token(&self, group: &str) -> String {
        let now_s = SystemClock.now().0 / 1_000;
        let claims = json!({
            "iss": "https://login.example.com/", "aud": "failoverd", "email": "dora@example.com", "groups": [group],
            "exp": now_s + 3_600, "nbf": now_s - 60,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({ "alg": "ES256", "kid": "k1" })), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_judged_by_keys_fetched_over_https_also_while_the_provider_is_away() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut provider = Provider::up().await;
    let access = format!(
        "access:\n  oidc:\n    issuer: https://login.example.com/\n    audience: failoverd\n    \
         jwks_url: https://127.0.0.1:{}/keys\n    roles: {{ sre: operator }}\n",
        provider.port
    );
    let mut secured =
        Secured::new(&Authority::new("the fleet's"), &[NO_DATABASE, NO_DATABASE].map(String::from), &access);
    let trusted = secured.file("public", "pem");
    std::fs::write(&trusted, provider.authority.pem()).unwrap();
    let stranger = secured.file("stranger", "pem");
    std::fs::write(&stranger, Authority::new("somebody's").pem()).unwrap();
    let trusts = |at: usize| if at == 2 { &stranger } else { &trusted };
    for at in 0..3 {
        secured.start_one(at, |command| {
            command.env("SSL_CERT_FILE", trusts(at)).env_remove("SSL_CERT_DIR");
        });
    }
    secured.ready().await;
    within(seconds(20), "the keys are fetched", || async {
        (provider.asked.load(Ordering::Relaxed) > 0).then_some(())
    })
    .await;
    let token = |group: &str| {
        let file = secured.file(group, "token");
        std::fs::write(&file, provider.token(group) + "\n").unwrap();
        file.display().to_string()
    };
    let (operators, others) = (token("sre"), token("lunch"));
    let ca = secured.file("alice", "ca");
    let ctl = |token: &Path, arguments: &[&str]| {
        let mut all = vec!["--token-file", token.to_str().unwrap()];
        all.extend(arguments);
        said(&secured.ctl_with(&all, None, &ca))
    };
    let (code, text) = ctl(Path::new(&operators), &["pause", "--yes"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = ctl(Path::new(&others), &["resume", "--yes"]);
    assert_eq!(code, Some(4), "{text}");
    assert!(text.contains("dora@example.com"), "it says whom it took it from: {text}");
    // Whoever could answer in the provider's place would decide who is an administrator.
    within(seconds(30), "keys from an untrusted server are not taken", || async {
        secured.fleet.daemons[2].logged().contains("keys of the identity provider cannot be had").then_some(())
    })
    .await;
    assert!(!secured.fleet.daemons[2].data.join("jwks.json").exists());

    provider.serving.abort_all();
    while provider.serving.join_next().await.is_some() {}
    secured.fleet.daemons[0].kill();
    secured.start_one(0, |command| {
        command.env("SSL_CERT_FILE", &trusted);
    });
    secured.ready().await;
    let (ca, operators) = (secured.file("alice", "ca"), secured.file("sre", "token"));
    let arguments = ["--token-file", operators.to_str().unwrap(), "resume", "--yes"];
    let (code, text) = said(&secured.ctl_with(&arguments, None, &ca));
    assert_eq!(code, Some(0), "the copy on the disk is enough: {text}");
}

/// Whether a server on that port shows something that this authority has signed.
async fn shows(port: u16, authority: &Authority) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let Ok(mut stream) = TlsConnector::from(Arc::new(config)).connect(name, stream).await else { return false };
    stream.write_all(b"GET /s/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.starts_with(b"HTTP/1.1 ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_switch_listeners_certificate_is_exchanged_while_it_serves_and_the_silent_are_let_go() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = tempfile::tempdir().unwrap();
    let file = |end: &str| folder.path().join(format!("switch.{end}"));
    let lay = |authority: &Authority| {
        let Issued { cert, key } = authority.issue(&["127.0.0.1"]);
        std::fs::write(file("key"), key).unwrap();
        std::fs::write(file("crt"), cert).unwrap();
    };
    lay(&old);
    let switch = format!("switch: {{ tls: {{ cert: {}, key: {} }} }}\n", file("crt").display(), file("key").display());
    let mut secured = Secured::new(&old, &[NO_DATABASE, NO_DATABASE].map(String::from), &switch);
    for daemon in &secured.fleet.daemons {
        let text = std::fs::read_to_string(&daemon.config).unwrap();
        std::fs::write(&daemon.config, text.replace("https: false", "https: true")).unwrap();
    }
    secured.start(|_| ());
    secured.ready().await;
    let Fleet { daemons, .. } = &secured.fleet;
    let (ports, log) = (daemons[0].ports, || daemons[0].logged());
    assert!(shows(ports.switch, &old).await && !shows(ports.switch, &new).await);

    // More callers than may shake hands at once, on every door, who say nothing.
    let mut silent = Vec::new();
    for port in [ports.grpc, ports.switch, ports.ops] {
        for _ in 0..140 {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
                silent.push(stream);
            }
        }
    }
    // From this address there are more than may wait; they are let go after some seconds, and then it is our turn.
    within(seconds(30), "whoever says who they are is served", || async {
        (said(&secured.ctl("alice", &["status"])).0 == Some(0)).then_some(())
    })
    .await;
    assert_eq!(get(ports.ops, "/livez").await.unwrap().0, 200);
    for mut stream in silent {
        let mut byte = [0];
        let read = tokio::time::timeout(seconds(30), stream.read(&mut byte)).await.expect("it may be silent for ever");
        assert!(matches!(read, Ok(0) | Err(_)), "nothing is said to it");
    }

    // Half written: refused in words, and the old one goes on.
    let whole = std::fs::read(file("crt")).unwrap();
    std::fs::write(file("crt"), &whole[..whole.len() / 2]).unwrap();
    within(seconds(30), "bad files are told of", || async {
        log().contains("certificates need a person").then_some(())
    })
    .await;
    assert!(shows(ports.switch, &old).await);
    lay(&new);
    within(seconds(40), "the new one is shown", || async { shows(ports.switch, &new).await.then_some(()) }).await;
    assert!(!shows(ports.switch, &old).await);
    assert!(log().contains("new certificate files are in use"));
}
