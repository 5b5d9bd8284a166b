//! The route table: every path and method, who may use it, what it counts against, and which codes
//! it answers with beyond those that follow from its form.

mod admin;
mod auth;
mod conditions;
#[cfg(test)]
mod damage;
mod dead_mails;
mod docs;
mod extract;
mod json;
mod keys;
mod language;
mod links;
mod notifications;
mod object;
mod orders;
mod payments;
mod probes;
mod products;
mod reconciliation;
mod roles;
pub(crate) mod route;
mod sessions;
mod users;
mod wire;

pub(crate) use route::Route;
use utoipa_axum::routes;

use crate::limit::Class::{self, Docs, Login, Mail, Payment, Refresh, Register};
use crate::shedding::Priority::{self, Pay};

/// Every route, in the order of the documentation.
pub(crate) fn table() -> Vec<Route> {
    let parts = [users_and_sessions(), links(), shop(), people_and_operators(), outside_the_api()];
    parts.into_iter().flatten().collect()
}

fn users_and_sessions() -> Vec<Route> {
    vec![
        Route::open(routes!(users::register))
            .counts(Register)
            .answers(&["ACCOUNT_EXISTS", "PASSWORD_WEAK"]),
        Route::user(routes!(users::read_me)).answers(&["USER_NOT_FOUND"]),
        Route::user(routes!(users::update_me)).answers(&["USER_NOT_FOUND"]),
        Route::user(routes!(users::change_password)).counts(Login).answers(&[
            "CURRENT_PASSWORD_WRONG",
            "PASSWORD_THROTTLED",
            "PASSWORD_WEAK",
            "USER_NOT_FOUND",
        ]),
        Route::admin(routes!(users::list)),
        Route::admin(routes!(users::read)).answers(&["USER_NOT_FOUND"]),
        Route::admin(routes!(users::set_status)).answers(&["USER_NOT_FOUND", "OWN_ACCOUNT"]),
        Route::admin(routes!(users::set_roles)).answers(&["USER_NOT_FOUND", "LAST_ADMIN"]),
        Route::admin(routes!(sessions::end_sessions)).answers(&["USER_NOT_FOUND"]),
        Route::open(routes!(auth::login)).counts(Login).answers(&[
            "CREDENTIALS_INVALID",
            "ACCOUNT_DISABLED",
            "LOGIN_THROTTLED",
        ]),
        Route::open(routes!(auth::refresh)).counts(Refresh).answers(&[
            "REFRESH_INVALID",
            "REFRESH_REUSED",
            "ACCOUNT_DISABLED",
        ]),
        Route::holder(routes!(auth::logout)),
        Route::user(routes!(sessions::list)),
        Route::user(routes!(sessions::end_all)),
        Route::user(routes!(sessions::end)).answers(&["SESSION_NOT_FOUND"]),
        Route::open(routes!(auth::jwks)),
    ]
}

fn links() -> Vec<Route> {
    vec![
        Route::user(routes!(links::request_verification))
            .counts(Mail)
            .answers(&["MAIL_THROTTLED", "USER_NOT_FOUND"]),
        Route::open(routes!(links::verify))
            .counts(Login)
            .answers(&["ACCOUNT_DISABLED", "USER_TOKEN_INVALID"]),
        Route::open(routes!(links::request_recovery)).counts(Mail).answers(&["MAIL_THROTTLED"]),
        Route::open(routes!(links::recover)).counts(Login).answers(&[
            "ACCOUNT_DISABLED",
            "PASSWORD_WEAK",
            "USER_TOKEN_INVALID",
        ]),
    ]
}

