use proptest::prelude::*;

use super::*;

fn secrets(list: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    let owned = |(name, secret): &(&str, &str)| ((*name).to_owned(), Secret::new(*secret));
    list.iter().map(owned).collect()
}

fn joined(base: &str, path: &str) -> Result<String, JoinError> {
    let address: Address = base.parse().unwrap();
    let secrets = secrets(&[("token", "123:AB/c?d#e"), ("key", "a&b=c")]);
    address.join(path, &[], &secrets).map(String::from)
}

#[test]
fn secrets_stand_where_the_address_has_places_for_them() {
    let url = joined("https://api.telegram.org/bot{token}", "/sendPhoto?x=1");
    assert_eq!(
        url.unwrap(),
        "https://api.telegram.org/bot123:AB/c%3Fd%23e/sendPhoto?x=1"
    );
    let url = joined("https://a.example/push?key={key}", "/now?x=1");
    assert_eq!(url.unwrap(), "https://a.example/push/now?key=a%26b%3Dc&x=1");
    let address: Address = "https://a.example/{none}".parse().unwrap();
    assert_eq!(
        address.join("", &[], &BTreeMap::new()),
        Err(JoinError::NoSecret("none".into()))
    );
}

#[test]
fn a_path_is_appended_and_nothing_else() {
    for (base, path, url) in [
        ("https://a.example/hook", "", "https://a.example/hook"),
        ("https://a.example/hook", "/x", "https://a.example/hook/x"),
        ("https://a.example/hook", "x", "https://a.example/hook/x"),
        ("https://a.example/hook/", "x", "https://a.example/hook/x"),
        (
            "https://a.example/hook",
            "?q=1",
            "https://a.example/hook?q=1",
        ),
        (
            "https://a.example",
            "@b.example/x",
            "https://a.example/@b.example/x",
        ),
        ("https://a.example", ":8080/x", "https://a.example/:8080/x"),
        (
            "https://a.example:8443/h",
            "/x",
            "https://a.example:8443/h/x",
        ),
        (
            "http://[2001:db8::1]:80/h",
            "/x",
            "http://[2001:db8::1]/h/x",
        ),
        ("https://a.example/h", "/%41", "https://a.example/h/%41"),
    ] {
        assert_eq!(joined(base, path).as_deref(), Ok(url), "{base} {path}");
    }
}

#[test]
fn a_path_does_not_leave_the_address() {
    for path in [
        "/..",
        "..",
        "/x/../../y",
        "/%2e%2e/y",
        "/%2E./y",
        "/.%2e",
        "/x/..%2f..%2fy",
        "/..%5cy",
        "/%252e%252e/y",
        "/..;a=b/y",
        "/x\\..\\y",
        "//b.example/x",
        "/x#y",
        "/x?y#z",
        "/x?a\\b",
        "/./x",
        "http://b.example/hook/x",
        "https://b.example/hook",
        "https://a.example/other",
        "https://a.example/hooked",
        "https://a.example:444/hook",
        "http://a.example/hook",
        "https://u:p@a.example/hook",
        "https://a.example@b.example/hook",
        "https://a.example/hook/../x",
        "https://a.example/hook/%2e%2e/x",
        "https://a.example/hook#x",
        "HTTPS://b.example/hook",
        "https://a.example\\@b.example/hook",
        "https:///hook",
    ] {
        assert!(joined("https://a.example/hook", path).is_err(), "{path}");
    }
}

#[test]
fn a_whole_address_is_taken_below_the_own_one_or_one_beside_it() {
    let own: Address = "https://a.example/upload".parse().unwrap();
    let also: Vec<Address> = vec!["https://up.example/session".parse().unwrap()];
    let join = |path: &str| own.join(path, &also, &BTreeMap::new());
    for url in [
        "https://a.example/upload/1?id=2",
        "https://a.example:443/upload",
        "https://up.example/session/3?x=%2e%2e",
    ] {
        assert!(join(url).is_ok(), "{url}");
    }
    assert_eq!(join("https://up.example/x"), Err(JoinError::Elsewhere));
}

#[test]
fn what_is_no_address_is_said_without_repeating_it() {
    for (text, error) in [
        ("ftp://a.example", AddressError::Scheme),
        ("a.example", AddressError::Scheme),
        ("https://", AddressError::Host),
        ("https://user:pass@a.example", AddressError::Credentials),
        ("https://{host}/x", AddressError::SecretHost),
        ("https://a.example/{", AddressError::Place),
        ("https://a.example/{}", AddressError::Place),
        ("https://a.example/{a}}", AddressError::Place),
        ("https://a.example/#x", AddressError::Rest),
        ("https://a.example/../x", AddressError::Rest),
        ("mqtt://a.example/topic", AddressError::Rest),
        ("tcp://a.example", AddressError::Port),
        ("tcp://a.example:0", AddressError::Port),
    ] {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
}

#[test]
fn all_spellings_of_a_number_are_one_and_ports_are_known() {
    for (text, host, port) in [
        ("https://2130706433/", "127.0.0.1", 443),
        ("http://0177.0.0.1", "127.0.0.1", 80),
        ("tcp://0x7f.1:502", "127.0.0.1", 502),
        ("mqtt://[::ffff:127.0.0.1]", "::ffff:7f00:1", 1883),
        ("mqtts://broker:80", "broker", 80),
        ("smtps://mail.example", "mail.example", 465),
        ("smtp://mail.example", "mail.example", 587),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host(), address.port()), (host, port), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_a_plugin_names_is_below_the_address(path in "[!-~]{0,40}") {
        let base = "https://a.example/hook/{token}?k={key}";
        if let Ok(url) = joined(base, &path) {
            let root = "https://a.example/hook/123:AB/c%3Fd%23e";
            let rest = url.strip_prefix(root).unwrap();
            prop_assert!(rest.is_empty() || rest.starts_with(['/', '?']), "{url}");
            let again = Url::parse(&url).unwrap();
            prop_assert_eq!(again.host_str(), Some("a.example"));
            prop_assert!(again.fragment().is_none());
        }
    }

    #[test]
    fn ways_up_are_seen_however_they_are_written(
        parts in prop::collection::vec(
            prop::sample::select(vec!["..", "%2e.", "%2E%2e", "/", "%2f", "x", "%252e%252e", "\\", ";"]),
            0..8,
        ),
    ) {
        let path = parts.concat();
        if let Ok(url) = joined("https://a.example/hook", &path) {
            let mut decoded = url.clone();
            for _ in 0..3 {
                decoded = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
            }
            prop_assert!(!decoded.split(['/', '\\']).any(|part| part == ".."), "{url}");
        }
    }

    #[test]
    fn any_text_is_an_address_or_none(text in ".{0,60}") {
        let _either = text.parse::<Address>();
        let _either = format!("https://a.example/{text}").parse::<Address>();
    }

    #[test]
    fn a_secret_stays_in_its_place(secret in "[ -~]{0,20}") {
        let address: Address = "https://a.example/x/{s}/y?k={s}&z=1".parse().unwrap();
        let secrets = secrets(&[("s", &secret)]);
        if let Ok(url) = address.join("/end", &[], &secrets) {
            prop_assert!(url.path().starts_with("/x/") && url.path().ends_with("/y/end"), "{url}");
            prop_assert!(url.query().unwrap().ends_with("&z=1"));
            prop_assert_eq!(url.query_pairs().count(), 2);
            let value = url.query_pairs().next().unwrap().1.into_owned();
            prop_assert_eq!(value, secret);
        }
    }
}
