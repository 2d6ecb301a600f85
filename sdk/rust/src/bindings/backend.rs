//! For backends.

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world backend {
                import taimat:plugin/types@0.3.1;
                import taimat:plugin/http@0.3.1;
                export taimat:plugin/backend@0.3.1;
            }",
    world: "taimat:sdk/backend",
    pub_export_macro: true,
    export_macro_name: "export_backend",
    default_bindings_module: "taimat_sdk::bindings::backend",
    with: {
        "taimat:plugin/types@0.3.1": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
