//! The audit log of each schema: unbroken chains of real seals, and objects that are as the last row
//! of their chain says. So the end of a chain cannot be cut off without its object.
//!
//! What did not change since its schema has an audit log may have no rows.

use anyhow::Result;
use chrono::{DateTime, Utc};

use crate::audit::snapshot::Snapshot;
use crate::audit::{Invariant, Report, seals};

const INVARIANT: Invariant = Invariant::new(21);

/// The state in a row. Whoever may write the schema may write what is no JSON, which a server does not
/// read on from.
const STATE: &str = "IF(JSON_VALID(a.after_state), a.after_state, JSON_OBJECT())";

/// The schemas that keep a log.
const SCHEMAS: [&str; 5] = ["user", "auth", "order", "payment", "notify"];

/// Objects that the last row of their chain has to describe.
struct Described {
    name: &'static str,
    schema: &'static str,
    /// The objects, and the name of an object in the log.
    tables: &'static str,
    object: &'static str,
    /// When an object changed last.
    changed_at: &'static str,
    /// Members of the row's state, and what they have to be.
    members: &'static [(&'static str, &'static str)],
}

/// When an object changed last, by its column, and not before it was made, by its id (UUIDv7): a column
/// is as easily changed as rows are removed, and the id is in other schemas too.
const CHANGED_OR_MADE: &str = "GREATEST(o.updated_at, COALESCE(IF(SUBSTR(HEX(o.id), 13, 1) = '7', \
     TIMESTAMPADD(SECOND, CONV(LEFT(HEX(o.id), 12), 16, 10) DIV 1000, '1970-01-01'), NULL), \
     o.updated_at))";

const DESCRIBED: &[Described] = &[
    Described {
        name: "user_is_not_as_its_last_audit_row_says",
        schema: "user",
        tables: "{user}.users o",
        object: "'user:', {uuid:o.id}",
        changed_at: CHANGED_OR_MADE,
        members: &[
            ("version", "o.version"),
            ("status", "o.status"),
            (
                "roles",
                "(SELECT GROUP_CONCAT(r.role ORDER BY r.role) FROM {user}.user_roles r \
              WHERE r.user_id = o.id)",
            ),
        ],
    },
    Described {
        name: "order_is_not_as_its_last_audit_row_says",
        schema: "order",
        tables: "{order}.orders o",
        object: "'order:', {uuid:o.id}",
        // Another attempt to pay touches the row of an order and changes nothing that is told.
        changed_at: "(SELECT h.occurred_at FROM {order}.order_history h WHERE h.order_id = o.id \
                     AND h.version = o.version)",
        members: &[
            ("version", "o.version"),
            ("status", "o.status"),
            ("total", "o.total"),
            ("currency", "o.currency"),
        ],
    },
    Described {
        name: "product_is_not_as_its_last_audit_row_says",
        schema: "order",
        tables: "{order}.products o",
        object: "'product:', o.sku",
        changed_at: "o.updated_at",
        members: &[
            ("version", "o.version"),
            ("unit_price", "o.unit_price"),
            ("currency", "o.currency"),
            ("name", "o.name"),
        ],
    },
    Described {
        name: "payment_is_not_as_its_last_audit_row_says",
        schema: "payment",
        tables: "{payment}.payments o LEFT JOIN {payment}.refunds r ON r.payment_id = o.id",
        object: "'payment:', {uuid:o.id}",
        changed_at: CHANGED_OR_MADE,
        members: &[
            ("version", "o.version"),
            ("status", "o.status"),
            ("amount", "o.amount"),
            ("currency", "o.currency"),
            ("refund_status", "COALESCE(r.status, 'null')"),
        ],
    },
];

/// A question about the log of one schema; `{since:COLUMN}` leaves out what is older than the log.
struct Question {
    name: &'static str,
    schema: &'static str,
    sql: &'static str,
}

