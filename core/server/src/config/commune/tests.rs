use super::*;
use proptest::prelude::*;
use std::time::Duration;
use taimat_ingest::{AfterRefusal, ClockTrust, Credentials, KeepAliveBy, Mode, Transport, Trust};

fn read(text: &str) -> Result<Commune, Vec<Problem>> {
    parse(
        "hoa-lac".parse().unwrap(),
        Path::new("hoa-lac/commune.toml"),
        text,
    )
}

const GOOD: &str = r#"
[commune]
name = "Phường Hòa Lạc"
time-zone = "Asia/Ho_Chi_Minh"

[camera.nguyen-du-1]
title = "Nguyễn Du – ngã ba chợ"
main = "rtsp://192.0.2.11/main"
sub = "rtsp://192.0.2.11/sub"
user = "router"
password = { env = "TAIMAT_TEST_UNSET" }

[camera.cong-truong]
main = "rtsp://192.0.2.12:8554/a?b=c"
run = "on-demand"
linger = "30s"
transport = "udp"
audio = true
"#;

#[test]
fn reads_a_commune() {
    let commune = read(GOOD).unwrap();
    assert_eq!(
        (commune.name.as_str(), commune.cameras.len()),
        ("Phường Hòa Lạc", 2)
    );
    let [first, second] = &commune.cameras[..] else {
        panic!()
    };
    assert_eq!(first.sources.len(), 2);
    assert!(
        matches!(&first.sources[0].credentials, Credentials::Missing(why)
        if why.contains("TAIMAT_TEST_UNSET"))
    );
    let source = &second.sources[0];
    assert_eq!(
        source.mode,
        Mode::OnDemand {
            linger: Duration::from_secs(30)
        }
    );
    assert_eq!((source.transport, source.audio), (Transport::Udp, true));
    assert_eq!(second.title, "cong-truong");
}

#[test]
fn says_what_people_need_for_their_camera() {
    let text = r#"
[commune]
name = "x"
[camera.a]
main = "rtsps://192.0.2.11/main"
sub = "rtsp+http://192.0.2.11/sub"
tls = { fingerprint = "sha256:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:00112233445566778899AABBCCDDEEFF" }
transport = "udp-only"
track = 2
keep-alive = "set-parameter"
keep-alive-every = "7s"
user-agent = "LibVLC"
clock = "camera"
keyframe-timeout = "70s"
wrong-password = "stop"
buffer = "64MiB"
"#;
    let commune = read(text).unwrap();
    let [main, sub] = &commune.cameras[0].sources[..] else {
        panic!()
    };
    let Trust::Fingerprint(fingerprint) = main.trust else {
        panic!("{:?}", main.trust)
    };
    assert_eq!(fingerprint[..3], [0, 0x11, 0x22]);
    assert_eq!(fingerprint[31], 0xFF);
    assert_eq!(main.transport, Transport::UdpOnly);
    assert_eq!((main.video, sub.video), (Some(1), None));
    assert_eq!(main.keep_alive.by, KeepAliveBy::SetParameter);
    assert_eq!(main.keep_alive.every, Some(Duration::from_secs(7)));
    assert_eq!(main.user_agent.as_deref(), Some("LibVLC"));
    assert_eq!(main.clock, ClockTrust::Camera);
    assert_eq!(main.keyframe_timeout, Duration::from_secs(70));
    assert_eq!(main.after_refusal, AfterRefusal::Stop);
    assert_eq!(main.limits.bytes, 64 << 20);
}

#[test]
fn explains_what_is_wrong_with_a_cameras_settings() {
    let text = r#"
[commune]
name = "x"
[camera.a]
main = "rtsp://h/x"
tls = { fingerprint = "sha256:12" }
track = 0
user-agent = ""
buffer = "1KiB"
clock = "sundial"
[camera.b]
main = "rtsps://h/x"
tls = { ca = "nowhere.pem" }
[camera.c]
main = "rtsps://h/x"
tls = { ca = "a.pem", fingerprint = "b" }
"#;
    let problems = read(text).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        "commune.toml:6:23: `fingerprint` of `tls` of [camera.a] is no SHA-256",
        "`track` of [camera.a] has to be a number (hint: between 1 and 16)",
        "`user-agent` of [camera.a] can not be sent",
        "`buffer` of [camera.a] has to be between 1MiB and 1GiB",
        "`clock` of [camera.a] can not be \"sundial\" (hint: use \"auto\" or \"camera\" or \"router\")",
        "`tls` of [camera.c] has to name one of the two",
    ] {
        assert!(
            shown.iter().any(|s| s.contains(expected)),
            "{expected}\nin {shown:#?}"
        );
    }
    // A file that is not there takes its camera offline, and is no mistake in this one.
    assert_eq!(shown.len(), 6, "{shown:#?}");
}

