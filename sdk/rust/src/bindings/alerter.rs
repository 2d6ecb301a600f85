//! For alerters.

wit_bindgen::generate!({
    path: "../../wit/plugin.wit",
    inline: "
            package taimat:sdk;
            world alerter {
                import taimat:plugin/types@0.3.1;
                import taimat:plugin/events@0.3.1;
                import taimat:plugin/http@0.3.1;
                import taimat:plugin/message@0.3.1;
                export taimat:plugin/alerter@0.3.1;
                export taimat:plugin/upkeep@0.3.1;
            }",
    world: "taimat:sdk/alerter",
    pub_export_macro: true,
    export_macro_name: "export_alerter",
    default_bindings_module: "taimat_sdk::bindings::alerter",
    with: {
        "taimat:plugin/types@0.3.1": crate::bindings::taimat::plugin::types,
    },
    generate_all,
});