const QUESTIONS: &[Question] = &[
    Question {
        name: "refund_without_audit_row",
        schema: "order",
        sql: "SELECT {uuid:r.id} AS subject, CONCAT('of order ', {uuid:r.order_id}, ': ', \
              COUNT(a.id), ' rows tell of it') AS detail FROM {order}.refunds r \
              LEFT JOIN {order}.audit_log a ON a.object = {object:'order:', {uuid:r.order_id}} \
              AND JSON_UNQUOTE(JSON_EXTRACT(IF(JSON_VALID(a.after_state), a.after_state, \
              JSON_OBJECT()), '$.refund_id')) = {uuid:r.id} \
              WHERE {since:r.created_at} GROUP BY r.id, r.order_id, r.done_at \
              HAVING COUNT(a.id) <> IF(r.done_at IS NULL, 1, 2)",
    },
    Question {
        name: "session_is_not_as_its_audit_row_says",
        schema: "auth",
        sql: "SELECT {uuid:s.id} AS subject, CONCAT('is ', s.status, ', and ', \
              IF(a.id IS NULL, 'no', 'a'), ' row tells of its end') AS detail \
              FROM {auth}.sessions s LEFT JOIN {auth}.audit_log a \
              ON a.object = {object:'session:', {uuid:s.id}} AND a.seq = 1 \
              WHERE (s.status = 'ACTIVE' AND a.id IS NOT NULL) \
              OR (s.status <> 'ACTIVE' AND a.id IS NULL AND {since:s.ended_at})",
    },
    Question {
        name: "signing_key_without_audit_row",
        schema: "auth",
        sql: "SELECT k.kid AS subject, CONCAT(IF(k.signs = 1, 'signs', 'waits or is retired'), \
              ', and no row says so') AS detail FROM {auth}.signing_keys k \
              LEFT JOIN {auth}.audit_log a ON a.object = {object:'key:', k.kid} \
              AND (k.signs IS NULL OR a.action IN ('key.signs', 'key.replaced_all')) \
              WHERE a.id IS NULL AND {since:k.created_at}",
    },
    Question {
        name: "dead_letter_decision_without_audit_row",
        schema: "notify",
        sql: "SELECT {uuid:d.id} AS subject, CONCAT(d.status, ' by ', \
              COALESCE({uuid:d.decided_by}, 'nobody')) AS detail FROM {notify}.dead_letters d \
              LEFT JOIN {notify}.audit_log a \
              ON a.object = {object:'dead_letter:', {uuid:d.id}} \
              AND a.actor_id <=> d.decided_by \
              AND a.action = {object:'dead_letter.', LOWER(d.status)} \
              WHERE d.status <> 'OPEN' AND {since:d.decided_at} AND a.id IS NULL",
    },
    Question {
        name: "audit_row_of_no_user",
        schema: "user",
        sql: "SELECT a.object AS subject, 'there is no such user' AS detail \
              FROM {user}.audit_log a LEFT JOIN {user}.users o \
              ON o.id = UNHEX(REPLACE(SUBSTRING(a.object, 6), '-', '')) \
              WHERE a.object LIKE 'user:%' AND a.seq = 1 AND o.id IS NULL",
    },
    Question {
        name: "audit_row_of_no_order",
        schema: "order",
        sql: "SELECT a.object AS subject, 'there is no such order' AS detail \
              FROM {order}.audit_log a LEFT JOIN {order}.orders o \
              ON o.id = UNHEX(REPLACE(SUBSTRING(a.object, 7), '-', '')) \
              WHERE a.object LIKE 'order:%' AND a.seq = 1 AND o.id IS NULL",
    },
    Question {
        name: "audit_row_of_no_payment",
        schema: "payment",
        sql: "SELECT a.object AS subject, 'there is no such payment' AS detail \
              FROM {payment}.audit_log a LEFT JOIN {payment}.payments o \
              ON o.id = UNHEX(REPLACE(SUBSTRING(a.object, 9), '-', '')) \
              WHERE a.object LIKE 'payment:%' AND a.seq = 1 AND o.id IS NULL",
    },
];

