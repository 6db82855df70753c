//! One request as Route 53's health checkers make it.

use std::time::Duration;

use failoverd_domain::route53::Protocol;
use reqwest::Client;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{bare_client, in_words};

/// How long checkers wait for a connection, then for the answer, then for its body, and how much of it they search.
/// <https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-failover-determining-health-of-endpoints.html>
const TCP: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(4);
const ANSWER: Duration = Duration::from_secs(2);
const BODY: Duration = Duration::from_secs(2);
const BODY_BYTES: usize = 5_120;

/// Fetches what a checker would see. Certificates are not verified, as Route 53 does not verify them.
#[derive(Clone, Debug)]
pub struct HttpFetch {
    client: Client,
}

impl HttpFetch {
    /// A client of a checker. The process must have installed a TLS provider before.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        let client =
            bare_client().tls_danger_accept_invalid_certs(true).tls_certs_only([]).connect_timeout(CONNECT).build()?;
        Ok(Self { client })
    }

    /// Status and at most the first 5,120 bytes of the body; for TCP, status 0 and no body once connected.
    ///
    /// # Errors
    /// What was seen instead of an answer.
    pub async fn fetch(&self, protocol: Protocol, host: &str, port: u16, path: &str) -> Result<(u16, Vec<u8>), String> {
        let scheme = match protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Tcp => return connect(host, port).await,
        };
        let url = format!("{scheme}://{host}:{port}/{}", path.trim_start_matches('/'));
        let limit = CONNECT + ANSWER;
        let response = self.client.get(url).timeout(limit + BODY).send();
        let response = timeout(limit, response)
            .await
            .map_err(|_| format!("no answer within {} s", limit.as_secs()))?
            .map_err(|error| in_words(&error, limit))?;
        let status = response.status().as_u16();
        let body = timeout(BODY, first_bytes(response)).await;
        Ok((status, body.map_err(|_| format!("HTTP {status}, but no body within {} s", BODY.as_secs()))??))
    }
}

async fn connect(host: &str, port: u16) -> Result<(u16, Vec<u8>), String> {
    match timeout(TCP, TcpStream::connect((host, port))).await {
        Err(_) => Err(format!("no connection within {} s", TCP.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Ok((0, Vec::new())),
    }
}

async fn first_bytes(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while body.len() < BODY_BYTES {
        match response.chunk().await.map_err(|error| in_words(&error, BODY))? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(BODY_BYTES);
    Ok(body)
}
