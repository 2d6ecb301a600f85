//! How long a text message is: in GSM's own letters, or in Unicode as soon as one letter is not among
//! them.

/// Letters of GSM 03.38 beside those of ASCII that it has at other places.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// Letters that take two places.
const GSM_TWO: &str = "^{}\\[~]|€";

/// Places that a text takes in GSM's letters; none if one is not among them.
fn gsm(text: &str) -> Option<usize> {
    let places = |c: char| match c {
        c if c.is_ascii_alphanumeric() || GSM.contains(c) => Some(1),
        c if GSM_TWO.contains(c) => Some(2),
        _ => None,
    };
    text.chars().map(places).sum()
}

/// How many parts a text is sent in, and paid for.
pub(crate) fn parts(text: &str) -> usize {
    let (length, one, many) = match gsm(text) {
        Some(length) => (length, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if length <= one {
        1
    } else {
        length.div_ceil(many)
    }
}

/// The beginning of `text` with `end` behind it, as much as so many parts hold.
pub(crate) fn fitted(text: &str, end: &str, most: usize) -> String {
    let whole = format!("{text}{end}");
    if parts(&whole) <= most {
        return whole;
    }
    let letters: Vec<char> = text.chars().collect();
    for kept in (0..letters.len()).rev() {
        let beginning: String = letters[..kept].iter().collect();
        let shorter = format!("{}...{end}", beginning.trim_end());
        if parts(&shorter) <= most {
            return shorter;
        }
    }
    // A link that does not fit is no link; what remains of it tells more than nothing.
    end.trim_start().to_owned()
}

/// The letters without their marks: `Đổ rác` becomes `Do rac`. What has no such letter becomes a sign
/// that every telephone has.
pub(crate) fn unmarked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let lower = c.to_lowercase().next().unwrap_or(c);
        let plain = match lower {
            'à' | 'á' | 'ả' | 'ã' | 'ạ' | 'ă' | 'ằ' | 'ắ' | 'ẳ' | 'ẵ' | 'ặ' | 'â' | 'ầ' | 'ấ'
            | 'ẩ' | 'ẫ' | 'ậ' => 'a',
            'è' | 'é' | 'ẻ' | 'ẽ' | 'ẹ' | 'ê' | 'ề' | 'ế' | 'ể' | 'ễ' | 'ệ' => {
                'e'
            }
            'ì' | 'í' | 'ỉ' | 'ĩ' | 'ị' => 'i',
            'ò' | 'ó' | 'ỏ' | 'õ' | 'ọ' | 'ô' | 'ồ' | 'ố' | 'ổ' | 'ỗ' | 'ộ' | 'ơ' | 'ờ' | 'ớ'
            | 'ở' | 'ỡ' | 'ợ' => 'o',
            'ù' | 'ú' | 'ủ' | 'ũ' | 'ụ' | 'ư' | 'ừ' | 'ứ' | 'ử' | 'ữ' | 'ự' => {
                'u'
            }
            'ỳ' | 'ý' | 'ỷ' | 'ỹ' | 'ỵ' => 'y',
            'đ' => 'd',
            '–' | '—' | '−' => '-',
            '‘' | '’' => '\'',
            '“' | '”' => '"',
            // A mark that stands by itself.
            '\u{300}'..='\u{36f}' => continue,
            lower if lower.is_ascii() => lower,
            _ => '?',
        };
        let upper = lower != c;
        out.push(if upper {
            plain.to_ascii_uppercase()
        } else {
            plain
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_that_is_not_gsms_makes_all_of_it_unicode() {
        assert_eq!(parts(&"a".repeat(160)), 1);
        assert_eq!(parts(&"a".repeat(161)), 2);
        assert_eq!(parts(&"{".repeat(81)), 2);
        assert_eq!(parts(&"ợ".repeat(70)), 1);
        assert_eq!(parts(&format!("{}ợ", "a".repeat(70))), 2);
        // Outside of the basic plane a letter takes two places.
        assert_eq!(parts(&"🚨".repeat(35)), 1);
        assert_eq!(parts(&"🚨".repeat(36)), 2);
    }

    #[test]
    fn the_end_is_kept_whole() {
        let text = fitted(&"a".repeat(300), " http://x/1", 1);
        assert!(text.ends_with("... http://x/1"), "{text}");
        assert_eq!((parts(&text), text.len()), (1, 160));
        assert_eq!(fitted("Chợ", " x", 1), "Chợ x");
    }

    #[test]
    fn marks_go_and_letters_stay() {
        let text = "Đổ rác trái phép – Chợ Hữu Nghị, ĐƯỜNG Lý Tự Trọng";
        assert_eq!(
            unmarked(text),
            "Do rac trai phep - Cho Huu Nghi, DUONG Ly Tu Trong"
        );
        assert_eq!(parts(&unmarked(text)), 1);
        assert_eq!(unmarked("e\u{301} 🚨"), "e ?");
    }
}
