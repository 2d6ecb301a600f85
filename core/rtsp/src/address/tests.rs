use proptest::prelude::*;

use super::*;

fn address(url: &str) -> Address {
    Address::new(&SourceUrl::new(url.parse().unwrap())).unwrap()
}

/// Base and control of a camera that was asked for at a URL, and what is then sent.
fn sent(url: &str, base: Option<&str>, control: &str) -> (String, bool) {
    let base = Base::new(&address(url), base, None);
    let target = base.control(Some(control));
    (target.url, base.is_wrong() || target.wrong)
}

#[test]
fn the_operators_words_are_sent_as_they_are() {
    for (url, right) in [
        ("rtsp://192.0.2.1", "rtsp://192.0.2.1"),
        ("rtsp://admin:pa%40ss@h:8554/x?y", "rtsp://h:8554/x?y"),
        ("rtsp://[2001:db8::1]:554/x", "rtsp://[2001:db8::1]:554/x"),
        ("rtsps://h/x", "rtsps://h/x"),
        ("rtsp+http://h:81/x", "rtsp://h:81/x"),
        (
            "rtsp://h/user=admin_password=x_channel=1_stream=0.sdp?real_stream",
            "rtsp://h/user=admin_password=x_channel=1_stream=0.sdp?real_stream",
        ),
        (
            "rtsp://h/live stream/ch 1?a=b c&d=%2F",
            "rtsp://h/live%20stream/ch%201?a=b%20c&d=%2F",
        ),
        (
            "rtsp://h/a%2fb?x=a@b:c&y='1'|{}",
            "rtsp://h/a%2fb?x=a@b:c&y='1'|{}",
        ),
        ("rtsp://h/cổng?q=\"x\"", "rtsp://h/c%E1%BB%95ng?q=%22x%22"),
        (
            "rtsp://h/Streaming//tracks/101/",
            "rtsp://h/Streaming//tracks/101/",
        ),
    ] {
        assert_eq!(address(url).request_url(), right);
    }
}

#[test]
fn knows_where_to_connect() {
    let there = |url: &str| {
        let address = address(url);
        (address.host(), address.port(), address.carrier())
    };
    assert_eq!(
        there("rtsp://Cam.local/x"),
        ("cam.local".to_owned(), 554, Carrier::Tcp)
    );
    assert_eq!(
        there("rtsps://192.0.2.1"),
        ("192.0.2.1".to_owned(), 322, Carrier::Tls)
    );
    assert_eq!(there("rtsp+http://h"), ("h".to_owned(), 80, Carrier::Http));
    assert_eq!(
        there("rtsp+https://[::1]:8"),
        ("::1".to_owned(), 8, Carrier::Https)
    );
    for (url, error) in [
        ("http://h/x", AddressError::Scheme),
        ("rtsp:x", AddressError::Host),
        ("rtsp:///x", AddressError::Host),
    ] {
        assert_eq!(
            Address::new(&SourceUrl::new(url.parse().unwrap())),
            Err(error),
            "{url}"
        );
    }
}