#[test]
fn all_problems_at_once_with_place_and_hint() {
    let text = r#"
[commune]
nam = "x"
[camera.a]
main = "http://h/x"
password = "hunter2"
user = "u"
[camera.B]
main = "rtsp://h/x"
[camera.c]
main = "rtsp://u:hunter2@h/x"
stall-timeout = "5 minutes"
transport = "pigeon"
audio = "yes"
titel = "x"
"#;
    let problems = read(text).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        "hoa-lac/commune.toml:2:1: [commune] has no `name` (hint: name = \"Phường Hòa Lạc\")",
        "hoa-lac/commune.toml:3:1: [commune] has no setting `nam` (hint: did you mean `name`?)",
        "hoa-lac/commune.toml:5:8: `main` of [camera.a] has scheme \"http\"",
        "hoa-lac/commune.toml:6:12: `password` of [camera.a] is written in clear",
        "hoa-lac/commune.toml:8:9: camera name \"B\"",
        "hoa-lac/commune.toml:11:8: `main` of [camera.c] has credentials in it",
        "hoa-lac/commune.toml:12:17: `stall-timeout` of [camera.c]: \"minutes\" is not a unit",
        "hoa-lac/commune.toml:13:13: `transport` of [camera.c] can not be \"pigeon\" (hint: use \"tcp\" or \"udp\" or \"tcp-only\" or \"udp-only\" or \"multicast\")",
        "hoa-lac/commune.toml:14:9: `audio` of [camera.c] has to be true or false, found a text",
        "hoa-lac/commune.toml:15:1: [camera.c] has no setting `titel` (hint: did you mean `title`?)",
    ] {
        assert!(
            shown.iter().any(|s| s.starts_with(expected)),
            "{expected}\nin {shown:#?}"
        );
    }
    assert!(!shown.iter().any(|s| s.contains("hunter2")), "{shown:#?}");
}

const PLUGIN: &str = r#"
[plugin.motion]
component = "plugins/detect-motion.wasm"
cameras = ["nguyen-*"]
settings = { sensitivity = 0.6, zones = [[[0, 0.5], [1, 1]]] }
grant = { frames = { width = 640, fps = 5 }, state = "1MiB" }
limit = { memory = "32MiB", call = "20ms" }
"#;

#[test]
fn reads_plugins() {
    let commune = read(&format!("{GOOD}{PLUGIN}")).unwrap();
    let [plugin] = &commune.plugins[..] else {
        panic!()
    };
    assert_eq!(
        plugin.component,
        Path::new("hoa-lac/plugins/detect-motion.wasm")
    );
    let cameras: Vec<&str> = plugin.cameras.iter().map(|c| c.camera.as_str()).collect();
    assert_eq!(cameras, ["nguyen-du-1"]);
    let settings = r#"{"sensitivity":0.6,"zones":[[[0,0.5],[1,1]]]}"#;
    assert_eq!(plugin.settings, settings);
    assert_eq!(plugin.grant.frames, Some((640, 5.0)));
    assert_eq!(plugin.limits.memory_bytes, Some(32 << 20));
    assert!(plugin.enabled);
}

