//! What wit-bindgen makes of the contract: what all kinds have, and in a file each what one kind has.
//! The generated code's exemptions stand here, for all of them.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    clippy::all,
    clippy::mem_forget,
    clippy::undocumented_unsafe_blocks,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]

#[doc(hidden)]
pub mod alerter;
#[doc(hidden)]
pub mod backend;
#[doc(hidden)]
pub mod detector;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod storage;

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    world: "base",
    pub_export_macro: true,
    export_macro_name: "export_lifecycle",
    default_bindings_module: "taimat_sdk::bindings",
    generate_all,
});
