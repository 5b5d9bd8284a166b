//! The contracts of the fleet: generated gRPC code, one module per package, and the error catalogue.
//!
//! The `.proto` files under `proto/` are the source; `build.rs` compiles them with a compiler written in
//! Rust, so that no `protoc` is needed. This crate depends on no infrastructure and holds no logic.

pub mod errors;
pub mod events;

/// Every file descriptor of this crate, encoded, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// Declares the module of a generated package.
macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1 of the package.
            #[allow(
                clippy::all,
                clippy::pedantic,
                clippy::allow_attributes,
                clippy::allow_attributes_without_reason,
                missing_docs,
                unreachable_pub,
                rust_2018_idioms,
                reason = "generated code"
            )]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/", $file));
            }
        }
    };
}

package!(
    /// Money as every service exchanges it.
    money,
    "enterprisehub.money.v1.rs"
);
package!(
    /// Accounts, profiles, passwords and roles.
    user,
    "enterprisehub.user.v1.rs"
);
package!(
    /// Login, tokens, sessions, signing keys.
    auth,
    "enterprisehub.auth.v1.rs"
);
package!(
    /// The price list with stock, orders, and the payment saga.
    order,
    "enterprisehub.order.v1.rs"
);
package!(
    /// Payment attempts, captures, refunds.
    payment,
    "enterprisehub.payment.v1.rs"
);
package!(
    /// Notifications, preferences, dead letters.
    notify,
    "enterprisehub.notify.v1.rs"
);