#[test]
fn a_camera_has_settings_of_its_own_over_those_of_the_plugin() {
    let text =
        format!("{GOOD}{PLUGIN}[plugin.motion.camera.nguyen-du-1]\nsettings = {{ zones = [] }}\n");
    let commune = read(&text).unwrap();
    let plugin = &commune.plugins[0];
    let camera: CameraId = "nguyen-du-1".parse().unwrap();
    let merged = r#"{"sensitivity":0.6,"zones":[]}"#;
    assert_eq!(plugin.settings_at(Some(&camera)), merged);
    assert_eq!(plugin.settings_at(None), plugin.settings);
    // A mistake is found where it was written.
    let file = Path::new("hoa-lac/commune.toml");
    let motion: PluginId = "motion".parse().unwrap();
    let line = |setting: &str, camera: Option<&CameraId>| {
        let place = place_of_setting(file, &text, &motion, camera, &[setting.to_owned()]);
        text.lines()
            .nth(place.line.unwrap() - 1)
            .unwrap()
            .to_owned()
    };
    assert_eq!(line("zones", Some(&camera)), "settings = { zones = [] }");
    assert!(line("zones", None).starts_with("settings = { sensitivity"));
    assert!(line("sensitivity", Some(&camera)).starts_with("settings = { sensitivity"));
}

#[test]
fn plugins_know_what_people_say_of_their_commune() {
    let drawn = "tags = [\"crossing\"]\n[camera.cong-truong.zone.gate]\ntags = [\"in\"]\n\
                 outline = [[0, 0.5], [1, 0.5], [1.0, 1.0]]\n";
    let commune = read(&format!("{GOOD}{drawn}{PLUGIN}")).unwrap();
    let facts = &commune.plugins[0].facts;
    assert_eq!(
        (facts.title.as_str(), facts.cameras.len()),
        ("Phường Hòa Lạc", 2)
    );
    let camera = &facts.cameras[1];
    assert_eq!(
        (camera.tags.len(), camera.zones[0].name.as_str()),
        (1, "gate")
    );
    assert_eq!(camera.zones[0].outline[0], (0.0, 0.5));
    let two = drawn.replace("[1.0, 1.0]", "[1.0, 1.5]");
    let problems = read(&format!("{GOOD}{two}{PLUGIN}")).unwrap_err();
    let shown = problems[0].to_string();
    let expected = "`outline` of [camera.cong-truong.zone.gate] is no polygon";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn settings_for_a_camera_where_the_plugin_is_not_are_a_mistake() {
    let text = format!("{GOOD}{PLUGIN}[plugin.motion.camera.cong-truong]\nsetting = 1\n");
    let problems = read(&text).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let expected = "[plugin.motion] is at no camera \"cong-truong\" (hint: it is at nguyen-du-1)";
    assert!(shown.iter().any(|s| s.contains(expected)), "{shown:#?}");
}

#[test]
fn what_is_wrong_with_plugins() {
    let wrong = PLUGIN
        .replace("plugins/detect-motion.wasm", "../detect-motion.wasm")
        .replace("nguyen-*", "le-loi-*")
        .replace("fps = 5", "fps = 500")
        .replace("limit =", "limits =");
    let keys = "time-zone = \"Asia/Ho_Chi_Minh\"\ntrusted-keys = [\"ed25519:x\"]";
    let good = GOOD.replace("time-zone = \"Asia/Ho_Chi_Minh\"", keys);
    let problems = read(&format!("{good}{wrong}")).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    for expected in [
        "hoa-lac/commune.toml:5:17: trusted key \"ed25519:x\"",
        "`component` of [plugin.motion] leads out of the folder",
        "no camera is \"le-loi-*\" (hint: there are nguyen-du-1, cong-truong;",
        "has to be a number (hint: between 0.01 and 60)",
        "[plugin.motion] has no setting `limits` (hint: did you mean `limit`?)",
    ] {
        assert!(
            shown.iter().any(|s| s.contains(expected)),
            "{expected}\nin {shown:#?}"
        );
    }
    assert_eq!(shown.len(), 5, "{shown:#?}");
}

#[test]
fn broken_toml_has_a_place() {
    let problems = read("[commune]\nname = \n").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].place.line, Some(2), "{}", problems[0]);
}

proptest! {
    #[test]
    fn never_panics(
        at in 0..GOOD.len(),
        junk in "[ -~\n\"\\[\\]=é]{0,12}",
        cut in 0..GOOD.len(),
    ) {
        let mut text = GOOD.to_owned();
        if text.is_char_boundary(at) {
            text.insert_str(at, &junk);
        }
        drop(read(&text));
        while !text.is_char_boundary(cut.min(text.len())) {
            text.pop();
        }
        text.truncate(cut.min(text.len()));
        drop(read(&text));
    }
}
