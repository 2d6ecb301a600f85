//! The kept corpus of every fuzz harness, whole, cut short at every place and damaged.

use std::path::Path;

use taimat_testkit::fuzz::{HARNESSES, replay};

#[test]
fn every_harness_survives_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, harness) in HARNESSES {
        let inputs = replay(&corpus.join(name), harness).unwrap();
        assert!(inputs > 500, "{name}: {inputs} inputs");
    }
    let toml = replay(
        &corpus.join("commune_toml"),
        taimat_server::config::commune::fuzz,
    );
    assert!(toml.unwrap() > 500);
}