/// The names of the questions, and of the checks of the chains themselves.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let described = DESCRIBED.iter().map(|one| one.name);
    let asked = QUESTIONS.iter().map(|one| one.name);
    described.chain(asked).chain([
        "audit_chain_has_a_gap",
        "audit_chain_is_torn",
        "audit_row_is_under_another_actor",
    ])
}

pub(super) async fn check(snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    for schema in SCHEMAS {
        if !snapshot.has_column(schema, "audit_log", "seal").await? {
            report.could_not_see(INVARIANT, "a schema keeps no audit log");
            continue;
        }
        chains(schema, snapshot, report).await?;
        actors(schema, snapshot, report).await?;
        seals::check(schema, snapshot, report).await?;
        let dated = snapshot.has_column(schema, "_sqlx_migrations", "installed_on").await?;
        let since = since(schema, snapshot.audit_since(), dated);
        let since = since.as_deref();
        for described in DESCRIBED.iter().filter(|one| one.schema == schema) {
            let sql = expand(&described.question(), since);
            snapshot.ask_dynamic((INVARIANT, described.name), &sql, report).await?;
        }
        for question in QUESTIONS.iter().filter(|question| question.schema == schema) {
            let sql = expand(question.sql, since);
            snapshot.ask_dynamic((INVARIANT, question.name), &sql, report).await?;
        }
    }
    Ok(())
}

/// Every chain counts from one without a gap, and each row names the seal of the one before it.
async fn chains(schema: &str, snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let gap = format!(
        "SELECT object AS subject, CONCAT(COUNT(*), ' rows up to number ', MAX(seq)) AS detail \
         FROM {{{schema}}}.audit_log GROUP BY object HAVING MIN(seq) <> 1 OR MAX(seq) <> COUNT(*)"
    );
    snapshot.ask_dynamic((INVARIANT, "audit_chain_has_a_gap"), &gap, report).await?;
    let torn = format!(
        "SELECT a.object AS subject, CONCAT('row ', a.seq, ' does not continue the row before \
         it') AS detail FROM {{{schema}}}.audit_log a LEFT JOIN {{{schema}}}.audit_log b \
         ON b.object = a.object AND b.seq = CAST(a.seq AS SIGNED) - 1 \
         WHERE NOT a.prev_seal <=> b.seal"
    );
    snapshot.ask_dynamic((INVARIANT, "audit_chain_is_torn"), &torn, report).await
}

/// The id of who did it, by which rows are found, is the one that the sealed actor names.
async fn actors(schema: &str, snapshot: &mut Snapshot, report: &mut Report) -> Result<()> {
    let moved = format!(
        "SELECT a.object AS subject, CONCAT('row ', a.seq, ' is found under another actor') AS \
         detail FROM {{{schema}}}.audit_log a WHERE NOT a.actor_id <=> \
         IF(a.actor LIKE 'user:%' OR a.actor LIKE 'admin:%', \
         UNHEX(REPLACE(SUBSTRING_INDEX(a.actor, ':', -1), '-', '')), NULL)"
    );
    snapshot.ask_dynamic((INVARIANT, "audit_row_is_under_another_actor"), &moved, report).await
}

