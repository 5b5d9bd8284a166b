//! What `up` tells a service of the local fleet by its environment.

use anyhow::Result;

use super::{AdministratorAddresses, settings};
use crate::credentials::Credentials;
use crate::layout::Layout;
use crate::process::Records;
use crate::sandbox;
use crate::services::{Service, last_good};

/// The variables of the first process of a service; `None` when no fleet has been started, because
/// nobody knows then where the servers will be.
pub fn environment(layout: &Layout, service: &Service) -> Result<Option<Vec<(String, String)>>> {
    let Ok(local) = AdministratorAddresses::load(layout) else { return Ok(None) };
    let records = Records::new(layout.records()).list()?;
    let record = records.iter().find(|record| record.name == service.name);
    let ports = match record.map(|record| &record.ports[..]) {
        Some([port, internal_port]) => (*port, *internal_port),
        _ => (service.port, service.internal_port),
    };
    let settings = settings(local.servers(), Credentials::at(&layout.credentials()));
    let mut variables = settings.environment(layout.root(), service, ports)?;
    variables.splice(0..0, last_good(layout, service, service.name));
    if let Some(provider) = local.provider.filter(|_| service.name == "payment-service") {
        variables.extend(sandbox::variables(layout, &provider.url));
    }
    Ok(Some(variables))
}
