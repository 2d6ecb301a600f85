//! What runs does so as its commune says now: with these settings, at these cameras, by these grants, signed
//! by whom it trusts, or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a set-up that fails fails its test"
)]

mod common;

use std::time::Duration;

use common::{Bench, version};
use taimat_base::clock;
use taimat_contract::{Package, package::SigningKey};
use taimat_sandbox::compile::{Caps, Where};
use taimat_sandbox::{PluginSpec, PluginState, PluginStatus, RunState};
use taimat_testkit::plugins;

#[tokio::test(flavor = "multi_thread")]
async fn settings_take_effect_and_wrong_ones_do_not() {
    let bench = Bench::start();
    bench.put("motion.wasm", &plugins::package("detect-motion").unwrap());
    let spec = bench.spec("motion", 1);
    bench.run(spec.clone());
    bench
        .until("motion", "running", |s| {
            (s.cameras.values().next()?.state == RunState::Running).then_some(())
        })
        .await;
    let wrong = taimat_sandbox::PluginSpec {
        settings: r#"{ "sensitivity": 7 }"#.into(),
        ..spec.clone()
    };
    bench.run(wrong);
    let error = bench
        .until("motion", "an error", |s| Some(s.last_error.clone()?.text))
        .await;
    assert!(
        error.contains("setting `sensitivity` has to be at most 1, found 7"),
        "{error}"
    );
    bench
        .until("motion", "the former settings", |s| {
            let camera = s.cameras.values().next()?;
            (s.generation == 1 && camera.generation == 1).then_some(())
        })
        .await;
    bench.run(taimat_sandbox::PluginSpec {
        settings: r#"{ "sensitivity": 0.7 }"#.into(),
        ..spec
    });
    bench
        .until("motion", "the new settings", |s| {
            (s.cameras.values().next()?.generation == 3).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_camera_may_have_settings_of_its_own() {
    let bench = Bench::start();
    bench.put("motion.wasm", &plugins::package("detect-motion").unwrap());
    let mut spec = bench.spec("motion", 2);
    let own = |settings: &str| ("c1".parse().unwrap(), settings.to_owned());
    spec.camera_settings = [own(r#"{ "sensitivity": 0.9 }"#)].into();
    bench.run(spec.clone());
    bench
        .until("motion", "running at both", |s| {
            let all = s.cameras.values().all(|c| c.state == RunState::Running);
            (all && s.cameras.len() == 2).then_some(())
        })
        .await;
    let commune = "thu".parse().unwrap();
    let schema = bench.sandbox.settings_schema(&commune, &spec.name).unwrap();
    assert!(
        schema
            .as_json()
            .pointer("/properties/sensitivity")
            .is_some()
    );
    spec.camera_settings = [own(r#"{ "sensitivity": 9 }"#)].into();
    bench.run(spec);
    let error = bench
        .until("motion", "an error", |s| Some(s.last_error.clone()?.text))
        .await;
    assert!(error.contains("at most 1, found 9"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_somebody_trusted_signed_is_loaded() {
    let bench = Bench::start();
    let (key, other) = (
        SigningKey::generate().unwrap(),
        SigningKey::generate().unwrap(),
    );
    let plain = version("1.0.0");
    let mut spec = bench.spec("count", 1);
    spec.trusted_keys = vec![key.public()];
    bench.put("count.wasm", &plain);
    bench.run(spec);
    let refused = async |what: &str| {
        bench
            .until("count", what, |s| {
                let error = s.last_error.clone()?.text;
                (s.state == PluginState::Refused && error.contains(what)).then_some(())
            })
            .await;
    };
    refused("it is not signed").await;
    bench.put("count.wasm", &Package::sign(&plain, &other).unwrap());
    refused("whom this commune does not trust").await;
    let signed = Package::sign(&plain, &key).unwrap();
    let mut altered = signed.clone();
    altered[1000] ^= 1;
    bench.put("count.wasm", &altered);
    refused("altered after it was signed").await;
    bench.put("count.wasm", &signed);
    let signer = bench
        .until("count", "running", |s| s.component.clone()?.signer)
        .await;
    assert_eq!(signer, key.public().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_for_want_of_a_grant_runs_once_it_is_granted() {
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    let spec = bench.spec("count", 1);
    let mut without = spec.clone();
    without.grant.frames = None;
    bench.run(without.clone());
    bench
        .until("count", "refused", |s| {
            (s.state == PluginState::Refused).then_some(())
        })
        .await;
    bench.run(spec);
    bench
        .until("count", "running", |s| {
            (s.cameras.values().next()?.state == RunState::Running).then_some(())
        })
        .await;
    // A grant that is taken back is not used on.
    bench.run(without);
    bench
        .until("count", "ended", |s| {
            (s.state == PluginState::Refused && s.usage.instances == 0).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_former_version_runs_as_the_commune_says_now_or_not_at_all() {
    let bench = Bench::start();
    let spec = bench.spec("count", 1);
    let running = async || {
        bench.put("count.wasm", &version("1.0.0"));
        bench.run(spec.clone());
        bench
            .until("count", "running", |s| {
                let camera = s.cameras.values().next()?;
                let runs = camera.state == RunState::Running && camera.generation == s.generation;
                (runs && !s.change_refused).then_some(())
            })
            .await;
    };
    let with_former = async || {
        running().await;
        bench.put("count.wasm", b"no component");
        bench
            .until("count", "going on", |s| {
                (s.change_refused && s.state == PluginState::Running).then_some(())
            })
            .await;
    };
    let ends = async |what: &str| {
        bench
            .until("count", what, |s| {
                (s.state == PluginState::Refused && s.usage.instances == 0).then_some(())
            })
            .await;
    };
    with_former().await;
    let mut without = spec.clone();
    without.grant.frames = None;
    bench.run(without.clone());
    ends("ended with its grant").await;
    // The same while nobody knows yet whether the file is whole.
    running().await;
    bench.put("count.wasm", b"no component");
    bench.run(without);
    ends("ended with its grant at once").await;
    with_former().await;
    let mut trusting = spec.clone();
    trusting.trusted_keys = vec![SigningKey::generate().unwrap().public()];
    bench.run(trusting);
    ends("ended for want of a signature").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_or_taken_back_does_not_wait_for_a_compiler() {
    let bench = Bench::start();
    bench.put("count.wasm", &version("1.0.0"));
    let spec = bench.spec("count", 1);
    bench.run(spec.clone());
    let runs = |s: &PluginStatus| s.cameras.values().any(|c| c.state == RunState::Running);
    let running = |s: &PluginStatus| runs(s).then_some(());
    bench.until("count", "running", running).await;
    // From now on nothing new is ever compiled; what was is kept.
    let compiler = bench.path("compiler");
    std::fs::write(
        &compiler,
        "#!/bin/sh\necho >> \"$0.begun\"\nexec sleep 600\n",
    )
    .unwrap();
    let begun = bench.path("compiler.begun");
    let compiles = async |times: usize| {
        taimat_testkit::eventually("compiling begins", common::LIMIT, async || {
            let lines = std::fs::read(&begun).unwrap_or_default().len();
            (lines >= times).then_some(())
        })
        .await;
    };
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&compiler, all).unwrap();
    let bench = bench.restart_with(Where::Child(compiler, Caps::default()));
    bench.run(spec.clone());
    bench.until("count", "running again", running).await;
    bench.put("count.wasm", &version("2.0.0"));
    compiles(1).await;
    // Another plugin's kept code does not wait either.
    bench.put("other.wasm", &version("1.0.0"));
    bench.run(bench.spec("other", 1));
    bench.until("other", "running", running).await;
    let begin = clock::now();
    let mut without = spec.clone();
    without.grant.frames = None;
    bench.run(without.clone());
    bench
        .until("count", "ended with its grant", |s| {
            (s.usage.instances == 0).then_some(())
        })
        .await;
    bench.run(PluginSpec {
        enabled: false,
        ..spec.clone()
    });
    bench
        .until("count", "off", |s| {
            (s.state == PluginState::Disabled).then_some(())
        })
        .await;
    // A file that was compiled before takes the place of the one that is being compiled.
    let before = std::fs::read(&begun).unwrap().len();
    bench.run(spec);
    compiles(before + 1).await;
    bench.put("count.wasm", &version("1.0.0"));
    bench.until("count", "running once more", running).await;
    // A file that comes together with the revocation does not delay it either.
    let before = std::fs::read(&begun).unwrap().len();
    std::fs::write(bench.path("new"), version("3.0.0")).unwrap();
    std::fs::rename(bench.path("new"), bench.path("count.wasm")).unwrap();
    bench.run(without);
    compiles(before + 1).await;
    bench
        .until("count", "ended with its grant once more", |s| {
            (s.usage.instances == 0).then_some(())
        })
        .await;
    assert!(clock::now() - begin < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_refused_is_asked_again_when_its_file_is_put_there_again() {
    let bench = Bench::start();
    let file = plugins::package("example-hostile").unwrap();
    bench.put("hostile.wasm", &file);
    let mut spec = bench.spec("hostile", 1);
    spec.settings = r#"{ "does": "refuse-settings" }"#.into();
    bench.run(spec.clone());
    let refused = async |generation: u64| {
        bench
            .until("hostile", "refused", |s| {
                let at = s.cameras.values().next()?.state;
                let all = s.state == PluginState::Refused && at == RunState::Refused;
                (all && s.generation == generation).then_some(())
            })
            .await;
    };
    refused(1).await;
    assert_eq!(bench.gauge("taimat_plugin_up", "hostile"), 0.0);
    // Nothing has changed: that it is looked at does not make it run.
    bench.run(spec);
    bench.sandbox.refresh();
    refused(1).await;
    bench.put("hostile.wasm", &file);
    refused(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_counts_at_a_camera_ends_when_it_is_there_no_more() {
    let bench = Bench::start();
    // It counts its frames.
    bench.put("oldest.wasm", include_bytes!("data/detector-0.1.wasm"));
    bench.run(bench.spec("oldest", 2));
    let counts = |camera: &str| {
        let all = bench.registry.gather();
        let own = all.iter().find(|f| f.name() == "taimat_plugin_count_total");
        own.is_some_and(|f| {
            let mut labels = f.get_metric().iter().flat_map(|m| m.get_label());
            labels.any(|label| label.value() == camera)
        })
    };
    let (next, ()) = bench
        .show_until(0, 25, |_| (counts("c0") && counts("c1")).then_some(()))
        .await;
    bench.run(bench.spec("oldest", 1));
    bench
        .show_until(next, 25, |_| (!counts("c1")).then_some(()))
        .await;
    assert!(counts("c0"));
}
