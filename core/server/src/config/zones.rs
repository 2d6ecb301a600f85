//! What people say of a camera for plugins to know: its tags, and parts of its picture.

use taimat_contract::commune::Zone;
use toml_edit::Item;

use super::reader::{Reader, Section, key_span};

/// Tags of a camera at most, and of a zone.
const MAX_TAGS: (usize, usize) = (32, 8);
/// Zones of a camera at most.
const MAX_ZONES: usize = 32;

/// `tags` of a section, at most so many.
fn tags<'a>(reader: &mut Reader<'a>, section: &Section<'a>, most: usize) -> Vec<String> {
    let Some(item) = section.table.get("tags") else {
        return Vec::new();
    };
    let tags = reader.texts(section, "tags", item);
    let fits = |tag: &str| (1..=64).contains(&tag.len()) && !tag.contains(char::is_control);
    if tags.len() > most || !tags.iter().all(|(tag, _)| fits(tag)) {
        let message = format!("`tags` of {} are too many or too long", section.name);
        let hint = format!("{most} at most, each one line of 64 bytes at most");
        reader.problem(item.span(), message, hint);
    }
    tags.into_iter().map(|(tag, _)| tag).collect()
}

/// `tags` of a camera.
pub(super) fn camera_tags<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<String> {
    tags(reader, section, MAX_TAGS.0)
}

/// `[camera.NAME.zone.ZONE]`.
pub(super) fn zones<'a>(reader: &mut Reader<'a>, section: &Section<'a>) -> Vec<Zone> {
    let mut zones = Vec::new();
    let camera = section.name.trim_matches(['[', ']']).to_owned();
    let Some(all) = reader.section(section, "zone", format!("[{camera}.zone]")) else {
        return zones;
    };
    for (name, _) in all.table.iter() {
        if zones.len() >= MAX_ZONES || name.len() > 64 {
            let message = format!("[{camera}] has too many zones, or one with too long a name");
            let hint = format!("{MAX_ZONES} zones at most, with names of 64 bytes at most");
            reader.problem(key_span(all.table, name), message, hint);
            break;
        }
        let Some(zone) = reader.section(&all, name, format!("[{camera}.zone.{name}]")) else {
            continue;
        };
        reader.only(&zone, &["outline", "tags"]);
        let item = zone.table.get("outline");
        let corners = item.and_then(outline);
        let Some(outline) = corners.filter(|c| (3..=64).contains(&c.len())) else {
            let span = item.and_then(Item::span).or_else(|| zone.span.clone());
            let message = format!("`outline` of {} is no polygon", zone.name);
            let hint =
                "3 to 64 corners in fractions of the picture: [[0.0, 0.5], [1.0, 0.5], [1.0, 1.0]]";
            reader.problem(span, message, hint);
            continue;
        };
        zones.push(Zone {
            name: name.to_owned(),
            tags: tags(reader, &zone, MAX_TAGS.1),
            outline,
        });
    }
    zones
}

fn outline(item: &Item) -> Option<Vec<(f32, f32)>> {
    let within = |value: &toml_edit::Value| {
        let number = value.as_float().or(value.as_integer().map(|n| n as f64))?;
        (0.0..=1.0).contains(&number).then_some(number as f32)
    };
    let corner = |value: &toml_edit::Value| {
        let pair = value.as_array().filter(|pair| pair.len() == 2)?;
        Some((within(pair.get(0)?)?, within(pair.get(1)?)?))
    };
    item.as_array()?.iter().map(corner).collect()
}
