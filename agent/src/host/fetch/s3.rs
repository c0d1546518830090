//! `s3://BUCKET/KEY` as a URL that can be fetched for a while: `object_store` knows how buckets are addressed, as whom this
//! machine may read them and how a request is signed, and what is signed is fetched like anything else, with its ranges
//! and bounds. Signed anew for each try, so that a key that was changed is used at once. Deliberately no listing, no writing.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path as FilePath, time::Duration};

use object_store::{
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
    signer::{Method, Signer as _},
};
use reqwest::Url;
use serde::Deserialize;

use super::{S3, source::Answer};

/// A download that has begun may go on beyond it.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);
const REGION: &str = "us-east-1";
const OTHERS_READ: u32 = 0o004;

/// Of the credentials file. No Debug: what it holds is said nowhere.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

#[derive(Debug)]
pub(super) struct Buckets {
    settings: S3,
}

impl Buckets {
    pub(super) const fn new(settings: S3) -> Self {
        Self { settings }
    }

    /// A URL that is good for a while.
    pub(super) async fn signed(&self, url: &str) -> Result<Url, Answer> {
        let never = |why: &str| Answer::Never(why.to_owned());
        let rest = url.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
        let (bucket, key) = rest
            .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
            .ok_or_else(|| never("it must be s3://BUCKET/KEY"))?;
        let key = Path::parse(key).map_err(|error| Answer::Never(error.to_string()))?;
        let bucket = self.bucket(bucket).map_err(Answer::Never)?;
        let signed = bucket.signed_url(Method::GET, &key, SIGNED_FOR).await;
        // The machine's role may come late after a boot.
        signed.map_err(|error| Answer::Again(format!("it cannot be signed: {}", innermost(&error)), None))
    }

    fn bucket(&self, name: &str) -> Result<AmazonS3, String> {
        let S3 {
            region,
            endpoint,
            credentials,
        } = &self.settings;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(region.as_deref().unwrap_or(REGION))
            .with_virtual_hosted_style_request(endpoint.is_none())
            // Whoever fetches tries again.
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            });
        if let Some(endpoint) = endpoint {
            let is_plain = endpoint.starts_with("http://");
            builder = builder.with_endpoint(endpoint).with_allow_http(is_plain);
        }
        if let Some(path) = credentials {
            let keys = read(path)?;
            builder = builder
                .with_access_key_id(keys.access_key_id)
                .with_secret_access_key(keys.secret_access_key);
            if let Some(token) = keys.session_token {
                builder = builder.with_token(token);
            }
        }
        builder.build().map_err(|error| innermost(&error))
    }
}

/// An error names the file and never a line of it.
fn read(path: &FilePath) -> Result<Keys, String> {
    let named = |why: &str| format!("the credentials {}: {why}", path.display());
    let meta = fs::metadata(path).map_err(|error| named(&error.to_string()))?;
    if meta.mode() & OTHERS_READ != 0 {
        return Err(named("every user can read them; chmod 600"));
    }
    let text = fs::read_to_string(path).map_err(|error| named(&error.to_string()))?;
    toml::from_str(&text).map_err(|_| named("they must be access_key_id, secret_access_key and perhaps session_token"))
}

fn innermost(error: &object_store::Error) -> String {
    let mut error: &dyn std::error::Error = error;
    while let Some(inner) = error.source() {
        error = inner;
    }
    error.to_string()
}
