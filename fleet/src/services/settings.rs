//! Tells a service, by its environment, where it listens and where the others are.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::Service;
use crate::credentials::Credentials;
use crate::middleware::Addresses;
use crate::schema::Schema;

/// What the services of one fleet have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the middleware answers.
    pub addresses: Addresses,
    /// The schema of each service that has one.
    pub schemas: Vec<(&'static Service, Schema)>,
    /// By which they know each other.
    pub credentials: Credentials,
    /// Name space in RabbitMQ and Redis.
    pub namespace: String,
    /// Variables added as they are, last: they win.
    pub extra: Vec<(String, String)>,
}

impl Settings {
    /// The environment of one process.
    ///
    /// Services refuse settings they do not know, hence the look into the service's own defaults:
    /// a section that is not there is not set.
    pub fn environment(
        &self,
        root: &Path,
        service: &Service,
        (port, internal_port): (u16, u16),
    ) -> Result<Vec<(String, String)>> {
        let sections = sections(root, service)?;
        let text = |path: std::path::PathBuf| path.display().to_string();
        let mut variables = vec![
            ("tls", "certificate_path", text(self.credentials.certificate(service.name))),
            ("tls", "key_path", text(self.credentials.key(service.name))),
            ("tls", "ca_path", text(self.credentials.ca(service.name))),
            ("server", "listen", format!("127.0.0.1:{port}")),
            ("server", "internal_listen", format!("127.0.0.1:{internal_port}")),
            ("discovery", "consul_url", self.addresses.consul.clone()),
            ("amqp", "url", self.addresses.amqp.clone()),
            ("amqp", "namespace", self.namespace.clone()),
            ("redis", "url", self.addresses.redis.clone()),
            ("redis", "namespace", self.namespace.clone()),
        ];
        if let Some((_, schema)) = self.schemas.iter().find(|(owner, _)| *owner == service) {
            variables.push(("database", "url", schema.url(&self.addresses.mysql)?));
        }
        let own = variables
            .into_iter()
            .filter(|(section, ..)| sections.contains(*section))
            .map(|(section, key, value)| (variable(service, section, key), value));
        let events = if sections.contains("events") {
            self.credentials.event_variables(service.name)
        } else {
            Vec::new()
        };
        let prefix = format!("{}__", service.variable);
        let own =
            own.chain(events.into_iter().map(|(end, file)| (format!("{prefix}{end}"), text(file))));
        let extra = self.extra.iter().filter(|(name, _)| {
            // A variable of another service would be refused as unknown only by that service,
            // yet passing it on would hide a typing error in a test.
            let for_all = ["EH_PROFILE", "EH_MUTANT"].contains(&name.as_str());
            name.starts_with(&prefix) || !name.starts_with("EH_") || for_all
        });
        Ok(own.chain(extra.cloned()).collect())
    }
}

fn variable(service: &Service, section: &str, key: &str) -> String {
    format!("{}__{}__{}", service.variable, section.to_uppercase(), key.to_uppercase())
}

/// The sections of a service's `config/default.toml`.
fn sections(root: &Path, service: &Service) -> Result<BTreeSet<String>> {
    let file = root.join(service.name).join("config/default.toml");
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    parse_sections(&text).with_context(|| format!("{} is not valid", file.display()))
}

fn parse_sections(text: &str) -> Result<BTreeSet<String>> {
    let table: toml::Table = text.parse()?;
    Ok(table.into_iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(folder: &Path) -> Settings {
        Settings {
            credentials: Credentials::provide(&folder.join("credentials")).unwrap(),
            addresses: Addresses {
                mysql: "mysql://root:pw@127.0.0.1:23306".to_owned(),
                consul: "http://127.0.0.1:28500".to_owned(),
                ..Addresses::default()
            },
            schemas: crate::schema::of_services(Schema::development),
            namespace: "test".to_owned(),
            extra: vec![
                ("EH_ORDER__ORDERS__TTL_MS".to_owned(), "1".to_owned()),
                ("EH_USER__X__Y".to_owned(), "2".to_owned()),
            ],
        }
    }

    fn environment_with(defaults: &str) -> Vec<(String, String)> {
        let root = std::env::temp_dir().join(format!("ehub-settings-{}", rand::random::<u64>()));
        std::fs::create_dir_all(root.join("order-service/config")).unwrap();
        std::fs::write(root.join("order-service/config/default.toml"), defaults).unwrap();
        let order = Service::find("order-service").unwrap();
        let environment = settings(&root).environment(&root, order, (1, 2)).unwrap();
        std::fs::remove_dir_all(root).unwrap();
        environment
    }

    #[test]
    fn only_sections_that_a_service_has_are_set() {
        let environment = environment_with("[server]\n[tls]\n[database]\nurl = ''\n[amqp]\n");
        let names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "EH_ORDER__TLS__CERTIFICATE_PATH",
                "EH_ORDER__TLS__KEY_PATH",
                "EH_ORDER__TLS__CA_PATH",
                "EH_ORDER__SERVER__LISTEN",
                "EH_ORDER__SERVER__INTERNAL_LISTEN",
                "EH_ORDER__AMQP__URL",
                "EH_ORDER__AMQP__NAMESPACE",
                "EH_ORDER__DATABASE__URL",
                "EH_ORDER__ORDERS__TTL_MS",
            ]
        );
    }

    #[test]
    fn a_service_gets_its_own_account() {
        let environment = environment_with("[database]\n");
        let expected = "mysql://hub_order:hub_order@127.0.0.1:23306/hub_order";
        assert_eq!(environment[0].1, expected);
    }
}
