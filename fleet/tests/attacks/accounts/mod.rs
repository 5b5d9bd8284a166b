//! Registration, login and passwords: A026 to A042.

mod floods;
mod names;
mod passwords;
mod throttling;
mod timing;

use anyhow::Result;
use fleet::harness::{Api, Reply};
use serde_json::json;

use crate::support::run::{Row, row};

use self::floods::{a039_one_address_a_hundred_times_at_once, a040_a_flood_of_logins};
use self::names::{
    a032_an_address_that_is_taken, a033_names_that_look_like_others,
    a034_composed_and_decomposed_letters, a035_odd_names, a036_odd_addresses,
    a037_sql_in_every_text, a038_logins_of_another_shape,
};
use self::passwords::{
    a029_passwords_too_long_and_too_short, a030_passwords_of_any_characters,
    a031_passwords_that_are_guessed_first, a041_hashes_and_the_address,
};
use self::throttling::{
    a027_guessing_one_account_from_everywhere, a028_one_password_for_many_accounts,
    a042_guessing_the_current_password,
};
use self::timing::a026_accounts_that_are_there_and_that_are_not;

/// The rows of this section.
pub(crate) fn rows() -> Vec<Row> {
    vec![
        row!(a026_accounts_that_are_there_and_that_are_not)
            .alone()
            .within(std::time::Duration::from_mins(10)),
        row!(a027_guessing_one_account_from_everywhere),
        row!(a028_one_password_for_many_accounts),
        row!(a029_passwords_too_long_and_too_short),
        row!(a030_passwords_of_any_characters),
        row!(a031_passwords_that_are_guessed_first),
        row!(a032_an_address_that_is_taken),
        row!(a033_names_that_look_like_others),
        row!(a034_composed_and_decomposed_letters),
        row!(a035_odd_names),
        row!(a036_odd_addresses),
        row!(a037_sql_in_every_text),
        row!(a038_logins_of_another_shape),
        row!(a039_one_address_a_hundred_times_at_once),
        row!(a040_a_flood_of_logins).alone(),
        row!(a041_hashes_and_the_address),
        row!(a042_guessing_the_current_password),
    ]
}

/// Tries to log in.
async fn try_login(api: &Api, email: &str, password: &str) -> Result<Reply> {
    api.post("/api/v1/auth/login", &json!({"email": email, "password": password})).await
}

/// The reasons of the violations, by field.
fn reasons(reply: &Reply) -> Vec<(String, String)> {
    let violations = reply.body["violations"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    violations.iter().map(|found| (text(&found["field"]), text(&found["reason"]))).collect()
}
