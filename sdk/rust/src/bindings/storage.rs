//! For storage plugins.

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world storage {
                import taimat:plugin/types@0.3.1;
                export taimat:plugin/storage@0.3.1;
            }",
    world: "taimat:sdk/storage",
    pub_export_macro: true,
    export_macro_name: "export_storage",
    default_bindings_module: "taimat_sdk::bindings::storage",
    with: {
        "taimat:plugin/types@0.3.1": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
