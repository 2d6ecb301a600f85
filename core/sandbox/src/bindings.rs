//! What wasmtime makes of the contract: one module for each version that is served.
//!
//! The versions differ where their `wit` does; what is the same in both is converted by
//! `host/wire.rs`.

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

/// The newest version, for which the SDKs build: all that is served of it.
pub mod v0_3 {
    wasmtime::component::bindgen!({
        path: "../../wit/plugin.wit",
        inline: "
            package taimat:host;
            world served {
                include taimat:plugin/base@0.3.1;
                import taimat:plugin/frames@0.3.1;
                import taimat:plugin/events@0.3.1;
                import taimat:plugin/http@0.3.1;
                import taimat:plugin/message@0.3.1;
                export taimat:plugin/detector@0.3.1;
                export taimat:plugin/policy@0.3.1;
                export taimat:plugin/alerter@0.3.1;
                export taimat:plugin/upkeep@0.3.1;
                export taimat:plugin/storage@0.3.1;
                export taimat:plugin/backend@0.3.1;
            }",
        world: "taimat:host/served",
        exports: { default: async },
    });
}

/// The version before.
pub mod v0_2 {
    wasmtime::component::bindgen!({
        path: "../../wit/released/0.2.0/plugin.wit",
        world: "detector-plugin",
        exports: { default: async },
    });
}

/// The first.
pub mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/released/0.1.0/plugin.wit",
        world: "detector-plugin",
        exports: { default: async },
    });
}
