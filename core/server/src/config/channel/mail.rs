//! `[channel.…]` whose address is a mail server's.

use taimat_outbound::{MailEncryption, MailSpec};
use toml_edit::Item;

use super::reading::Reading;

pub(super) const SETTINGS: [&str; 5] = ["user", "password", "from", "to", "tls"];

impl Reading<'_, '_> {
    pub(super) fn mail(&mut self, implicit: bool) -> Option<MailSpec> {
        let at = self.at.clone();
        let login = self.login();
        self.reader.required(&at, "from", "\"taimat@example.org\"");
        let from = self.word(&at, "from", 256);
        let has_at = from.as_ref().is_none_or(|from| from.contains('@'));
        if !has_at {
            let span = at.table.get("from").and_then(Item::span);
            let message = format!("`from` of {} is no mail address", at.name);
            self.reader
                .problem(span, message, "from = \"taimat@example.org\"");
        }
        let Some(item) = at.table.get("to") else {
            let message = format!("{} does not say to whom mails may go", at.name);
            self.reader
                .problem(at.span.clone(), message, "to = [\"*@example.org\"]");
            return None;
        };
        let to = self.reader.texts(&at, "to", item);
        let choices = [
            ("starttls", MailEncryption::StartTls),
            ("none", MailEncryption::None),
        ];
        let chosen = self.reader.choice(&at, "tls", &choices);
        let encryption = match (implicit, chosen) {
            (true, None) => MailEncryption::Implicit,
            (true, Some(_)) => {
                let span = at.table.get("tls").and_then(Item::span);
                let message = format!("`tls` of {} is for smtp://, and this is smtps://", at.name);
                self.reader.problem(span, message, "leave it away");
                MailEncryption::Implicit
            }
            (false, chosen) => chosen.unwrap_or(MailEncryption::StartTls),
        };
        Some(MailSpec {
            login,
            from: from.filter(|_| has_at)?,
            to: to.into_iter().map(|(text, _)| text).collect(),
            encryption,
        })
    }
}