fn shop() -> Vec<Route> {
    vec![
        Route::open(routes!(products::list)),
        Route::open(routes!(products::read)).answers(&["PRODUCT_NOT_FOUND"]),
        Route::admin(routes!(products::put)).answers(&["CURRENCY_INVALID", "AMOUNT_OUT_OF_RANGE"]),
        Route::user(routes!(orders::create)).counts(Payment).answers(&[
            "PRODUCT_UNKNOWN",
            "OUT_OF_STOCK",
            "QUOTA_EXCEEDED",
            "CURRENCY_MIXED",
            "AMOUNT_OUT_OF_RANGE",
            "PAYMENT_METHOD_INVALID",
        ]),
        Route::user(routes!(orders::list)),
        Route::user(routes!(orders::read)).answers(&["ORDER_NOT_FOUND"]),
        Route::user(routes!(orders::pay)).counts(Payment).matters(Pay).answers(&[
            "ORDER_NOT_FOUND",
            "ORDER_STATE_CONFLICT",
            "PAYMENT_IN_PROGRESS",
            "PAYMENT_METHOD_INVALID",
        ]),
        Route::user(routes!(orders::cancel)).counts(Payment).matters(Pay).answers(&[
            "ORDER_NOT_FOUND",
            "ORDER_STATE_CONFLICT",
            "PAYMENT_IN_PROGRESS",
        ]),
        Route::user(routes!(orders::refund))
            .counts(Payment)
            .matters(Pay)
            .answers(&["ORDER_NOT_FOUND", "ORDER_STATE_CONFLICT"]),
        Route::admin(routes!(orders::ship)).answers(&["ORDER_NOT_FOUND", "ORDER_STATE_CONFLICT"]),
        Route::admin(routes!(orders::complete))
            .answers(&["ORDER_NOT_FOUND", "ORDER_STATE_CONFLICT"]),
        Route::user(routes!(orders::timeline)).answers(&["ORDER_NOT_FOUND"]),
        Route::user(routes!(payments::read)).answers(&["PAYMENT_NOT_FOUND"]),
        Route::open(routes!(payments::callback))
            .takes_any_body()
            .counts(Class::Callback)
            .matters(Priority::Callback)
            .answers(&[
                "SIGNATURE_MALFORMED",
                "SIGNATURE_MISSING",
                "SIGNATURE_INVALID",
                "TIMESTAMP_OUT_OF_RANGE",
                "CALLBACK_INVALID",
                "AMOUNT_MISMATCH",
                "PAYMENT_NOT_FOUND",
            ]),
    ]
}

fn people_and_operators() -> Vec<Route> {
    vec![
        Route::user(routes!(notifications::list)),
        Route::user(routes!(notifications::mark_read)).answers(&["NOTIFICATION_NOT_FOUND"]),
        Route::user(routes!(notifications::read_preferences)),
        Route::user(routes!(notifications::put_preferences)),
        Route::admin(routes!(keys::list)),
        Route::admin(routes!(keys::rotate)),
        Route::admin(routes!(admin::services)),
        Route::admin(routes!(admin::list_dead_letters)),
        Route::admin(routes!(admin::read_dead_letter)).answers(&["DEAD_LETTER_NOT_FOUND"]),
        Route::admin(routes!(admin::replay_dead_letter)).answers(&[
            "DEAD_LETTER_NOT_FOUND",
            "DEAD_LETTER_DECIDED",
            "REPLAY_FAILED",
        ]),
        Route::admin(routes!(admin::discard_dead_letter))
            .needs_no_body()
            .answers(&["DEAD_LETTER_NOT_FOUND", "DEAD_LETTER_DECIDED"]),
        Route::admin(routes!(dead_mails::list_dead_mails)),
        Route::admin(routes!(dead_mails::replay_dead_mail))
            .answers(&["DEAD_MAIL_NOT_FOUND", "REPLAY_FAILED"]),
        Route::admin(routes!(admin::list_stuck_orders)),
        Route::admin(routes!(reconciliation::compare)),
    ]
}

fn outside_the_api() -> Vec<Route> {
    vec![
        Route::open(routes!(probes::livez)).served_locally(),
        Route::open(routes!(probes::readyz)).served_locally(),
        Route::open(routes!(docs::document)).served_locally().counts(Docs),
        Route::open(routes!(docs::page)).served_locally().counts(Docs),
        Route::open(routes!(docs::index)).served_locally().counts(Docs),
        Route::open(routes!(docs::file))
            .served_locally()
            .counts(Docs)
            .answers(&["ROUTE_NOT_FOUND"]),
        Route::open(routes!(docs::errors)).served_locally().counts(Docs),
        Route::open(routes!(docs::error))
            .served_locally()
            .counts(Docs)
            .answers(&["ERROR_PAGE_NOT_FOUND"]),
    ]
}
