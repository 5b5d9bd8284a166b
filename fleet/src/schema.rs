//! One schema and one account per service.
//!
//! An account has rights on its own schema only: what a service may not read, it cannot read. The
//! rights include changing tables, because a service applies its own migrations at start.

use std::fmt::Write;

use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::services::Service;
use crate::{address, random};

const RIGHTS: &str = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES";

/// A schema and the account that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// Name of the schema and of the account.
    pub name: String,
    /// Password of the account.
    pub password: String,
}

impl Schema {
    /// The documented development account: its password is its name.
    pub fn development(name: &str) -> Self {
        Self { name: name.to_owned(), password: name.to_owned() }
    }

    /// An account nobody can guess, in a name space of its own.
    pub fn private(prefix: &str, name: &str) -> Self {
        let password = random::token();
        Self { name: format!("{prefix}{name}"), password }
    }

    /// The address under which the service reaches it.
    pub fn url(&self, admin: &str) -> Result<String> {
        let admin = address::parse(admin, &["mysql", "mariadb"])?;
        address::with_account(&admin, &self.name, &self.password, &self.name)
    }

    fn creation(&self, existing: Existing) -> Result<String> {
        let Self { name, password } = self;
        ensure_plain(name)?;
        ensure_plain(password)?;
        // In a grant, an underscore in a schema's name stands for any character.
        let pattern = name.replace('_', "\\_");
        let mut sql = String::new();
        write!(
            sql,
            "CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\
             CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{password}';\
             GRANT {RIGHTS} ON `{pattern}`.* TO '{name}'@'%'"
        )?;
        if existing == Existing::Reset {
            write!(sql, ";ALTER USER '{name}'@'%' IDENTIFIED BY '{password}'")?;
        }
        Ok(sql)
    }
}

/// The schemas of all services that store anything.
pub fn of_services(make: impl Fn(&str) -> Schema) -> Vec<(&'static Service, Schema)> {
    Service::ALL
        .iter()
        .filter_map(|service| service.schema.map(|name| (service, make(name))))
        .collect()
}

/// What becomes of the passwords of accounts that exist already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They are set anew: the server is one of our own.
    Reset,
    /// They stay: the server is somebody else's.
    Keep,
}

/// Creates schemas and accounts, and checks that the accounts can log in. What exists keeps its
/// data.
pub async fn create<'a>(
    admin: &str,
    schemas: impl IntoIterator<Item = &'a Schema>,
    existing: Existing,
) -> Result<()> {
    let mut connection = connect(admin).await?;
    for schema in schemas {
        execute(&mut connection, schema.creation(existing)?).await.with_context(|| {
            format!(
                "schema {} cannot be created; the account in {} has to be allowed to create \
                 schemas and accounts",
                schema.name,
                address::redact(admin)
            )
        })?;
        let own = connect(&schema.url(admin)?).await.with_context(|| {
            format!(
                "account {} exists with another password; remove the account, or use a server \
                 without it",
                schema.name
            )
        })?;
        own.close().await?;
    }
    Ok(connection.close().await?)
}

/// Removes schemas with all data, and their accounts.
pub async fn remove<'a>(admin: &str, schemas: impl IntoIterator<Item = &'a Schema>) -> Result<()> {
    let mut connection = connect(admin).await?;
    for Schema { name, .. } in schemas {
        ensure_plain(name)?;
        let sql = format!("DROP DATABASE IF EXISTS `{name}`; DROP USER IF EXISTS '{name}'@'%'");
        execute(&mut connection, sql).await?;
    }
    Ok(connection.close().await?)
}

async fn connect(admin: &str) -> Result<MySqlConnection> {
    MySqlConnection::connect(admin)
        .await
        .with_context(|| format!("no connection to {}", address::redact(admin)))
}

async fn execute(connection: &mut MySqlConnection, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}

/// Names and passwords go into statements that take no parameters.
pub(crate) fn ensure_plain(text: &str) -> Result<()> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        bail!("only letters, digits and underscores are allowed in names and passwords");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_gets_rights_on_its_own_schema_alone() {
        let sql = Schema::development("hub_order").creation(Existing::Keep).unwrap();
        assert!(sql.ends_with("ON `hub\\_order`.* TO 'hub_order'@'%'"), "{sql}");
        assert!(!sql.contains("*.*"), "{sql}");
    }

    #[test]
    fn passwords_on_somebody_elses_server_are_left_alone() {
        let schema = Schema::development("hub_order");
        assert!(!schema.creation(Existing::Keep).unwrap().contains("ALTER USER"));
        assert!(schema.creation(Existing::Reset).unwrap().contains("ALTER USER"));
    }

    #[test]
    fn a_name_that_could_end_the_statement_is_refused() {
        for name in ["", "x`; DROP", "a b", "ü"] {
            assert!(Schema::development(name).creation(Existing::Keep).is_err(), "{name}");
        }
    }

    #[test]
    fn every_service_but_the_gateway_has_a_schema() {
        let names: Vec<String> =
            of_services(Schema::development).into_iter().map(|(_, schema)| schema.name).collect();
        assert_eq!(names, ["hub_user", "hub_auth", "hub_order", "hub_payment", "hub_notify"]);
    }

    #[test]
    fn private_accounts_differ_and_fit_the_limit_of_account_names() {
        let (one, two) = (Schema::private("t1a2b3c4_", "hub_payment"), Schema::private("x", "x"));
        assert_ne!(one.password, two.password);
        assert!(one.name.len() <= 32 && one.creation(Existing::Keep).is_ok());
    }
}
