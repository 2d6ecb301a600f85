//! What wit-bindgen makes of the contract for detectors. What all kinds have stands in `bindings`.

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
            world detector {
                import taimat:plugin/types@0.3.0;
                import taimat:plugin/frames@0.3.0;
                export taimat:plugin/detector@0.3.0;
                export taimat:plugin/handover@0.3.0;
            }",
    world: "taimat:sdk/detector",
    pub_export_macro: true,
    export_macro_name: "export_detector",
    default_bindings_module: "taimat_sdk::detector_bindings",
    with: {
        "taimat:plugin/types@0.3.0": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
