use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

fn ours() -> CommuneId {
    "ours".parse().unwrap()
}

fn guard(allowed: &[&str], own: &[&str]) -> Guard {
    let allowed = allowed.iter().map(|text| text.parse().unwrap()).collect();
    let own = own.iter().map(|text| text.parse().unwrap()).collect();
    Guard::new(allowed, own, Arc::new(SystemResolver))
}

fn lets(guard: &Guard, socket: &str) -> bool {
    guard.judge(&ours(), socket.parse().unwrap()).is_ok()
}

#[test]
fn only_public_addresses_are_reached() {
    let guard = guard(&[], &[]);
    for public in [
        "1.1.1.1:443",
        "172.15.0.1:1",
        "172.32.0.1:1",
        "100.63.0.1:1",
        "100.128.0.1:1",
        "198.17.0.1:1",
        "223.255.255.254:1",
        "[2606:4700::1111]:443",
        "[2a00:1450:4001::1]:443",
        // IPv4 in IPv6, and behind a gateway.
        "[::ffff:1.1.1.1]:443",
        "[64:ff9b::101:101]:443",
    ] {
        assert!(lets(&guard, public), "{public}");
    }
    for other in [
        "127.0.0.1:1",
        "127.255.255.254:1",
        "0.0.0.0:1",
        "0.1.2.3:1",
        "10.0.0.1:1",
        "172.16.0.1:1",
        "172.31.255.255:1",
        "192.168.1.1:1",
        "169.254.169.254:80",
        "100.64.0.1:1",
        "192.0.0.1:1",
        "192.0.2.1:1",
        "198.51.100.1:1",
        "203.0.113.1:1",
        "198.18.0.1:1",
        "198.19.255.255:1",
        "224.0.0.1:1",
        "239.255.255.250:1900",
        "240.0.0.1:1",
        "255.255.255.255:1",
        "192.88.99.1:1",
        "[::]:1",
        "[::1]:1",
        "[::2]:1",
        "[::ffff:127.0.0.1]:1",
        "[::ffff:10.0.0.1]:1",
        "[::127.0.0.1]:1",
        "[::1.1.1.1]:1",
        "[fe80::1]:1",
        "[febf::1]:1",
        "[fec0::1]:1",
        "[fc00::1]:1",
        "[fd12:3456::1]:1",
        "[ff02::1]:1",
        "[64:ff9b::7f00:1]:1",
        "[64:ff9b::a00:1]:1",
        "[64:ff9b:1::101:101]:1",
        "[2001:db8::1]:1",
        "[2001::1]:1",
        "[2001:2::1]:1",
        "[2002:7f00:1::1]:1",
        "[3fff::1]:1",
        "[100::1]:1",
        "[5f00::1]:1",
        "[::ffff:0:127.0.0.1]:1",
    ] {
        assert!(!lets(&guard, other), "{other}");
    }
    let zone = SocketAddr::V6(std::net::SocketAddrV6::new(
        "fe80::1".parse().unwrap(),
        80,
        0,
        3,
    ));
    assert!(guard.judge(&ours(), zone).is_err());
}

#[test]
fn what_is_listed_is_reached() {
    let guard = guard(&["10.1.0.0/16", "192.168.1.7:1883", "fd00:1::/32"], &[]);
    for listed in [
        "10.1.2.3:9",
        "192.168.1.7:1883",
        "[fd00:1::9]:1",
        "[::ffff:10.1.2.3]:9",
    ] {
        assert!(lets(&guard, listed), "{listed}");
    }
    for other in [
        "10.2.0.1:9",
        "192.168.1.7:1884",
        "192.168.1.8:1883",
        "[fd00:2::9]:1",
    ] {
        assert!(!lets(&guard, other), "{other}");
    }
}

#[test]
fn the_router_itself_is_reached_by_nobody_who_is_not_listed_exactly() {
    let own = ["0.0.0.0:8080", "127.0.0.1:8554", "192.168.1.2:8189"];
    let guard = guard(
        &["127.0.0.0/8", "::/0", "192.168.0.0/16", "127.0.0.1:8554"],
        &own,
    );
    for refused in [
        "127.0.0.1:8080",
        "127.9.9.9:8080",
        "[::1]:8080",
        "[::ffff:127.0.0.1]:8080",
        "192.168.1.2:8189",
        "[::ffff:192.168.1.2]:8189",
    ] {
        assert!(!lets(&guard, refused), "{refused}");
    }
    assert!(lets(&guard, "127.0.0.1:8554"));
    assert!(lets(&guard, "127.0.0.1:9"));
}

