//! Why a configuration is refused.

use std::path::PathBuf;

/// A configuration that the process must not start with. The text names the key and where its
/// value came from.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key is unknown or missing, or its value does not fit.
    #[error("invalid configuration: `{key}`: {message} ({origin})")]
    Value {
        /// Dotted path of the key.
        key: String,
        /// What is wrong.
        message: String,
        /// Where the value came from, or how to give one.
        origin: String,
    },
    /// A file is not TOML.
    #[error("invalid configuration: {origin}: {message}")]
    Syntax {
        /// Which text it is.
        origin: String,
        /// What is wrong, without the line itself: it may hold a secret.
        message: String,
    },
    /// A file cannot be read.
    #[error("invalid configuration: cannot read {} ({origin})", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named the file.
        origin: String,
        /// Why not.
        source: std::io::Error,
    },
    /// An environment variable does not name a key.
    #[error("invalid configuration: environment variable {name}: {message}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        message: String,
    },
}

impl ConfigError {
    /// An error that a service finds in its own configuration.
    pub fn value(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Value {
            key: key.into(),
            message: message.into(),
            origin: "checked after loading".to_owned(),
        }
    }
}
