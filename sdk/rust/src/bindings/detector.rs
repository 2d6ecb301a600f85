//! For detectors.

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world detector {
                import taimat:plugin/types@0.3.1;
                import taimat:plugin/frames@0.3.1;
                export taimat:plugin/detector@0.3.1;
                export taimat:plugin/handover@0.3.1;
            }",
    world: "taimat:sdk/detector",
    pub_export_macro: true,
    export_macro_name: "export_detector",
    default_bindings_module: "taimat_sdk::bindings::detector",
    with: {
        "taimat:plugin/types@0.3.1": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