impl Described {
    /// The last row that has a state: some tell of what is none.
    fn question(&self) -> String {
        let Self { schema, tables, object, changed_at, members, .. } = self;
        let (mut differs, mut says, mut is) = (Vec::new(), Vec::new(), Vec::new());
        for (member, value) in *members {
            let said = format!("JSON_UNQUOTE(JSON_EXTRACT({STATE}, '$.{member}'))");
            differs.push(format!(
                "NOT CONVERT({said} USING utf8mb4) COLLATE utf8mb4_bin <=> \
                CONVERT({value} USING utf8mb4) COLLATE utf8mb4_bin"
            ));
            says.push(format!("COALESCE({said}, '-')"));
            is.push(format!("COALESCE({value}, '-')"));
        }
        format!(
            "SELECT CONCAT({object}) AS subject, CONCAT_WS(' ', 'is', {is}, 'and its last row \
             says', {says}) AS detail FROM {tables} LEFT JOIN (SELECT b.object, MAX(b.seq) AS seq \
             FROM {{{schema}}}.audit_log b WHERE b.after_state IS NOT NULL GROUP BY b.object) l \
             ON l.object = {{object:{object}}} LEFT JOIN {{{schema}}}.audit_log a \
             ON a.object = l.object AND a.seq = l.seq \
             WHERE (a.id IS NULL AND {{since:{changed_at}}}) \
             OR (a.id IS NOT NULL AND ({{since:{changed_at}}} OR {{since:a.occurred_at}}) \
             AND ({differs}))",
            is = is.join(", "),
            says = says.join(", "),
            differs = differs.join(" OR "),
        )
    }
}

/// From when on a change has to have its row, as SQL: since the log was made, if anybody wrote down
/// when.
fn since(schema: &str, told: Option<DateTime<Utc>>, dated: bool) -> Option<String> {
    match told {
        Some(time) => Some(format!("'{}'", time.format("%Y-%m-%d %H:%M:%S%.6f"))),
        // The oldest row too: the time of the migration is as easily changed as a row is removed.
        None if dated => Some(format!(
            "(SELECT LEAST(MAX(m.installed_on), COALESCE((SELECT MIN(l.occurred_at) \
             FROM {{{schema}}}.audit_log l), MAX(m.installed_on))) \
             FROM {{{schema}}}._sqlx_migrations m WHERE m.description = 'audit log')"
        )),
        None => None,
    }
}

/// Translates `{since:TIME}`, and `{object:TEXTS}`, which is a name in the log: of the column's own
/// collation, so that its key is used.
fn expand(sql: &str, since: Option<&str>) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some((before, kind, inside, after)) = next(rest) {
        text.push_str(before);
        match (kind, since) {
            ("object", _) => {
                text.extend(["CONVERT(CONCAT(", inside, ") USING ascii) COLLATE ascii_bin"]);
            }
            (_, Some(since)) => text.extend(["(", inside, " >= ", since, ")"]),
            (_, None) => text.push_str("TRUE"),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

/// The first of these placeholders: what is before it, its name, what is inside, what is behind.
fn next(sql: &str) -> Option<(&str, &str, &str, &str)> {
    let found =
        ["object", "since"].map(|kind| sql.find(&format!("{{{kind}:")).map(|at| (at, kind)));
    let (start, kind) = found.into_iter().flatten().min()?;
    let inside = start + kind.len() + 2;
    let mut depth = 1;
    let end = sql[inside..].find(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        depth == 0
    })?;
    Some((&sql[..start], kind, &sql[inside..inside + end], &sql[inside + end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_log_is_left_out() {
        let sql = "SELECT 1 FROM x WHERE {since:x.at} AND {uuid:x.id} = 1";
        assert_eq!(expand(sql, None), "SELECT 1 FROM x WHERE TRUE AND {uuid:x.id} = 1");
        let dated = expand(sql, since("user", None, true).as_deref());
        assert!(dated.contains("(x.at >= (SELECT LEAST(MAX(m.installed_on)"), "{dated}");
        let told = expand(sql, since("user", Some(DateTime::UNIX_EPOCH), true).as_deref());
        assert!(told.contains("(x.at >= '1970-01-01 00:00:00.000000')"), "{told}");
    }

    #[test]
    fn an_object_may_hold_an_identity() {
        assert_eq!(
            expand("a = {object:'user:', {uuid:u.id}} AND {since:(SELECT {uuid:x})}", None),
            "a = CONVERT(CONCAT('user:', {uuid:u.id}) USING ascii) COLLATE ascii_bin AND TRUE"
        );
    }
}
