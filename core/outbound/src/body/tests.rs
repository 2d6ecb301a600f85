use async_trait::async_trait;
use proptest::prelude::*;
use taimat_contract::channel::MediaSource;

use super::*;

#[derive(Debug)]
struct Pictures(usize);

#[async_trait]
impl MediaSource for Pictures {
    async fn media(&self, media: &Media) -> Option<Vec<u8>> {
        (media.event != "gone").then(|| vec![0xff; self.0])
    }
}

fn medium(event: &str) -> Media {
    Media {
        kind: MediaKind::Picture,
        event: event.into(),
        width: 0,
        marked: false,
    }
}

fn text(text: &str) -> Chunk {
    Chunk::Text(text.into())
}

fn field(name: &str, content: Vec<Chunk>) -> Field {
    Field {
        name: name.into(),
        file_name: String::new(),
        content_type: String::new(),
        content,
    }
}

async fn filled(body: Body, said: Option<&str>) -> Result<Filled, Failure> {
    let secrets = [("key", "a\"b&c d")].map(|(name, s)| (name.to_owned(), Secret::new(s)));
    let secrets = BTreeMap::from(secrets);
    Filler::new(&secrets, &Pictures(3)).body(&body, said).await
}

#[tokio::test]
async fn a_secret_is_written_as_it_fits_where_it_stands() {
    let chunks = || vec![text("{\"k\":\""), Chunk::Secret("key".into()), text("\"}")];
    let json = filled(Body::Content(chunks()), None).await.unwrap();
    let read: serde_json::Value = serde_json::from_slice(&json.bytes).unwrap();
    assert_eq!(read["k"], "a\"b&c d");
    assert_eq!(json.content_type.as_deref(), Some("application/json"));
    let plain = filled(Body::Content(chunks()), Some("text/plain"))
        .await
        .unwrap();
    assert_eq!(plain.bytes, b"{\"k\":\"a\"b&c d\"}");
    assert_eq!(plain.content_type, None);
    let form = Body::Urlencoded(vec![
        field("a b", vec![text("1 & 2")]),
        field("k", vec![Chunk::Secret("key".into())]),
    ]);
    let form = filled(form, None).await.unwrap();
    assert_eq!(form.bytes, b"a%20b=1%20%26%202&k=a%22b%26c%20d");
    let said = Some("application/x-www-form-urlencoded; charset=utf-8");
    let content = Body::Content(vec![text("k="), Chunk::Secret("key".into())]);
    assert_eq!(
        filled(content, said).await.unwrap().bytes,
        b"k=a%22b%26c%20d"
    );
}

#[tokio::test]
async fn a_form_has_its_parts_and_media_are_files() {
    let form = Body::Form(vec![
        field("chat\"_id", vec![text("7")]),
        field("photo", vec![Chunk::Media(medium("e"))]),
    ]);
    let filled = filled(form, Some("text/plain")).await.unwrap();
    let content_type = filled.content_type.unwrap();
    let boundary = content_type
        .strip_prefix("multipart/form-data; boundary=")
        .unwrap();
    let mut expected = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"chat%22_id\"\r\n\r\n7\r\n--{boundary}\r\n\
         content-disposition: form-data; name=\"photo\"; filename=\"picture.jpg\"\r\n\
         content-type: image/jpeg\r\n\r\n"
    )
    .into_bytes();
    expected.extend([0xff; 3]);
    expected.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    assert_eq!(filled.bytes, expected);
}

#[tokio::test]
async fn what_is_not_there_or_too_much_is_no_message() {
    let gone = Body::Content(vec![Chunk::Media(medium("gone"))]);
    assert_eq!(
        filled(gone, None).await.unwrap_err().text,
        "the picture is not there"
    );
    let unknown = Body::Content(vec![Chunk::Secret("other".into())]);
    assert_eq!(
        filled(unknown, None).await.unwrap_err().outcome,
        Outcome::Unready
    );
    let secrets = BTreeMap::new();
    let pictures = Pictures(6 << 20);
    let many = Body::Content(vec![Chunk::Media(medium("e")); 4]);
    let failure = Filler::new(&secrets, &pictures)
        .body(&many, None)
        .await
        .unwrap_err();
    assert!(failure.text.contains("20 MiB"));
    let in_base64 = Body::Content(vec![Chunk::MediaBase64(medium("e")); 3]);
    assert!(
        Filler::new(&secrets, &pictures)
            .body(&in_base64, None)
            .await
            .is_err()
    );
}

proptest! {
    #[test]
    fn a_form_reads_back_as_it_was_meant(pairs in prop::collection::vec((".{1,8}", ".{0,12}"), 0..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let fields = pairs.iter().map(|(name, value)| field(name, vec![text(value)])).collect();
        let filled = runtime.block_on(filled(Body::Urlencoded(fields), None)).unwrap();
        let url = url::Url::parse(&format!("http://a/?{}", String::from_utf8(filled.bytes).unwrap())).unwrap();
        let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(read, pairs);
    }
}
