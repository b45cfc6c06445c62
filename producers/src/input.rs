//! What a source is read from: a file's path or a URL, whose password nobody sees.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A path, or a URL of a kind that FFmpeg reads (`rtsp://`, `http://` …).
///
/// Shown and logged without user and password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Input(String);

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
        Input(text.into())
    }

    /// The text as written, secrets included: for FFmpeg alone.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether bytes come over a network, so that they may stop coming.
    pub fn is_network(&self) -> bool {
        self.0.split_once("://").is_some_and(|(scheme, _)| scheme != "file")
    }

    /// Whether this is read with RTSP.
    pub(crate) fn is_rtsp(&self) -> bool {
        self.0.starts_with("rtsp://") || self.0.starts_with("rtsps://")
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
        if self.0.is_empty() {
            return Err(InvalidInput::Empty);
        }
        let (mut out, mut rest) = (String::new(), self.0.as_str());
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
        Ok(Input(out))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return f.write_str(&self.0);
        };
        // A password may hold any of `/?#` unescaped, so cut at the last `@` of
        // what could still be one: hiding too much is harmless.
        match rest.rsplit_once('@') {
            Some((_, host)) => write!(f, "{scheme}://***@{host}"),
            None => write!(f, "{scheme}://{rest}"),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({self})")
    }
}

impl From<&std::path::Path> for Input {
    fn from(path: &std::path::Path) -> Input {
        Input(path.to_string_lossy().into_owned())
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
