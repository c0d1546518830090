//! Asking a page, as any customer would. Deliberately nothing of Echelon in between.

use std::{sync::OnceLock, time::Duration};

/// Of one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Status and body of a page on the loopback address.
///
/// # Errors
/// Nobody listens, or the answer does not come whole within five seconds.
pub async fn get(port: u16, path: &str) -> reqwest::Result<(u16, String)> {
    page(&format!("http://127.0.0.1:{port}{path}")).await
}

/// Status and body of a page anywhere.
///
/// # Errors
/// Nobody listens, or the answer does not come whole within five seconds.
pub async fn page(url: &str) -> reqwest::Result<(u16, String)> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let request = CLIENT.get_or_init(reqwest::Client::new).get(url);
    let answer = request.timeout(ANSWER_WITHIN).send().await?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await?))
}
