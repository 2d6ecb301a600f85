//! What wasmtime makes of the contract: one module for each version that is served.
//!
//! The versions differ where their `wit` does; what is the same in both is converted by
//! [`crate::served`].

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::unwrap_used,
    clippy::panic,
    clippy::let_underscore_must_use,
    reason = "generated code"
)]

/// The newest version, for which the SDKs build.
pub mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit/plugin.wit",
        world: "detector-plugin",
        exports: { default: async },
    });
}

/// The version before.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/released/0.1.0/plugin.wit",
        world: "detector-plugin",
        exports: { default: async },
    });
}
