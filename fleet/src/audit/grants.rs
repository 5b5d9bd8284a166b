//! The rights of the services' database accounts: each on its own schema, and nothing else.

use anyhow::Result;

use super::snapshot::Snapshot;
use super::{Invariant, Report};

const FOREIGN: &str = "account_may_open_another_schema";
const GLOBAL: &str = "account_has_rights_on_everything";
const MISSING: &str = "account_has_no_rights";
/// What the server calls an account without any right of its own.
const NONE: &str = "USAGE";

pub(super) async fn check(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let invariant = const { Invariant::new(23) };
    for name in [FOREIGN, GLOBAL, MISSING] {
        report.checked(invariant, name);
    }
    let everywhere: Vec<(String, String)> = snapshot
        .rows(
            "SELECT CONVERT(GRANTEE USING utf8mb4), CONVERT(PRIVILEGE_TYPE USING utf8mb4) \
             FROM information_schema.USER_PRIVILEGES",
        )
        .await?;
    let somewhere: Vec<(String, String)> = snapshot
        .rows(
            "SELECT CONVERT(GRANTEE USING utf8mb4), CONVERT(TABLE_SCHEMA USING utf8mb4) \
             FROM information_schema.SCHEMA_PRIVILEGES GROUP BY GRANTEE, TABLE_SCHEMA UNION \
             SELECT CONVERT(GRANTEE USING utf8mb4), CONVERT(TABLE_SCHEMA USING utf8mb4) \
             FROM information_schema.TABLE_PRIVILEGES GROUP BY GRANTEE, TABLE_SCHEMA",
        )
        .await?;
    for schema in snapshot.schemas() {
        let own = format!("'{schema}'@");
        let is_own = |grantee: &str| grantee.starts_with(&own);
        for (grantee, right) in everywhere.iter().filter(|(grantee, _)| is_own(grantee)) {
            if right != NONE {
                report.add((invariant, GLOBAL), grantee.clone(), right.clone());
            }
        }
        let mut has_any = false;
        for (grantee, pattern) in somewhere.iter().filter(|(grantee, _)| is_own(grantee)) {
            has_any = true;
            // In a grant, an underscore that is not escaped stands for any character.
            let opens = pattern.replace("\\_", "_");
            let is_exact = opens == schema && !pattern.replace("\\_", "").contains(['_', '%']);
            if !is_exact {
                report.add((invariant, FOREIGN), grantee.clone(), format!("opens {pattern}"));
            }
        }
        if !has_any {
            let detail = format!("no account of this name has rights on schema {schema}");
            report.add((invariant, MISSING), schema, detail);
        }
    }
    Ok(())
}
