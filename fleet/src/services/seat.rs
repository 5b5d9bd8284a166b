//! What makes one process differ from the others of its service.

use anyhow::{Result, bail};
use reqwest::Url;

/// The place of one process.
#[derive(Clone, Debug, Default)]
pub struct Seat {
    /// Port of its API; any free one when absent.
    pub port: Option<u16>,
    /// Ends of names of variables whose addresses lead to another port of the same host.
    pub ways: Vec<(&'static str, u16)>,
    /// Variables added last.
    pub variables: Vec<(String, String)>,
}

impl Seat {
    /// Turns the environment of the service into that of this process.
    pub fn furnish(&self, environment: &mut Vec<(String, String)>) -> Result<()> {
        for (name, value) in environment.iter_mut() {
            let way = self.ways.iter().find(|(end, _)| name.ends_with(end));
            if let Some((_, port)) = way {
                let mut url = Url::parse(value)?;
                if url.set_port(Some(*port)).is_err() {
                    bail!("{name} has no port");
                }
                *value = address_text(&url, value);
            }
        }
        environment.extend(self.variables.iter().cloned());
        Ok(())
    }
}

/// An address without a path stays one.
fn address_text(url: &Url, original: &str) -> String {
    let text = url.to_string();
    if original.ends_with('/') { text } else { text.trim_end_matches('/').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_through_the_proxy_and_keeps_everything_else() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![
            pair("EH_ORDER__DATABASE__URL", "mysql://a:b@127.0.0.1:3306/hub_order"),
            pair("EH_ORDER__DISCOVERY__CONSUL_URL", "http://127.0.0.1:8500"),
            pair("EH_ORDER__AMQP__URL", "amqp://guest:guest@127.0.0.1:5672/%2f"),
            pair("EH_ORDER__X__Y", "1"),
        ];
        let seat = Seat {
            port: None,
            ways: vec![("__DATABASE__URL", 1), ("__CONSUL_URL", 2), ("__AMQP__URL", 3)],
            variables: vec![pair("EH_ORDER__X__Y", "2")],
        };
        seat.furnish(&mut environment).unwrap();
        let values: Vec<&str> = environment.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(
            values,
            [
                "mysql://a:b@127.0.0.1:1/hub_order",
                "http://127.0.0.1:2",
                "amqp://guest:guest@127.0.0.1:3/%2f",
                "1",
                "2",
            ]
        );
    }
}
