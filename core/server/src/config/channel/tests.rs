//! What channels' settings become, and what is said of wrong ones.

use taimat_outbound::MailEncryption;

use super::super::commune::parse;
use super::*;

fn channels(text: &str) -> Result<CommuneChannels, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "planted-secret\n").unwrap();
    std::fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    let file = folder.path().join("commune.toml");
    let text = format!("[commune]\nname = \"Thu\"\n{text}");
    match parse("thu".parse().unwrap(), &file, &text) {
        Ok(commune) => Ok(commune.channels),
        Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn kinds_are_read_by_the_scheme() {
    let read = channels(
        "[camera.a]\nmain = \"rtsp://192.0.2.11/main\"\n\
         [channel.telegram]\nurl = \"https://api.telegram.org/bot{token}\"\n\
         secrets = { token = { file = \"token\" } }\nrate = { per-minute = 20, burst = 5 }\n\
         [channel.desk]\nurl = \"https://desk.example/hook\"\nbasic = { user = \"u\", password = { file = \"token\" } }\n\
         header = { name = \"X-Key\", secret = { file = \"token\" } }\nquery = { name = \"k\", secret = { file = \"token\" } }\n\
         webhook-secret = [{ file = \"token\" }, { env = \"TAIMAT_TEST_NOT_SET\" }]\nca = \"ca.pem\"\n\
         also = [\"https://up.example/session\"]\n\
         [channel.zalo]\nurl = \"https://openapi.zalo.me/v3.0\"\n\
         oauth2 = { token-url = \"https://oauth.zaloapp.com/v4/oa/access_token\", client-id = \"7\", \
         client-secret = { file = \"token\" }, refresh-token = { file = \"token\" }, \
         client-id-field = \"app_id\", client-secret-header = \"secret_key\", token-header = \"access_token\" }\n\
         [channel.home]\nurl = \"mqtts://broker.example\"\nuser = \"u\"\npassword = { file = \"token\" }\n\
         discovery-prefix = \"homeassistant\"\n\
         [channel.mail]\nurl = \"smtp://mail.example\"\nfrom = \"Taimat <t@mail.example>\"\nto = [\"*@mail.example\"]\n\
         [channel.horn]\nurl = \"tcp://192.0.2.9:502\"\n",
    )
    .unwrap();
    let by_name = |name: &str| {
        read.channels
            .iter()
            .find(|c| c.id.as_str() == name)
            .unwrap()
    };
    let kinds: Vec<&str> = read.channels.iter().map(ChannelSpec::kind).collect();
    assert_eq!(kinds, ["http", "http", "http", "mqtt", "mail", "wire"]);
    assert_eq!(read.cameras, ["192.0.2.11".parse::<IpAddr>().unwrap()]);
    let telegram = by_name("telegram");
    assert_eq!(telegram.secrets["token"].reveal(), "planted-secret");
    assert_eq!((telegram.rate.per_minute, telegram.rate.burst), (20.0, 5.0));
    let Way::Http(desk) = &by_name("desk").way else {
        panic!()
    };
    assert_eq!(
        (desk.sign_in.len(), desk.webhook.len(), desk.also.len()),
        (3, 1, 1)
    );
    assert!(by_name("desk").missing[0].contains("TAIMAT_TEST_NOT_SET"));
    let Way::Http(zalo) = &by_name("zalo").way else {
        panic!()
    };
    let habits = &zalo.oauth2.as_ref().unwrap().habits;
    assert_eq!(habits.token_header.as_deref(), Some("access_token"));
    let Way::Mqtt(home) = &by_name("home").way else {
        panic!()
    };
    assert_eq!(
        (home.prefix.as_str(), home.client_id.as_str()),
        ("taimat/thu", "taimat-thu-home")
    );
    let Way::Mail(mail) = &by_name("mail").way else {
        panic!()
    };
    assert_eq!(mail.encryption, MailEncryption::StartTls);
    assert!(!format!("{read:?}").contains("planted-secret"));
}

#[test]
fn what_is_wrong_is_named_and_no_secret_with_it() {
    let wrong = |text: &str, says: &str| {
        let problems = channels(text).unwrap_err();
        assert!(
            problems.iter().any(|p| p.contains(says)),
            "{says}: {problems:?}"
        );
        assert!(
            problems.iter().all(|p| !p.contains("clear-secret")),
            "{problems:?}"
        );
    };
    wrong("[channel.A]\nurl = \"https://a.example\"\n", "channel name");
    wrong("[channel.a]\n", "has no `url`");
    wrong(
        "[channel.a]\nurl = \"ftp://a.example\"\n",
        "has to begin with",
    );
    wrong(
        "[channel.a]\nurl = \"https://u:clear-secret@a.example\"\n",
        "credentials",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example/{token}\"\n",
        "token = { env",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nbearer = \"clear-secret\"\n",
        "in clear",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nbearer = [\"clear-secret\"]\n",
        "in clear",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nwebhook-secret = [\"clear-secret\"]\n",
        "in clear",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nsecrets = { t = \"clear-secret\" }\n",
        "in clear",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nbearer = { envv = \"X\" }\n",
        "did you mean `env`",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nprefix = \"x\"\n",
        "no setting `prefix`",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nrate = { per-minute = 0 }\n",
        "per-minute",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nbearer = { file = \"token\" }\nbasic = { user = \"u\", password = { file = \"token\" } }\n",
        "several ways",
    );
    wrong(
        "[channel.a]\nurl = \"https://a.example\"\nheader = { name = \"Host\", secret = { file = \"token\" } }\n",
        "no header",
    );
    wrong(
        "[channel.a]\nurl = \"mqtt://a.example\"\nprefix = \"a/#\"\n",
        "beginning of topics",
    );
    wrong(
        "[channel.a]\nurl = \"mqtt://a.example\"\nuser = \"u\"\n",
        "no password",
    );
    wrong(
        "[channel.a]\nurl = \"smtp://a.example\"\nfrom = \"a@b.c\"\n",
        "to = [",
    );
    wrong(
        "[channel.a]\nurl = \"smtps://a.example\"\nfrom = \"a@b.c\"\nto = []\ntls = \"none\"\n",
        "smtps",
    );
    wrong("[channel.a]\nurl = \"tcp://a.example\"\n", "port");
    wrong("[channel]\na = 3\n", "table");
}

#[test]
fn a_file_that_is_not_there_is_the_channels_trouble() {
    let read = channels("[channel.a]\nurl = \"https://a.example\"\nca = \"none.pem\"\n").unwrap();
    assert!(read.channels[0].missing[0].contains("none.pem"));
}
