//! What `robots.txt` says to us (RFC 9309).
//!
//! The group that names us counts, or else the one for everybody; of its rules the
//! longest that matches, and of two as long the one that allows.

/// Who we are, in such a file.
pub(crate) const NAME: &str = "animov";

/// Rules that are read of one file.
const RULES_MAX: usize = 10_000;

/// The rules that count for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Robots {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    allows: bool,
    pattern: String,
}

impl Robots {
    /// Reads a file.
    pub(crate) fn read(text: &str) -> Robots {
        let (mut ours, mut everybodys) = (None::<Vec<Rule>>, Vec::new());
        let (mut names_us, mut names_all, mut in_names) = (false, false, false);
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            match key.as_str() {
                "user-agent" => {
                    if !in_names {
                        (names_us, names_all, in_names) = (false, false, true);
                    }
                    names_all |= value == "*";
                    if is_us(value) {
                        names_us = true;
                        _ = ours.get_or_insert_default();
                    }
                }
                "allow" | "disallow" => {
                    in_names = false;
                    let rule = Rule { allows: key == "allow", pattern: normal(value) };
                    // A rule without a path says nothing.
                    if rule.pattern.is_empty() {
                        continue;
                    }
                    if names_us
                        && let Some(ours) = &mut ours
                        && ours.len() < RULES_MAX
                    {
                        ours.push(rule.clone());
                    }
                    if names_all && everybodys.len() < RULES_MAX {
                        everybodys.push(rule);
                    }
                }
                // Others, such as a map of the site, end no list of names.
                _ => {}
            }
        }
        Robots { rules: ours.unwrap_or(everybodys) }
    }

    /// Whether we may ask for `path`, which has its query behind it.
    pub(crate) fn allow(&self, path: &str) -> bool {
        let normal = normal(path);
        let matching = self.rules.iter().filter(|rule| matches(&rule.pattern, &normal));
        let most = matching.max_by_key(|rule| (rule.pattern.len(), rule.allows));
        most.is_none_or(|rule| rule.allows) || path == "/robots.txt"
    }
}

/// A path as rules and addresses are compared (RFC 9309, 2.2.2): a character that needs no
/// encoding stands for itself, and any other byte beyond ASCII is encoded.
fn normal(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        let digit = |at: usize| char::from(*behind.get(at)?).to_digit(16);
        let encoded = (*byte == b'%').then(|| Some(16 * digit(0)? + digit(1)?)).flatten();
        let encoded = encoded.and_then(|byte| u8::try_from(byte).ok());
        if encoded.is_some() {
            rest = behind.get(2..).unwrap_or_default();
        }
        let plain = match encoded {
            Some(byte) => byte.is_ascii_alphanumeric() || b"-._~".contains(&byte),
            None => byte.is_ascii(),
        };
        let byte = encoded.unwrap_or(*byte);
        match plain {
            true => normal.push(char::from(byte)),
            false => normal.push_str(&format!("%{byte:02X}")),
        }
    }
    normal
}

/// Whether a list of names means us: `animov`, whatever stands behind it.
fn is_us(name: &str) -> bool {
    let end = name.find(|c: char| !c.is_ascii_alphabetic() && !matches!(c, '-' | '_'));
    name.get(..end.unwrap_or(name.len())).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
}

/// Whether `path` begins as `pattern`: `*` is anything, `$` behind all is the end.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, whole) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return !whole || rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if whole && pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some((_, behind)) = rest.split_once(piece) else { return false };
        rest = behind;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(robots: &str, path: &str) -> bool {
        Robots::read(robots).allow(path)
    }

    #[test]
    fn our_own_group_counts_before_everybodys() {
        let robots = "User-agent: *\nDisallow: /\n\nUser-Agent: other\nUser-agent: Animov/1.0 # us\n\
                      Disallow: /private\n\nUser-agent: animov\nDisallow: /secret\n";
        assert!(allowed(robots, "/prices"));
        assert!(!allowed(robots, "/private/a"));
        assert!(!allowed(robots, "/secret"), "groups of one name are one");
        assert!(!allowed("User-agent: *\nDisallow: /", "/prices"));
        assert!(allowed("User-agent: animov\n\nUser-agent: *\nDisallow: /a", "/b"));
        assert!(allowed("User-agent: animovator\nDisallow: /", "/prices"));
        assert!(allowed("Disallow: /", "/prices"), "a rule of nobody");
        assert!(allowed("User-agent: *\nDisallow:\n", "/prices"));
        assert!(allowed("User-agent: *\nDisallow: /", "/robots.txt"));
    }

    #[test]
    fn the_longest_rule_counts_and_of_two_the_one_that_allows() {
        let robots = "\u{feff}user-agent:*\nDISALLOW:/a\nallow:/a/b\nDisallow: /c\nAllow: /c";
        for (path, is_allowed) in
            [("/", true), ("/a", false), ("/a/c", false), ("/a/b/d", true), ("/c", true)]
        {
            assert_eq!(allowed(robots, path), is_allowed, "{path}");
        }
    }

    #[test]
    fn however_it_is_encoded_a_path_is_the_same() {
        for (pattern, path, is_allowed) in [
            ("/prix/été", "/prix/%C3%A9t%c3%a9", false),
            ("/prix/%c3%a9t%C3%A9", "/prix/%C3%A9t%C3%A9/foin", false),
            ("/%7Ea", "/~a", false),
            ("/~a", "/%7ea", false),
            // A slash that is encoded is none.
            ("/a%2fb", "/a/b", true),
            ("/a%2fb", "/a%2Fb", false),
            ("/100%", "/100%", false),
            ("/%zz", "/%zz", false),
        ] {
            let robots = format!("User-agent: *\nDisallow: {pattern}");
            assert_eq!(allowed(&robots, path), is_allowed, "{pattern} {path}");
        }
    }

    #[test]
    fn a_star_is_anything_and_a_dollar_the_end() {
        for (pattern, path, is_match) in [
            ("/*.php", "/a/b.php?c", true),
            ("/*.php$", "/a/b.php?c", false),
            ("/*.php$", "/a.php/b.php", true),
            ("/a$", "/a", true),
            ("/a$", "/ab", false),
            ("/a*b*c", "/a__b__c__", true),
            ("/a*b*c", "/a__c__b", false),
            ("/*", "/", true),
            ("*", "/anything", true),
            ("/a*$", "/abc", true),
            ("/ab*b$", "/ab", false),
            ("/", "/", true),
        ] {
            assert_eq!(matches(pattern, path), is_match, "{pattern} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_file_breaks_it(text in "((user-agent|allow|disallow)?:? ?[*$/a-c]{0,5}\n?){0,20}", path in "/[a-c*$]{0,8}") {
            let robots = Robots::read(&text);
            proptest::prop_assert_eq!(robots.allow(&path), robots.clone().allow(&path));
        }
    }
}
