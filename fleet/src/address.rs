//! Addresses of servers as URLs.

use anyhow::{Context, Result, bail};
use reqwest::Url;

/// Parses an address and refuses one without a host.
pub fn parse(text: &str, schemes: &[&str]) -> Result<Url> {
    let url = Url::parse(text).with_context(|| format!("not an address: {}", redact(text)))?;
    if !schemes.contains(&url.scheme()) {
        bail!("{} has to start with {}://", redact(text), schemes.join(":// or "));
    }
    if url.host_str().is_none_or(str::is_empty) {
        bail!("{} names no host", redact(text));
    }
    Ok(url)
}

/// The host and port of an address.
pub fn host_port(url: &Url, default_port: u16) -> (String, u16) {
    let host = url.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
    (host.to_owned(), url.port_or_known_default().unwrap_or(default_port))
}

/// The address of a schema on the same server under its own account.
pub fn with_account(admin: &Url, account: &str, password: &str, schema: &str) -> Result<String> {
    let mut url = admin.clone();
    let changed = url.set_username(account).is_ok() && url.set_password(Some(password)).is_ok();
    if !changed {
        bail!("{} cannot carry an account", redact(admin.as_str()));
    }
    url.set_path(schema);
    Ok(url.into())
}

/// The address without its password, fit for a terminal or a log.
pub fn redact(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Cannot fail: an address with a password has a host.
            let _ = url.set_password(Some("***"));
            url.into()
        }
        Ok(url) if url.has_host() => text.to_owned(),
        // Without a host, a password may stand anywhere.
        _ if text.contains('@') => "an address that is not shown".to_owned(),
        _ => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_into_host_and_port() {
        let cases = [
            ("mysql://root:pw@db.internal:3307", ("db.internal", 3307)),
            ("mysql://root:pw@db.internal", ("db.internal", 3306)),
            ("redis://[::1]:6380/0", ("::1", 6380)),
            ("http://127.0.0.1", ("127.0.0.1", 80)),
        ];
        for (text, (host, port)) in cases {
            let url = parse(text, &["mysql", "redis", "http"]).unwrap();
            assert_eq!(host_port(&url, 3306), (host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn a_bad_address_is_refused_without_showing_its_password() {
        for text in ["mysql:", "postgres://u:s3cret@host", "user:s3cret@host", ""] {
            let message = format!("{:#}", parse(text, &["mysql"]).unwrap_err());
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn a_schema_address_keeps_host_and_options() {
        let admin = parse("mysql://root:pw@h:3307/?ssl-mode=REQUIRED", &["mysql"]).unwrap();
        let url = with_account(&admin, "hub_order", "p@ss", "hub_order").unwrap();
        assert_eq!(url, "mysql://hub_order:p%40ss@h:3307/hub_order?ssl-mode=REQUIRED");
    }

    #[test]
    fn the_password_is_hidden() {
        assert_eq!(redact("amqp://guest:guest@h:5672/%2f"), "amqp://guest:***@h:5672/%2f");
        assert_eq!(redact("redis://h:6379"), "redis://h:6379");
    }
}
