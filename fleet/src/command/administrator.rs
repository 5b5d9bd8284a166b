//! Who asks the fleet for what only administrators may.

use anyhow::{Context, Result};

use super::seed::base_url;
use crate::harness::Api;
use crate::seed;

/// Options of commands for administrators.
#[derive(Debug, clap::Args)]
pub(super) struct Administrator {
    /// Base address of the API; by default that of the fleet that `up` has started
    #[arg(long, global = true)]
    url: Option<String>,
    /// E-mail address of an administrator; by default the one of the development profile. The password is
    /// taken from EHUB_ADMIN_PASSWORD
    #[arg(long, global = true)]
    email: Option<String>,
}

impl Administrator {
    /// A client with the administrator's account.
    pub(super) async fn login(&self) -> Result<Api> {
        let (email, password) = self.account();
        let visitor = Api::new(base_url(self.url.as_ref())?)?;
        visitor.login(&email, &password).await.context("the administrator cannot log in")
    }

    /// Whether it is the fleet that `up` has started.
    pub(super) fn is_local(&self) -> bool {
        self.url.is_none()
    }

    /// Whom to log in as. A password has no place on the command line, where every process can read
    /// it.
    fn account(&self) -> (String, String) {
        let password = crate::environment::find("EHUB_ADMIN_PASSWORD");
        (
            self.email.as_ref().map_or_else(|| seed::ADMIN_EMAIL.to_owned(), Clone::clone),
            password.unwrap_or_else(|| seed::ADMIN_PASSWORD.to_owned()),
        )
    }
}
