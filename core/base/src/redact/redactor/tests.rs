use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::redact::{Secret, SourceUrl};

const PASSWORD: &str = "p@ss:w/o#r d%25\\\"é";

fn redactor() -> Redactor {
    let url = "rtsp://eve:Hung%C3%A0%21@192.0.2.1/x?loginpas=Tr4p&t=0123456789&channel=1&sub=main";
    let url = SourceUrl::new(url.parse().unwrap());
    Redactor::for_source(&url, Some("Mallory"), Some(&Secret::new(PASSWORD)))
}

#[test]
fn known_secrets_are_found_however_they_are_written() {
    let redactor = redactor();
    let pair = STANDARD.encode(format!("Mallory:{PASSWORD}"));
    for text in [
        PASSWORD.to_owned(),
        PASSWORD.to_uppercase().replace('É', "é"),
        "p%40ss%3Aw%2Fo%23r%20d%2525%5C%22%C3%A9".to_owned(),
        "p%40ss%3aw%2fo%23r+d%2525%5c%22%c3%a9".to_owned(),
        "p%2540ss%253Aw%252Fo%2523r%2520d%252525%255C%2522%25C3%25A9".to_owned(),
        "p@ss:w/o%23r%20d%25\\\\\\\"é".to_owned(),
        "p@ss:w/o#r d%25\\\"\u{fffd}".to_owned(),
        "p@ss:w/o#r d%25\\\"Ã©".to_owned(),
        pair.clone(),
        pair.replace('/', "%2F").replace('+', "%2B"),
        "Mallory".to_owned(),
        "eve".to_owned(),
        "Hungà!".to_owned(),
        "Hung%c3%a0!".to_owned(),
        "Tr4p".to_owned(),
        "0123456789".to_owned(),
    ] {
        let shown = redactor.text(&format!("Not found: ({text})"));
        assert!(shown.starts_with("Not found: (***"), "{text}: {shown}");
        assert!(shown.len() < 24, "{text}: {shown}");
    }
}

#[test]
fn words_that_only_look_like_a_secret_stay() {
    let redactor = redactor();
    let text = "every event of channel 1 in main is never Tr4pped";
    assert_eq!(redactor.text(text), text);
}

