//! What a file has lost: half a file may be a good one, that says half as much.

use std::collections::BTreeSet;

use toml_edit::{Document, Item, Table};

/// Whether the text says less than the former did: it has a section less, or ends in the middle of it. Sections that
/// are written as values (`camera.cho = { … }`) are not looked into.
pub(crate) fn lost(former: &str, text: &str) -> bool {
    let (Ok(former_document), Ok(document)) = (Document::parse(former), Document::parse(text))
    else {
        return false;
    };
    let cut = text.len() < former.len() && former.starts_with(text.trim_end());
    cut || !sections(&former_document).is_subset(&sections(&document))
}

/// The headers of a file.
fn sections<S>(document: &Document<S>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    add(document.as_table(), "", &mut found);
    found
}

fn add(table: &Table, above: &str, found: &mut BTreeSet<String>) {
    for (key, item) in table.iter() {
        let path = format!("{above}/{key}");
        match item {
            Item::Table(table) => {
                add(table, &path, found);
                found.insert(path);
            }
            Item::ArrayOfTables(tables) => {
                for (number, table) in tables.iter().enumerate() {
                    let path = format!("{path}#{number}");
                    add(table, &path, found);
                    found.insert(path);
                }
            }
            Item::Value(_) | Item::None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "[commune]\nname = \"x\"\n[camera.a]\nmain = \"rtsp://192.0.2.1/a\"\naudio = true\n\
        [camera.a.zone.gate]\noutline = []\n[[rule]]\ntell = [\"a\"]\n[[rule]]\ntell = [\"b\"]\n";

    #[test]
    fn every_cut_that_is_a_good_file_is_seen() {
        for (at, _) in WHOLE.char_indices().skip(1) {
            let half = WHOLE.get(..at).unwrap();
            if Document::parse(half).is_ok() && half.trim_end() != WHOLE.trim_end() {
                assert!(lost(WHOLE, half), "{half}");
            }
        }
    }

    #[test]
    fn what_says_as_much_or_more_has_lost_nothing() {
        for text in [
            WHOLE.to_owned(),
            WHOLE.replace("true", "false"),
            format!("# ours\n{WHOLE}[camera.b]\n"),
            WHOLE.replace("audio = true\n", ""),
        ] {
            assert!(!lost(WHOLE, &text), "{text}");
        }
        assert!(lost(
            WHOLE,
            &WHOLE.replace("[camera.a.zone.gate]\noutline = []\n", "")
        ));
        assert!(lost(
            WHOLE,
            &WHOLE.replace("[[rule]]\ntell = [\"b\"]\n", "")
        ));
        // What is no TOML has not lost something, it is wrong.
        assert!(!lost(WHOLE, "[commune"));
    }
}
