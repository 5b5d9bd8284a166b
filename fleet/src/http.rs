//! HTTP clients: the one place where they are made.

use reqwest::{Client, ClientBuilder};

/// Begins a client that asks no proxy. Also one that speaks plain HTTP needs a TLS provider in the
/// process, which is therefore installed first.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn client() -> ClientBuilder {
    // An error says that there is one already, which does as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder().no_proxy()
}

/// Why there is no answer, in a few words that can be counted.
pub fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "connection lost"
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn clients_are_made_any_number_of_times() {
        for _ in 0..2 {
            super::client().build().unwrap();
        }
    }
}
