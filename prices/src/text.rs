//! Bytes to characters: by the mark at the beginning, by what the server says, by
//! what the page says, and else UTF-8 if it is, or windows-1252.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into a page its own word about its characters is looked for.
const DECLARED_WITHIN: usize = 1024;

/// The characters of a page that came as `content_type`.
pub(crate) fn decoded(bytes: &[u8], content_type: Option<&str>) -> String {
    let declared = content_type.and_then(of_server).or_else(|| of_page(bytes));
    let usual = || match std::str::from_utf8(bytes) {
        Ok(_) => UTF_8,
        Err(_) => WINDOWS_1252,
    };
    // A mark at the beginning counts before everything else.
    let (text, _, _) = declared.unwrap_or_else(usual).decode(bytes);
    text.into_owned()
}

fn of_server(content_type: &str) -> Option<&'static Encoding> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| Encoding::for_label(value.trim().trim_matches('"').as_bytes()))?
    })
}

fn of_page(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = bytes.get(..DECLARED_WITHIN).unwrap_or(bytes);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let (_, behind) = head.split_once("charset=")?;
    let label = behind.trim_start_matches(['"', '\'', ' ']);
    let end = label.find(['"', '\'', ' ', '>', ';', '/']).unwrap_or(label.len());
    Encoding::for_label(label.get(..end)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_it_was_meant() {
        let utf8 = "bl\u{e9} 1 \u{20ac}".as_bytes();
        let western = b"bl\xE9 1 \x80";
        for (bytes, content_type) in [
            (utf8, None),
            (utf8, Some("text/html")),
            (utf8, Some("text/html; charset=UTF-8")),
            (western, None),
            (western, Some("text/html; Charset=\"ISO-8859-1\"")),
            (western, Some("text/html; charset=unheard-of")),
        ] {
            assert_eq!(decoded(bytes, content_type), "bl\u{e9} 1 \u{20ac}", "{content_type:?}");
        }
        let page = [&b"<meta charset='iso-8859-15'>"[..], b"\xA4"].concat();
        assert!(decoded(&page, None).ends_with('\u{20ac}'));
        assert!(decoded(&page, Some("text/html; charset=utf-8")).ends_with('\u{fffd}'));
        assert_eq!(decoded(b"\xFF\xFEa\0", Some("text/html; charset=utf-8")), "a");
    }
}
