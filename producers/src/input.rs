//! What a source is read from: a file's path or a URL, whose secrets nobody sees.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path, or a URL of a kind that FFmpeg reads (`rtsp://`, `http://` …).
///
/// Shown and logged without user and password, with the variables that it names and not what
/// they hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Input {
    /// What is read from, secrets included.
    text: String,
    /// The same before its variables were filled in.
    written: String,
}

/// Words in the names of parameters that hold secrets, as many cameras have them in their
/// paths: `/flv?user=admin&password=…`.
const SECRET_NAMES: [&str; 6] = ["pass", "pwd", "token", "auth", "key", "secret"];

/// An input that names an environment variable which is not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInput {
    #[error("{input} names the environment variable {variable}, which is not set")]
    Unset { input: Input, variable: String },
    #[error("{input} has a \"${{\" without its \"}}\"")]
    Unclosed { input: Input },
    #[error("the input is empty; write a path or a URL")]
    Empty,
}

impl Input {
    pub fn new(text: impl Into<String>) -> Input {
        let text = text.into();
        Input { written: text.clone(), text }
    }

    /// The text as written, secrets included: for FFmpeg alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.text
    }

    /// Whether bytes come over a network, so that they may stop coming.
    pub fn is_network(&self) -> bool {
        self.text.split_once("://").is_some_and(|(scheme, _)| scheme != "file")
    }

    /// Whether this is read with RTSP.
    pub(crate) fn is_rtsp(&self) -> bool {
        self.text.starts_with("rtsp://") || self.text.starts_with("rtsps://")
    }

    /// Whether this is read with RTMP, in any of its forms.
    pub(crate) fn is_rtmp(&self) -> bool {
        self.text.starts_with("rtmp")
    }

    /// The same input with each `${NAME}` replaced by what `variable` says of
    /// it: a camera's password stays out of the configuration file.
    ///
    /// # Errors
    ///
    /// A variable is not set, or the text is empty or broken.
    pub fn expanded(
        &self,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Input, InvalidInput> {
        if self.text.is_empty() {
            return Err(InvalidInput::Empty);
        }
        let (mut out, mut rest) = (String::new(), self.text.as_str());
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else {
                return Err(InvalidInput::Unclosed { input: self.clone() });
            };
            let Some(value) = variable(name) else {
                let variable = name.to_owned();
                return Err(InvalidInput::Unset { input: self.clone(), variable });
            };
            out.push_str(before);
            out.push_str(&value);
            rest = behind;
        }
        out.push_str(rest);
        Ok(Input { text: out, written: self.written.clone() })
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.written.split_once("://") else {
            return f.write_str(&self.written);
        };
        // A password may hold any of `/?#` unescaped, so cut at the last `@` of
        // what could still be one: hiding too much is harmless.
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://***@{}", without_secrets(host)),
            None => write!(f, "{scheme}://{}", without_secrets(rest)),
        }
    }
}

/// A URL's path and query, with the values of what is named like a secret left out.
fn without_secrets(text: &str) -> String {
    let shown = |part: &str| {
        let end = part.trim_start_matches(|c| !"/?&;".contains(c));
        let Some((name, _)) = part.split_once('=') else { return part.to_owned() };
        let lower = name.to_lowercase();
        match SECRET_NAMES.iter().any(|secret| lower.contains(secret)) {
            true => format!("{name}=***{end}"),
            false => part.to_owned(),
        }
    };
    text.split_inclusive(['/', '?', '&', ';']).map(shown).collect()
}

impl From<String> for Input {
    fn from(text: String) -> Input {
        Input::new(text)
    }
}

impl From<Input> for String {
    fn from(input: Input) -> String {
        input.text
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({self})")
    }
}

impl From<&std::path::Path> for Input {
    fn from(path: &std::path::Path) -> Input {
        Input::new(path.to_string_lossy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        for (written, shown) in [
            ("rtsp://goat:secret@10.0.0.7:554/main", "rtsp://***@10.0.0.7:554/main"),
            ("http://u:p/a@ss@host/x", "http://***@host/x"),
            ("rtsp://10.0.0.7/main", "rtsp://10.0.0.7/main"),
            ("clips/barn@night.mp4", "clips/barn@night.mp4"),
            (
                "http://10.0.0.7/flv?user=admin&password=s3cret&channel=1",
                "http://10.0.0.7/flv?user=admin&password=***&channel=1",
            ),
            (
                "rtsp://10.0.0.7:554/user=admin&passwd=s3cret/1.sdp?real_stream",
                "rtsp://10.0.0.7:554/user=admin&passwd=***/1.sdp?real_stream",
            ),
            ("http://10.0.0.7/mjpg?Access_Token=s3", "http://10.0.0.7/mjpg?Access_Token=***"),
            ("http://10.0.0.7/video?size=640x480", "http://10.0.0.7/video?size=640x480"),
        ] {
            assert_eq!(Input::new(written).to_string(), shown);
            assert_eq!(format!("{:?}", Input::new(written)), format!("Input({shown})"));
        }
    }

    #[test]
    fn variables_are_filled_in_or_named() {
        let set = |name: &str| (name == "PASSWORD").then(|| "s${x}".to_owned());
        let expanded = Input::new("rtsp://u:${PASSWORD}@h/").expanded(set).unwrap();
        assert_eq!(expanded.reveal(), "rtsp://u:s${x}@h/");
        let in_the_path = Input::new("rtsp://h/${PASSWORD}/1").expanded(set).unwrap();
        assert_eq!(in_the_path.reveal(), "rtsp://h/s${x}/1");
        assert_eq!(in_the_path.to_string(), "rtsp://h/${PASSWORD}/1");
        let unset = Input::new("rtsp://u:${OTHER}@h/").expanded(set).unwrap_err();
        assert_eq!(
            unset.to_string(),
            "rtsp://***@h/ names the environment variable OTHER, which is not set"
        );
        assert!(Input::new("x${PASSWORD").expanded(set).is_err());
        assert!(Input::new("").expanded(set).is_err());
    }

    #[test]
    fn a_path_is_no_network() {
        assert!(Input::new("rtsp://h/").is_network());
        assert!(!Input::new("file:///a.mp4").is_network());
        assert!(!Input::new("C:/a.mp4").is_network());
    }
}
