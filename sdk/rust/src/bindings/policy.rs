//! For policies.

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world policy {
                import taimat:plugin/types@0.3.1;
                import taimat:plugin/events@0.3.1;
                export taimat:plugin/policy@0.3.1;
            }",
    world: "taimat:sdk/policy",
    pub_export_macro: true,
    export_macro_name: "export_policy",
    default_bindings_module: "taimat_sdk::bindings::policy",
    with: {
        "taimat:plugin/types@0.3.1": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
