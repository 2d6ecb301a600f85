//! `openapi.json` is what the router says of its API. The console's types are made from it, so that
//! they need no router; a change of the API is one that a reader sees.

use std::path::Path;

#[test]
fn the_file_is_the_description() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let description = taimat_api::description().unwrap() + "\n";
    if std::env::var_os("OPENAPI_WRITE").is_some() {
        std::fs::write(&file, &description).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == description,
        "core/api/openapi.json is of another API: \
         OPENAPI_WRITE=1 cargo test -p taimat-api --test openapi"
    );
}
