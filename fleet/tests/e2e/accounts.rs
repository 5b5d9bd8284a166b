//! The accounts of the services at the database: each has rights on its own schema and no other.

use anyhow::{Result, ensure};
use fleet::services::Service;
use fleet::{Fleet, FleetOptions};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

/// What the server answers when the account may not.
const DENIED: [u16; 5] = [
    1044, // to a schema
    1142, // to a table
    1227, // for want of a privilege
    1370, // to a routine
    1410, // to give rights away
];

async fn is_denied(connection: &mut MySqlConnection, statement: &str) -> Result<()> {
    let outcome = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await;
    let Err(sqlx::Error::Database(error)) = outcome else {
        anyhow::bail!("{statement}: {outcome:?}");
    };
    let number = error
        .try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>()
        .map(sqlx::mysql::MySqlDatabaseError::number);
    ensure!(number.is_some_and(|number| DENIED.contains(&number)), "{statement}: {error}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn no_account_reaches_beyond_its_own_schema() -> Result<()> {
    let fleet = Fleet::start(FleetOptions::default()).await?;
    let schema = |name: &str| format!("{}_{name}", fleet.namespace());
    let owners = || Service::ALL.iter().filter_map(|one| one.schema.map(|name| (one, name)));
    for (service, own) in owners() {
        let mut connection = fleet.database(service.name).await?;
        for (_, other) in owners().filter(|(_, name)| *name != own) {
            let other = schema(other);
            for statement in [
                format!("SELECT * FROM `{other}`._sqlx_migrations"),
                format!("INSERT INTO `{other}`._sqlx_migrations (version) VALUES (1)"),
                format!("DROP TABLE `{other}`._sqlx_migrations"),
                format!("CREATE TABLE `{other}`.planted (id INT)"),
                format!("USE `{other}`"),
            ] {
                is_denied(&mut connection, &statement).await?;
            }
        }
        let own = schema(own);
        for statement in [
            "SELECT * FROM mysql.user".to_owned(),
            "CREATE DATABASE planted".to_owned(),
            // An underscore in a grant stands for any character unless it is escaped.
            format!("CREATE DATABASE `{}`", own.replace('_', "x")),
            format!("GRANT SELECT ON `{own}`.* TO CURRENT_USER()"),
            "SET GLOBAL max_connections = 1".to_owned(),
        ] {
            is_denied(&mut connection, &statement).await?;
        }
        sqlx::raw_sql("SELECT * FROM _sqlx_migrations").execute(&mut connection).await?;
        connection.close().await?;
    }
    fleet.finish().await
}
