//! The record to print and sign by hand, in Vietnamese and English: which files, their SHA-256, by which
//! clock, by which root. What stands on paper can not be changed with the files.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use taimat_audit::Digest;

use crate::assertion::{Clock, ClockSource};
use crate::moment::Moment;

use super::facts::FolderFacts;
use super::timeline::Done;

const STYLE: &str = "body{font:11pt/1.4 'Times New Roman',serif;max-width:19cm;margin:1cm auto}\
table{border-collapse:collapse;width:100%;margin:.5em 0}td,th{border:1px solid #000;padding:.2em .4em;\
text-align:left;vertical-align:top}code{font:9pt monospace;word-break:break-all}h1{text-align:center;\
font-size:15pt}.en{color:#444;font-style:italic}.sign{height:3cm}@page{size:A4;margin:1.5cm}";

/// The page. `others` are the files beside the clips.
pub(super) fn html(
    facts: &FolderFacts<'_>,
    fingerprint: &str,
    clips: &[Done<'_>],
    others: &[(&str, Digest)],
) -> String {
    let zone = TimeZone::get(facts.time_zone).unwrap_or(TimeZone::UTC);
    let export = facts.export;
    let mut page = String::from("<!doctype html>\n<html lang=\"vi\"><meta charset=\"utf-8\">\n");
    // Writing to a String does not fail.
    let _written = writeln!(
        page,
        "<title>Biên bản {}</title><style>{STYLE}</style>",
        text(&export.id)
    );
    page.push_str("<h1>BIÊN BẢN TRÍCH XUẤT DỮ LIỆU CAMERA<br><span class=\"en\">");
    page.push_str("Record of exported camera recordings</span></h1>\n<table>\n");
    let made = time(export.at, &zone);
    for (vi, en, value) in [
        ("Đơn vị", "Commune", facts.organization),
        ("Số vụ việc", "Case number", &export.case),
        ("Lý do", "Reason", &export.reason),
        ("Người trích xuất", "Exported by", &export.by),
        ("Vai trò", "Role", &export.role),
        ("Thời điểm trích xuất", "Exported at", &made),
        ("Mã trích xuất", "Export", &export.id),
        (
            "Máy, phần mềm",
            "Machine, software",
            &format!("{}, taimat {}", export.host, export.software),
        ),
        ("Múi giờ", "Time zone", facts.time_zone),
    ] {
        let value = text(value);
        let _written = writeln!(
            page,
            "<tr><th>{vi}<br><span class=\"en\">{en}</span><td>{value}"
        );
    }
    page.push_str("</table>\n<h2>Tệp <span class=\"en\">Files</span></h2>\n<table>\n<tr>");
    for (vi, en) in [
        ("Camera", "Camera"),
        ("Từ – đến", "From – to"),
        ("Đồng hồ", "Clock"),
        ("Tệp, SHA-256", "File, SHA-256"),
    ] {
        let _written = write!(page, "<th>{vi}<br><span class=\"en\">{en}</span>");
    }
    for clip in clips {
        row(&mut page, clip, &zone);
    }
    page.push_str("\n</table>\n<table>\n");
    for (path, hash) in others {
        let _written = writeln!(page, "<tr><td>{}<td><code>{hash}</code>", text(path));
    }
    page.push_str("</table>\n<h2>Chứng thư gốc <span class=\"en\">Root certificate</span></h2>\n");
    page.push_str("<p>So sánh dấu vân tay SHA-256 này với biên bản tạo khóa của đơn vị. ");
    page.push_str(
        "<span class=\"en\">Compare this SHA-256 fingerprint with the minutes of the day ",
    );
    let _written = writeln!(
        page,
        "on which the root was made.</span></p>\n<p><code>{fingerprint}</code></p>"
    );
    page.push_str("<table><tr><th>Người giao <span class=\"en\">Handed over by</span>");
    page.push_str("<th>Người nhận <span class=\"en\">Received by</span>");
    page.push_str("<th>Người chứng kiến <span class=\"en\">Witness</span>\n");
    page.push_str(
        "<tr><td class=\"sign\"><td class=\"sign\"><td class=\"sign\"></table>\n</html>\n",
    );
    page
}

fn row(page: &mut String, clip: &Done<'_>, zone: &TimeZone) {
    let about = clip.assertion;
    let [from, to] = about.interval.covered.map(|t| time(t, zone));
    let camera = &about.camera;
    let _written = write!(
        page,
        "\n<tr><td>{}<br>{}<td>{from} –<br>{to}",
        text(&camera.name),
        text(&camera.id)
    );
    for gap in &about.gaps {
        let [from, to] = [gap.from, gap.to].map(|t| time(t, zone));
        let why = text(&gap.reason);
        let _written = write!(
            page,
            "<br>Thiếu <span class=\"en\">missing</span> {from} – {to}: {why}"
        );
    }
    let (path, bytes, hash) = (text(&clip.path), clip.bytes, clip.hash);
    let clock = clock(&about.clock);
    let _written = write!(
        page,
        "<td>{clock}<td>{path}<br>{bytes} bytes<br><code>{hash}</code>"
    );
}

/// The camera's clock against the server's, and the server's against the world's.
fn clock(clock: &Clock) -> String {
    let source = match clock.source {
        ClockSource::RtcpSr => "camera (RTCP)",
        ClockSource::Arrival => "máy chủ <span class=\"en\">server</span>",
    };
    let mut out = source.to_owned();
    if let Some([start, end]) = clock.camera_minus_server_ms {
        let _written = write!(
            out,
            "<br>camera − máy chủ <span class=\"en\">camera − server</span>: {start}, {end} ms"
        );
    }
    let _written = write!(out, "<br>{}", text(&clock.server_sync));
    if let Some(error) = clock.server_error_ms {
        let _written = write!(out, " ± {error} ms");
    }
    out
}

/// A moment as the commune's clocks show it, with the offset.
fn time(moment: Moment, zone: &TimeZone) -> String {
    let at = Timestamp::from_millisecond(moment.0);
    at.map_or_else(
        |_| moment.to_string(),
        |at| {
            let local = at.to_zoned(zone.clone());
            local.strftime("%d/%m/%Y %H:%M:%S%.3f %:z").to_string()
        },
    )
}

/// Text that a person wrote, as text.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