#[test]
fn tracks_are_found_at_the_camera_that_we_are_connected_to() {
    let url = "rtsp://203.0.113.9:8554/live/main";
    let live = "rtsp://203.0.113.9:8554/live/main/trackID=1";
    for (base, control, right, wrong) in [
        // As it should be.
        (None, "trackID=1", live, false),
        (
            Some("rtsp://203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            false,
        ),
        (
            Some("rtsp://203.0.113.9:8554/live/main"),
            "trackID=1",
            live,
            false,
        ),
        (
            Some("rtsp://203.0.113.9:8554/live/main/"),
            live,
            live,
            false,
        ),
        (
            Some("rtsp://203.0.113.9:8554/other/"),
            "trackID=1",
            "rtsp://203.0.113.9:8554/other/trackID=1",
            false,
        ),
        (
            Some("rtsp://203.0.113.9:8554/"),
            "trackID=1",
            "rtsp://203.0.113.9:8554/trackID=1",
            false,
        ),
        // Behind a router that changes addresses and ports.
        (
            Some("rtsp://192.168.1.10:554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        (
            Some("rtsp://203.0.113.9/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        (None, "rtsp://192.168.1.10/live/main/trackID=1", live, true),
        // Put together wrongly.
        (
            Some("rtsp://rtsp://203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        (
            None,
            "rtsp://rtsp://203.0.113.9:8554/live/main/trackID=1",
            live,
            true,
        ),
        (Some("203.0.113.9:1935/"), "trackID=1", live, true),
        (Some("203.0.113.9:1935/live/main/"), "trackID=1", live, true),
        (Some("/live/main/"), "trackID=1", live, true),
        (Some(""), "trackID=1", live, true),
        (Some("rtsp://"), "trackID=1", live, true),
        (Some("rtsp:///live/main"), "trackID=1", live, true),
        (
            Some("http://203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        // With somebody's password in it.
        (
            Some("rtsp://a:b@203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        (
            Some("rtsp://a:b/c@203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        (
            None,
            "rtsp://a:b@203.0.113.9:8554/live/main/trackID=1",
            live,
            true,
        ),
        (
            Some("a:b@203.0.113.9:8554/live/main/"),
            "trackID=1",
            live,
            true,
        ),
        // Absolute paths, and what looks like one.
        (None, "/live/main/trackID=1", live, false),
        (None, "/trackID=1", live, false),
        (
            None,
            "?trackID=1",
            "rtsp://203.0.113.9:8554/live/main?trackID=1",
            false,
        ),
        (
            None,
            "track 1",
            "rtsp://203.0.113.9:8554/live/main/track%201",
            false,
        ),
        // All tracks.
        (None, "*", url, false),
        (None, "", url, false),
        (None, " * ", url, false),
        (None, "rtsp://203.0.113.9:8554", url, false),
        (
            Some("rtsp://203.0.113.9:8554/live/main/"),
            "*",
            "rtsp://203.0.113.9:8554/live/main/",
            false,
        ),
    ] {
        let found = sent(url, base, control);
        assert_eq!(found, (right.to_owned(), wrong), "{base:?} and {control:?}");
    }
}

#[test]
fn tracks_hang_behind_a_query() {
    let url = "rtsp://h/cam/realmonitor?channel=1&subtype=0";
    let right = "rtsp://h/cam/realmonitor?channel=1&subtype=0/trackID=1";
    assert_eq!(sent(url, None, "trackID=1"), (right.to_owned(), false));
    let base = format!("{url}/");
    assert_eq!(
        sent(url, Some(&base), "trackID=1"),
        (right.to_owned(), false)
    );
    let encoded = "rtsp://h/live stream/ch 1?a=b c&d=%2F";
    let right = "rtsp://h/live%20stream/ch%201?a=b%20c&d=%2F/trackID=1";
    assert_eq!(sent(encoded, None, "trackID=1"), (right.to_owned(), false));
    let mail = Base::new(
        &address("rtsp://h/x?m=a@b/c"),
        Some("rtsp://h/x?m=a@b/c"),
        None,
    );
    assert_eq!(mail.control(None).url, "rtsp://h/x?m=a@b/c");
    assert!(!mail.is_wrong());
}

#[test]
fn a_camera_may_call_itself_by_its_number() {
    let named = address("rtsp://cam.example/x");
    let base = "rtsp://192.0.2.1:554/x/";
    assert!(Base::new(&named, Some(base), None).is_wrong());
    let resolved = named.with_peer("::ffff:192.0.2.1".parse().unwrap());
    let base = Base::new(&resolved, None, Some(base));
    assert!(!base.is_wrong());
    assert_eq!(base.control(Some("1")).url, "rtsp://cam.example/x/1");
}

#[test]
fn redirects_stay_at_the_camera() {
    let here = address("rtsp://192.0.2.1:8554/live/main");
    let to = |location: &str| here.redirected(location).map(|there| there.request_url());
    let right = |url: &str| Ok(url.to_owned());
    assert_eq!(
        to("rtsp://192.0.2.1:8554/moved?a=b"),
        right("rtsp://192.0.2.1:8554/moved?a=b")
    );
    assert_eq!(
        to("rtsp://a:b@192.0.2.1/moved"),
        right("rtsp://192.0.2.1/moved")
    );
    assert_eq!(
        to("rtsps://192.0.2.1/moved"),
        right("rtsps://192.0.2.1/moved")
    );
    assert_eq!(to("/moved"), right("rtsp://192.0.2.1:8554/moved"));
    assert_eq!(to("moved"), right("rtsp://192.0.2.1:8554/live/moved"));
    assert_eq!(
        to("rtsp://192.0.2.2:8554/live"),
        Err(AddressError::OtherHost)
    );
    assert_eq!(
        to("rtsp://192.0.2.1@evil.example/live"),
        Err(AddressError::OtherHost)
    );
    assert_eq!(to("http://192.0.2.1/"), Err(AddressError::Scheme));
    assert_eq!(to("rtsp://192.0.2.1:x/"), Err(AddressError::Nowhere));
    assert_eq!(to(" "), Err(AddressError::Nowhere));
    let safe = address("rtsps://192.0.2.1/x");
    assert_eq!(
        safe.redirected("rtsp://192.0.2.1/x"),
        Err(AddressError::Downgrade)
    );
}

#[test]
fn nothing_shows_a_path() {
    let address = address("rtsp://a:b@192.0.2.1/S3CRET?S3CRET");
    let base = Base::new(&address, Some("rtsp://192.0.2.1/S3CRET"), None);
    let shown = format!("{address:?} {base:?} {:?}", base.control(Some("S3CRET")));
    assert!(!shown.contains("S3CRET"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_it_says_we_stay_here(
        base in "(rtsp://|/|@|:|\\?|\\[|h|\\PC){0,12}",
        control in "(rtsp://|/|@|:|\\?|\\*|h|\\PC){0,12}",
    ) {
        let here = address("rtsp://203.0.113.9:8554/live/main?x");
        let (url, _) = sent("rtsp://203.0.113.9:8554/live/main?x", Some(&base), &control);
        let path = url.strip_prefix("rtsp://203.0.113.9:8554").unwrap();
        prop_assert!(path.is_empty() || path.starts_with(['/', '?']), "{}", url);
        prop_assert!(url.bytes().all(|b| b.is_ascii_graphic()), "{}", url);
        if let Ok(there) = here.redirected(&base) {
            prop_assert_eq!(there.host(), "203.0.113.9");
            let path = there.path_and_query();
            prop_assert!(path.is_empty() || path.starts_with(['/', '?']), "{}", path);
        }
    }
}
