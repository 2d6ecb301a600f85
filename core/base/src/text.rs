//! Text that comes from somebody else, made fit for logs, terminals and pages.

/// One line of at most so many bytes: cut at a character, with nothing in it that could forge a second
/// line or command a terminal.
pub fn line(text: &str, most: usize) -> String {
    let mut line = String::with_capacity(text.len().min(most));
    for c in text.trim_end().chars() {
        if line.len() + c.len_utf8() > most {
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_and_not_too_long() {
        assert_eq!(line("one\ntwo\u{1b}[2J\n", 100), "one two [2J");
        assert_eq!(line("phường", 4), "phư");
        assert_eq!(line("ờ", 2), "");
    }
}