#[test]
fn unknown_secrets_are_found_by_how_they_look() {
    let redactor = Redactor::default();
    for (text, right) in [
        ("rtsp://a:S3CRET@h:554/x", "rtsp://***@h:554/x"),
        ("rtsp://a:S3/CR?E@T@h/x", "rtsp://***@h/x"),
        ("rtsp://rtsp://a:S3CRET@h/x", "rtsp://***@h/x"),
        ("see 'a:S3CRET@192.0.2.1/x'", "see '***@192.0.2.1/x'"),
        ("url=rtsp://S3CRET@h/1;seq=1", "url=rtsp://***@h/1;seq=1"),
        ("/c?channel=1&PWD=S3CRET&a=b", "/c?channel=1&PWD=***&a=b"),
        (
            "?loginuse=S3CRET&loginpas=S3CRET",
            "?loginuse=***&loginpas=***",
        ),
        ("?access_token=S3CRET", "?access_token=***"),
        (
            "/user=S3CRET_password=S3_CRET_channel=1.sdp",
            "/user=***_password=***_channel=1.sdp",
        ),
        ("/ch1_key=S3CRET/sub", "/ch1_key=***/sub"),
        ("?a%3Db%26pass%3DS3CRET", "?a%3Db%26pass%3D***"),
        ("Password: S3CRET is wrong", "Password: *** is wrong"),
        (r#"{"token": "S3C \"RET"}"#, r#"{"token": "***"}"#),
        (
            r#"Digest username="S3CRET", realm="a""#,
            r#"Digest username="***", realm="a""#,
        ),
        (
            "Authorization: Digest S3CRET=\"S3CRET\"",
            "Authorization: ***",
        ),
        ("got Basic UzNDUkVUOlMzQ1JFVA==", "got Basic ***"),
        ("ApiKey=S3CRET;x", "ApiKey=***;x"),
    ] {
        assert_eq!(redactor.text(text), right);
    }
}

#[test]
fn what_is_no_secret_stays() {
    let redactor = Redactor::default();
    for text in [
        "454 Session Not Found",
        "rtsp://192.0.2.1/Streaming/Channels/101?transportmode=unicast",
        "Basic authentication required",
        "write to admin@example.org",
        "User-Agent: Taimat",
        "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=11223344",
        "no key frame for 10 s",
    ] {
        assert_eq!(redactor.text(text), text);
    }
}

#[test]
fn is_one_line_of_bounded_length_without_commands() {
    let redactor = Redactor::default();
    let shown = redactor.text("\r\n404 \x1b[31mFAKE\r\nLINE \u{202e}<script>\0\n");
    assert_eq!(shown, "404  [31mFAKE  LINE  <script>");
    assert_eq!(redactor.text(&"ờ".repeat(1000)).chars().count(), SHOWN + 1);
    assert_eq!(redactor.text(&"a".repeat(SHOWN)), "a".repeat(SHOWN));
    let hidden = "pass=S3CRET&".repeat(1000);
    assert!(redactor.text(&hidden).chars().count() <= SHOWN + 4);
    let redactor = Redactor::new(["S3C RET"]);
    assert_eq!(redactor.text("S3C\nRET S3C\u{200b}RET"), "*** ***");
    // A secret that is cut by the end of what is shown.
    let redactor = Redactor::new(["S3CRETS3CRET"]);
    let shown = redactor.text(&format!("{}S3CRETS3CRET", "a".repeat(SHOWN - 4)));
    assert!(shown.ends_with("aa***"), "{shown}");
}

#[test]
fn says_nothing_of_itself() {
    let shown = format!("{:?}", redactor());
    assert!(shown.starts_with("Redactor { known:"), "{shown}");
}

mod properties {
    use super::super::*;
    use proptest::prelude::*;

    fn percent(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn a_known_secret_is_never_shown(
            secret in "[a-zA-Z0-9@:/%&=_ \\\\\"é]{3,12}[A-Z0-9]{3}",
            before in "(\\PC{0,30}|rtsp://|user=|[\"']){0,3}",
            after in "\\PC{0,30}",
        ) {
            prop_assume!(!secret.starts_with(' '));
            let redactor = Redactor::new([&secret]);
            for form in [secret.clone(), percent(&secret)] {
                let shown = redactor.text(&format!("{before}{form}{after}"));
                prop_assert!(!shown.contains(&form), "{} shows {}", shown, form);
            }
        }

        #[test]
        fn never_panics_and_is_bounded(text in "(\\PC|[\r\n%=@:_&\"'/]|pass|://|basic ){0,80}", secret in ".{0,6}") {
            let shown = Redactor::new([secret]).text(&text);
            prop_assert!(shown.chars().count() <= SHOWN + 4);
            prop_assert!(!shown.contains(char::is_control));
        }
    }
}

#[test]
fn a_whole_text_keeps_its_lines_and_none_of_its_secrets() {
    let redactor = Redactor::new(["Otter-in-the-file"]);
    let long = "a".repeat(1000);
    let text = format!("[camera.a]\n  # Otter-in-the-file\n{long}\n\nmain = 1\u{1b}[2J");
    let shown = redactor.whole(&text);
    assert_eq!(
        shown,
        format!("[camera.a]\n  # ***\n{long}\n\nmain = 1 [2J")
    );
}

#[test]
fn bytes_lose_what_is_known_and_nothing_else() {
    let mut redactor = Redactor::new(["s3cret/one&two", "q\"uoted"]);
    redactor.know_login("user-name", "pass-word");
    let shown = |text: &str| String::from_utf8(redactor.bytes(text.as_bytes())).unwrap();
    assert_eq!(
        shown("{\"token\":\"kept\",\"user\":\"kept\"}"),
        "{\"token\":\"kept\",\"user\":\"kept\"}"
    );
    for written in [
        "s3cret/one&two",
        "s3cret%2Fone%26two",
        "s3cret%252fone%2526two",
        "s3cret\\/one\\u0026two",
        "s3cret\\\\/one\\\\u0026two",
        "q\\\"uoted",
        "q\\\\\\\"uoted",
        "dXNlci1uYW1lOnBhc3Mtd29yZA",
    ] {
        assert_eq!(shown(&format!("<{written}>")), "<***>", "{written}");
    }
    let mut raw = vec![0xff, 0xfe];
    raw.extend_from_slice(b"pass-word\xff");
    assert_eq!(redactor.bytes(&raw), b"\xff\xfe***\xff");
}
