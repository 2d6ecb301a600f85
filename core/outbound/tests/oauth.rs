//! Grants: a token that ends is renewed once for all who wait, a refresh token that turns is on the disk
//! before it is used, and a grant that is lost is said.
#![allow(clippy::unwrap_used, reason = "a set-up that fails fails its test")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Bench, Scripted, answered, failed, http_channel, request, response, scripted};
use taimat_base::Secret;
use taimat_outbound::{ChannelSpec, HttpSpec, OAuth2Habits, OAuth2Spec, OutboundConfig};

fn spec(tokens: &Scripted, refresh: Option<&str>) -> OAuth2Spec {
    OAuth2Spec {
        token_url: format!("{}/token", tokens.url()).parse().unwrap(),
        client_id: "app".into(),
        client_secret: Some(Secret::new("client-s3cret")),
        refresh_token: refresh.map(Secret::new),
        scope: "send".into(),
        habits: OAuth2Habits::default(),
    }
}

fn channel(api: &Scripted, grant: OAuth2Spec) -> ChannelSpec {
    let spec = HttpSpec {
        oauth2: Some(grant),
        ..HttpSpec::default()
    };
    http_channel("oa", &api.url(), spec)
}

/// The grant's field of a token request.
fn refresh_of(request: &str) -> String {
    let after = request.split("refresh_token=").nth(1).unwrap_or("");
    after.split('&').next().unwrap_or("").to_owned()
}

/// Gives each refresh token once, and a new one with it.
async fn turning() -> Scripted {
    let good = std::sync::Mutex::new("refresh-0".to_owned());
    scripted(move |number, request| {
        let mut good = good.lock().unwrap();
        if refresh_of(request) != *good {
            return response("400 Bad Request", "", "{\"error\":\"invalid_grant\"}");
        }
        *good = format!("refresh-{number}");
        let body = format!(
            "{{\"access_token\":\"access-{number}\",\"expires_in\":\"3600\",\"refresh_token\":\"{good}\"}}"
        );
        response("200 OK", "", &body)
    })
    .await
}

fn file(bench: &Bench) -> PathBuf {
    bench.folder.path().join("channels/thu.oa.json")
}

fn open() -> OutboundConfig {
    OutboundConfig {
        allowed: vec!["127.0.0.0/8".parse().unwrap()],
        ..OutboundConfig::default()
    }
}

#[tokio::test]
async fn clients_credentials_give_a_token_that_is_used_until_it_ends() {
    let tokens = scripted(|number, _| {
        response(
            "200 OK",
            "",
            &format!("{{\"access_token\":\"access-{number}\",\"expires_in\":3600}}"),
        )
    })
    .await;
    let api = scripted(|number, _| match number {
        3 => response("401 Unauthorized", "", ""),
        _ => response("200 OK", "", ""),
    })
    .await;
    let bench = Bench::new();
    bench
        .configure(vec![channel(&api, spec(&tokens, None))])
        .await;
    for _ in 0..3 {
        assert_eq!(
            answered(bench.send("k", request("oa", "", Vec::new())).await).status,
            200
        );
    }
    let asked = tokens.asked();
    assert_eq!(
        asked.len(),
        2,
        "once at the beginning, once when the token was refused"
    );
    assert!(
        asked[0].ends_with(
            "grant_type=client_credentials&client_id=app&scope=send&client_secret=client-s3cret"
        ),
        "{}",
        asked[0]
    );
    let used: Vec<bool> = api
        .asked()
        .iter()
        .map(|r| r.contains("authorization: Bearer access-1"))
        .collect();
    assert_eq!(used, [true, true, true, false]);
    assert!(api.asked()[3].contains("authorization: Bearer access-2"));
}

#[tokio::test]
async fn many_at_once_renew_once() {
    let tokens = turning().await;
    let api = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = Arc::new(Bench::new());
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    let one = || bench.send("k", request("oa", "", Vec::new()));
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    for reply in [a, b, c, d] {
        assert_eq!(answered(reply).status, 200);
    }
    assert_eq!(tokens.asked().len(), 1);
}

