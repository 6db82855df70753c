//! The keys of an identity provider: over HTTPS or out of a file, and the copy that is kept in the data directory. A copy says
//! where it came from: keys of a provider of before sign nothing for the one of now.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::redirect;
use serde::{Deserialize, Serialize};

use crate::ports::KeySource;

/// One look, answer included.
const LIMIT: Duration = Duration::from_secs(5);
/// Largest key set that is read.
const LARGEST: usize = 256 * 1024;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// `https://…`
    Url(String),
    /// A file that somebody else keeps fresh.
    File(PathBuf),
}

/// What is kept on the disk.
#[derive(Serialize, Deserialize)]
struct Copy {
    from: Place,
    /// As they came.
    keys: String,
}

/// The keys of an identity provider.
pub struct Jwks {
    place: Place,
    client: reqwest::Client,
    copy: PathBuf,
}

impl Jwks {
    /// Keys from there, of which a copy is kept in a file. The process must have installed a TLS provider before.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(place: Place, copy: PathBuf) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .timeout(LIMIT)
            .user_agent(concat!("failoverd/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { place, client, copy })
    }

    async fn over_https(&self, url: &str) -> Result<Vec<u8>, reqwest::Error> {
        let mut answer = self.client.get(url).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                break;
            }
        }
        Ok(body)
    }
}

#[async_trait]
impl KeySource for Jwks {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let keys = match &self.place {
            Place::Url(url) => self.over_https(url).await.map_err(|error| error.without_url().to_string())?,
            Place::File(file) => {
                let read = tokio::fs::read(file).await;
                read.map_err(|error| format!("{} cannot be read: {error}", file.display()))?
            }
        };
        if keys.len() > LARGEST { Err(format!("is larger than {LARGEST} bytes")) } else { Ok(keys) }
    }

    async fn kept(&self) -> Option<Vec<u8>> {
        let read = tokio::fs::read(&self.copy).await.ok()?;
        let copy: Copy = serde_json::from_slice(&read).ok()?;
        (copy.from == self.place).then(|| copy.keys.into_bytes())
    }

    /// Whole or not at all: a crash leaves the old copy.
    async fn keep(&self, keys: &[u8]) -> Result<(), String> {
        let beside = self.copy.with_extension("new");
        let keys = String::from_utf8(keys.to_vec()).map_err(|_| "a key set is text, and this is none".to_owned())?;
        let copy = serde_json::to_vec(&Copy { from: self.place.clone(), keys }).map_err(|error| error.to_string())?;
        let written = async {
            tokio::fs::write(&beside, copy).await?;
            tokio::fs::rename(&beside, &self.copy).await
        };
        written.await.map_err(|error| format!("{}: {error}", self.copy.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_kept_and_replaced_whole() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (file, copy) = (folder.path().join("keys"), folder.path().join("jwks.json"));
        let keys = Jwks::new(Place::File(file.clone()), copy.clone()).unwrap();
        assert_eq!(keys.kept().await, None);
        assert!(keys.fetch().await.unwrap_err().contains("cannot be read"));
        std::fs::write(&file, b"one").unwrap();
        keys.keep(&keys.fetch().await.unwrap()).await.unwrap();
        keys.keep(b"two").await.unwrap();
        assert_eq!(keys.kept().await.unwrap(), b"two");
        let other = Jwks::new(Place::Url("https://id.example/keys".to_owned()), copy).unwrap();
        assert_eq!(other.kept().await, None, "another provider's keys are not this one's");
        std::fs::write(&file, vec![b'x'; LARGEST + 1]).unwrap();
        assert!(keys.fetch().await.unwrap_err().contains("larger"));
    }
}
