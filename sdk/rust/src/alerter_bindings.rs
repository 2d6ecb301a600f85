//! What wit-bindgen makes of the contract for alerters. What all kinds have stands in `bindings`.

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

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world alerter {
                import taimat:plugin/types@0.3.0;
                import taimat:plugin/events@0.3.0;
                import taimat:plugin/http@0.3.0;
                import taimat:plugin/message@0.3.0;
                export taimat:plugin/alerter@0.3.0;
                export taimat:plugin/upkeep@0.3.0;
            }",
    world: "taimat:sdk/alerter",
    pub_export_macro: true,
    export_macro_name: "export_alerter",
    default_bindings_module: "taimat_sdk::alerter_bindings",
    with: {
        "taimat:plugin/types@0.3.0": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