#[test]
fn cameras_of_other_communes_are_reached_by_nobody_else() {
    let guard = guard(&["192.168.0.0/16", "192.168.1.12:80"], &[]);
    let camera = |text: &str| text.parse::<IpAddr>().unwrap();
    let theirs = BTreeSet::from([
        camera("192.168.1.11"),
        camera("192.168.1.12"),
        camera("192.168.1.13"),
    ]);
    let own = BTreeSet::from([camera("192.168.1.13")]);
    guard.cameras(BTreeMap::from([
        ("theirs".parse().unwrap(), theirs),
        (ours(), own),
    ]));
    assert!(!lets(&guard, "192.168.1.11:80"));
    assert!(!lets(&guard, "[::ffff:192.168.1.11]:554"));
    assert!(lets(&guard, "192.168.1.12:80"));
    assert!(!lets(&guard, "192.168.1.12:81"));
    assert!(lets(&guard, "192.168.1.13:80"));
    assert!(lets(&guard, "192.168.1.14:80"));
}

#[test]
fn networks_are_read_strictly() {
    for text in [
        "10.0.0.0/8",
        "10.1.2.3:80",
        "fd00::/8",
        "[fd00::1]:80",
        "0.0.0.0/0",
    ] {
        assert_eq!(text.parse::<AllowedNetwork>().unwrap().to_string(), text);
    }
    for text in [
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0",
        "x/8",
        "10.0.0.1:0",
        "",
        "fd00::1/8",
    ] {
        assert!(text.parse::<AllowedNetwork>().is_err(), "{text}");
    }
}

/// An address that may be reached at the first look-up, this machine's at all others.
#[derive(Debug, Default)]
struct Rebinding(Mutex<u32>);

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let mut asked = self.0.lock().unwrap();
        *asked += 1;
        let ip = if *asked == 1 {
            [192, 0, 2, 1]
        } else {
            [127, 0, 0, 1]
        };
        Ok(vec![(ip, port).into()])
    }
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_at_the_second_look_up_gets_nowhere() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let resolver = Arc::new(Rebinding::default());
    let allowed = vec!["192.0.2.0/24".parse().unwrap()];
    let resolves = Arc::clone(&resolver) as Arc<dyn Resolver>;
    let guard = Guard::new(allowed, Vec::new(), resolves);
    // To an address that may be reached, where nobody is: one look-up, and no connection here.
    let first = guard.connect(&ours(), "a.example", port).await.unwrap_err();
    assert!(
        matches!(first.outcome, Outcome::Unreachable | Outcome::Late),
        "{first:?}"
    );
    assert_eq!(*resolver.0.lock().unwrap(), 1);
    let second = guard.connect(&ours(), "a.example", port).await.unwrap_err();
    assert_eq!(second.outcome, Outcome::Guarded);
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn numbers_in_other_spellings_are_judged_by_what_they_lead_to() {
    let guard = guard(&[], &[]);
    for host in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost",
        "::1",
        "::ffff:127.0.0.1",
    ] {
        let failure = guard.connect(&ours(), host, 9).await.unwrap_err();
        assert_eq!(failure.outcome, Outcome::Guarded, "{host}");
    }
}

proptest! {
    #[test]
    fn ipv4_is_judged_the_same_in_every_wrapping(bits: u32) {
        let guard = guard(&["10.0.0.0/8"], &["127.0.0.1:80"]);
        let v4 = Ipv4Addr::from(bits);
        let plain = guard.judge(&ours(), (v4, 80).into()).is_ok();
        let mapped = guard.judge(&ours(), (v4.to_ipv6_mapped(), 80).into()).is_ok();
        prop_assert_eq!(plain, mapped);
        let [a, b, c, d] = v4.octets().map(u16::from);
        let gateway = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, a << 8 | b, c << 8 | d);
        let behind = guard.judge(&ours(), (gateway, 80).into()).is_ok();
        prop_assert_eq!(plain, behind);
        let compatible = Ipv6Addr::from(u128::from(bits));
        prop_assert!(guard.judge(&ours(), (compatible, 80).into()).is_err());
    }

    #[test]
    fn a_masked_address_is_its_network(bits: u128, prefix in 0_u8..=128) {
        let network = masked(Ipv6Addr::from(bits).into(), prefix);
        prop_assert_eq!(masked(network, prefix), network);
        let allowed = AllowedNetwork::Network { address: network, prefix };
        prop_assert_eq!(allowed.to_string().parse::<AllowedNetwork>().unwrap(), allowed);
    }

    #[test]
    fn outside_2000_3_nothing_is_public_but_ipv4(bits: u128) {
        let ip = Ipv6Addr::from(bits);
        let public = not_public(ip.into()).is_none();
        let first = ip.segments()[0];
        prop_assert!(!public || (0x2000..=0x3fff).contains(&first) || ip.to_ipv4_mapped().is_some());
    }
}