#[tokio::test]
async fn a_turned_token_is_kept_before_it_is_used_and_found_after_a_restart() {
    let tokens = turning().await;
    let kept_first = Arc::new(AtomicUsize::new(0));
    let bench = Bench::new();
    let (path, seen) = (file(&bench), Arc::clone(&kept_first));
    let api = scripted(move |_, _| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        seen.fetch_add(usize::from(text.contains("refresh-")), Ordering::Relaxed);
        response("200 OK", "", "")
    })
    .await;
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    assert_eq!(kept_first.load(Ordering::Relaxed), 1);
    assert_eq!(
        std::fs::metadata(file(&bench)).unwrap().mode() & 0o777,
        0o600
    );
    assert!(
        !std::fs::read_to_string(file(&bench))
            .unwrap()
            .contains("refresh-0")
    );
    let Bench { folder, .. } = bench;
    let bench = Bench::in_folder(open(), folder);
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    assert_eq!(refresh_of(&tokens.asked()[1]), "refresh-1");
}

#[tokio::test]
async fn who_gives_up_waiting_does_not_lose_the_turned_token() {
    let tokens = turning().await;
    let api = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = Bench::new();
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    let sending = bench.send("k", request("oa", "", Vec::new()));
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), sending).await;
    drop(given_up);
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    assert!(tokens.asked().len() <= 1);
    assert!(file(&bench).exists());
}

#[tokio::test]
async fn a_disk_without_room_holds_the_token_back_until_it_can_be_kept() {
    let tokens = turning().await;
    let api = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = Bench::new();
    // A file where the folder is to be.
    std::fs::write(bench.folder.path().join("channels"), "").unwrap();
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    for _ in 0..2 {
        let why = failed(bench.send("k", request("oa", "", Vec::new())).await);
        assert!(why.contains("can not be written down"), "{why}");
    }
    assert_eq!((tokens.asked().len(), api.asked().len()), (1, 0));
    std::fs::remove_file(bench.folder.path().join("channels")).unwrap();
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    assert_eq!(refresh_of(&tokens.asked()[1]), "refresh-1");
}

#[tokio::test]
async fn a_lost_grant_is_said_and_asked_for_no_more() {
    let tokens = turning().await;
    let api = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = Bench::new();
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-used")))])
        .await;
    for _ in 0..3 {
        let why = failed(bench.send("k", request("oa", "", Vec::new())).await);
        assert_eq!(
            why,
            "the grant is lost: the token service answers 400, invalid_grant"
        );
    }
    assert_eq!((tokens.asked().len(), api.asked().len()), (1, 0));
    assert!(
        bench
            .metrics()
            .contains("taimat_channel_grant_lost{channel=\"oa\",commune=\"thu\"} 1")
    );
    assert!(bench.status("oa").unready.unwrap().contains("lost"));
    // Another token in the file is a new grant.
    bench
        .configure(vec![channel(&api, spec(&tokens, Some("refresh-0")))])
        .await;
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    assert!(
        bench
            .metrics()
            .contains("taimat_channel_grant_lost{channel=\"oa\",commune=\"thu\"} 0")
    );
}

#[tokio::test]
async fn a_service_with_habits_of_its_own_is_asked_its_way() {
    let tokens = turning().await;
    let api = scripted(|_, _| response("200 OK", "", "")).await;
    let bench = Bench::new();
    let mut grant = spec(&tokens, Some("refresh-0"));
    grant.scope.clear();
    grant.habits = OAuth2Habits {
        client_id_field: "app_id".into(),
        client_secret_header: Some("secret_key".into()),
        token_header: Some("access_token".into()),
    };
    bench.configure(vec![channel(&api, grant)]).await;
    assert_eq!(
        answered(bench.send("k", request("oa", "", Vec::new())).await).status,
        200
    );
    let asked = tokens.asked().remove(0);
    assert!(asked.contains("secret_key: client-s3cret\r\n"));
    assert!(
        asked.ends_with("grant_type=refresh_token&refresh_token=refresh-0&app_id=app"),
        "{asked}"
    );
    assert!(api.asked()[0].contains("\r\naccess_token: access-1\r\n"));
}
