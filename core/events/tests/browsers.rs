//! Browsers are told: what each is sent, when it is sent again, and when never more.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a set-up that fails fails its test"
)]

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use house::{House, alerts, fail, ok, rule};
use taimat_base::clock;
use taimat_contract::message::{HttpResponse, Reply};
use taimat_contract::{PushEndpoint, Severity, UnixMicros};
use taimat_events::{
    Answer, CommuneAlerts, DeliveryStatus, Happening, Language, NewSubscription, StoreError, Story,
    Target, Wants,
};

fn with_browsers() -> CommuneAlerts {
    let mut alerts = alerts(vec![rule(&["phones"])]);
    let phones = Target {
        title: "Điện thoại".into(),
        alerter: "push".parse().unwrap(),
        tags: vec![],
        address: vec![],
        deadline: Duration::from_secs(3600),
    };
    alerts.targets.insert("phones".into(), phones);
    alerts
}

async fn asks(house: &House, who: &str, language: Language) -> String {
    let url = format!("https://push.example.net/{who}");
    let key =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    let new = NewSubscription {
        commune: "thu".parse().unwrap(),
        endpoint: PushEndpoint::new(&url, key, "BTBZMqHH6r4Tts7J_aSIgg").unwrap(),
        who: who.into(),
        wants: Wants {
            language,
            at_least: Severity::Warning,
            cameras: vec![],
            kinds: vec![],
        },
    };
    let now = UnixMicros::from(clock::wall());
    let browser = house.events.store().subscribe(new, now).await.unwrap();
    browser.name_under("phones")
}

fn ended(story: &Story, target: &str) -> usize {
    let over = |d: &&taimat_events::Delivery| d.target == target && d.ended.is_some();
    story.deliveries.iter().filter(over).count()
}

fn http(status: u16) -> Reply {
    Reply::Http(HttpResponse {
        status,
        headers: vec![],
        body: vec![],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_browser_is_told_in_its_language_and_then_that_it_is_over() {
    let house = House::start(with_browsers()).await;
    let an = asks(&house, "an", Language::Vietnamese).await;
    let ba = asks(&house, "ba", Language::English).await;
    let id = house.see("litter", 1).await;
    let story = house
        .until(id, |s| ended(s, &an) + ended(s, &ba) == 2)
        .await;
    let mut pushed = house.pushed();
    pushed.sort_by(|a, b| a.url.cmp(&b.url));
    let titles: Vec<_> = pushed
        .iter()
        .map(|p| p.notice["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles,
        ["⚠️ Đổ rác trái phép – cho", "⚠️ Waste dumping – cho"]
    );
    assert!(pushed.iter().all(|p| p.topic == id.to_string()));
    assert!(
        pushed
            .iter()
            .all(|p| (3590..=3600).contains(&p.ttl.as_secs())),
        "{pushed:?}"
    );
    assert_eq!(pushed[0].notice["link"], format!("/#/event/thu/{id}"));
    assert_eq!(pushed[0].notice["quiet"], false);
    // Told to people as one target, and the deliveries say to whom.
    let Happening::Ruled { tell, .. } = &story.log[1].happening else {
        panic!("{story:?}");
    };
    assert_eq!(tell, &["phones"]);
    house.events.answer(id, "Chi", Answer::Seen).await.unwrap();
    house
        .until(id, |s| ended(s, &an) + ended(s, &ba) == 4)
        .await;
    let last = house.pushed().pop().unwrap();
    assert_eq!(
        (last.topic, &last.notice["quiet"]),
        (id.to_string(), &true.into())
    );
    assert!(
        last.notice["body"].as_str().unwrap().contains("Chi"),
        "{:?}",
        last.notice
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_is_gone_is_removed_and_one_that_is_busy_is_tried_again() {
    let house = House::start(with_browsers()).await;
    let gone = asks(&house, "gone", Language::English).await;
    let busy = asks(&house, "busy", Language::English).await;
    let refused = asks(&house, "refused", Language::English).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    house.services(move |url| match url.rsplit('/').next().unwrap() {
        "gone" => http(410),
        "refused" => http(403),
        _ if counted.fetch_add(1, Ordering::SeqCst) == 0 => {
            let mut again = http(429);
            if let Reply::Http(response) = &mut again {
                response.headers.push(taimat_contract::Attribute {
                    key: "retry-after".into(),
                    value: "1".into(),
                });
            }
            again
        }
        _ => http(201),
    });
    let id = house.see("litter", 1).await;
    let story = house
        .until(id, |s| {
            s.deliveries.iter().all(|d| d.ended.is_some()) && s.deliveries.len() == 3
        })
        .await;
    let state = |name: &String| {
        let one = story.deliveries.iter().find(|d| d.target == *name).unwrap();
        (one.state, one.attempts)
    };
    assert_eq!(state(&gone), (DeliveryStatus::Skipped, 1));
    assert_eq!(state(&busy), (DeliveryStatus::Delivered, 2));
    assert_eq!(state(&refused), (DeliveryStatus::Failed, 1));
    let left = house
        .events
        .store()
        .browsers(&"thu".parse().unwrap())
        .unwrap();
    assert_eq!(
        left.iter().map(|b| &*b.who).collect::<Vec<_>>(),
        ["busy", "refused"]
    );
    // The attempt that did not go well says the same as the one that did.
    let notices: Vec<_> = house
        .pushed()
        .into_iter()
        .filter(|p| p.url.ends_with("/busy"))
        .collect();
    assert_eq!(notices[0].notice, notices[1].notice);
    // Somebody was reached: nobody else has to be told in their place.
    let unreached =
        |h: &Happening| matches!(h, Happening::Undelivered { target, .. } if target == "phones");
    assert!(
        !story.log.iter().any(|entry| unreached(&entry.happening)),
        "{story:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_can_not_be_reached_delays_no_other_browser() {
    let house = House::start(with_browsers()).await;
    let away = asks(&house, "away", Language::English).await;
    let there = asks(&house, "there", Language::English).await;
    house.services(|url| match url.ends_with("/away") {
        true => fail("no connection"),
        false => ok(),
    });
    let id = house.see("litter", 1).await;
    let story = house.until(id, |s| ended(s, &there) == 1).await;
    assert_eq!(ended(&story, &away), 0);
    // It does not want to be told any more while it is tried: what waits for it ends.
    let commune = "thu".parse().unwrap();
    let number = away.rsplit('/').next().unwrap().parse().unwrap();
    let now = UnixMicros::from(clock::wall());
    assert!(
        house
            .events
            .store()
            .remove_browser(&commune, number, now)
            .await
            .unwrap()
    );
    house.until(id, |s| ended(s, &away) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_browser_can_be_tried() {
    let house = House::start(with_browsers()).await;
    let an = asks(&house, "an", Language::Vietnamese).await;
    asks(&house, "ba", Language::English).await;
    let commune = "thu".parse().unwrap();
    let told = house.events.test(&commune, &an, "Chi").await.unwrap();
    house.until(told.event.id, |s| ended(s, &an) == 1).await;
    let pushed = house.pushed();
    assert_eq!(pushed.len(), 1);
    assert_eq!(pushed[0].notice["title"], "ℹ️ Tin thử");
    let unknown = house.events.test(&commune, "phones/77", "Chi").await;
    assert!(matches!(unknown, Err(StoreError::Unknown)));
    let other = house.events.test(&commune, "desk/1", "Chi").await;
    assert!(matches!(other, Err(StoreError::Unknown)));
}
