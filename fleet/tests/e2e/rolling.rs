//! Every process is replaced in turn while customers order, and nothing is lost.

use anyhow::Result;
use fleet::Fleet;
use fleet::rolling::{self, Options};
use fleet::services::Service;
use fleet::ui::Progress;
use sqlx::Connection;

use crate::support::number;

#[tokio::test]
#[ignore = "needs the middleware: cargo ehub test"]
async fn replacing_every_process_under_load_loses_nothing() -> Result<()> {
    let options = Options {
        rounds: number("EH_TEST_ROLLING_ROUNDS", 1)?,
        requests: number("EH_TEST_ROLLING_REQUESTS", Options::default().requests)?,
        ..Options::default()
    };
    let mut fleet = Fleet::start(rolling::fleet()).await?;
    let report = Box::pin(rolling::run(&mut fleet, options, &Progress::silent())).await?;
    assert!(report.is_clean(), "{report}");
    assert!(report.requests >= options.requests && report.orders > 0, "{report}");
    let idle: Vec<_> = report.turns.iter().filter(|turn| turn.requests == 0).collect();
    assert!(idle.is_empty(), "replaced without load: {idle:?}");
    let rounds = report.turns.last().map_or(0, |turn| turn.round);
    for change in ["schemas expanded", "schemas contracted"] {
        let changes = report.turns.iter().filter(|turn| turn.what == change);
        assert_eq!(changes.count(), rounds, "{report}");
    }
    nothing_was_left_behind(&fleet).await?;
    fleet.finish().await
}

/// Neither the services nor the audit would notice.
async fn nothing_was_left_behind(fleet: &Fleet) -> Result<()> {
    for service in Service::ALL.iter().filter(|service| service.schema.is_some()) {
        let mut connection = fleet.database(service.name).await?;
        let left: i64 = sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM information_schema.COLUMNS \
             WHERE TABLE_SCHEMA = DATABASE() AND COLUMN_NAME LIKE 'roll%') + \
             (SELECT COUNT(*) FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND INDEX_NAME LIKE 'roll%')",
        )
        .fetch_one(&mut connection)
        .await?;
        assert_eq!(left, 0, "{}", service.name);
        connection.close().await?;
    }
    Ok(())
}
