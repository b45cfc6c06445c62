//! What the names in an imported file mean.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use schemas::avro;

/// What one column, or one key, carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Source,
    Session,
    Seq,
    CapturedAt,
    /// How many animals of this class the frame shows.
    Class(Arc<str>),
    Ignored,
}

/// `NAME=COLUMN`: what animov calls NAME the file calls COLUMN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renaming {
    name: String,
    column: String,
}

impl Renaming {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn column(&self) -> &str {
        &self.column
    }
}

impl FromStr for Renaming {
    type Err = String;

    fn from_str(text: &str) -> Result<Renaming, String> {
        match text.split_once('=') {
            Some((name, column)) if !name.is_empty() && !column.is_empty() => {
                Ok(Renaming { name: name.to_owned(), column: column.to_owned() })
            }
            _ => Err("write NAME=COLUMN, for example captured_at=ts".to_owned()),
        }
    }
}

/// How names in the file become [`Role`]s.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// By name in the file.
    renamed: BTreeMap<String, String>,
    ignored: Vec<String>,
}

impl Columns {
    pub(super) fn new(renamings: &[Renaming], ignored: &[String]) -> Columns {
        let renamed =
            renamings.iter().map(|Renaming { name, column }| (column.clone(), name.clone()));
        Columns { renamed: renamed.collect(), ignored: ignored.to_vec() }
    }

    /// What the column called `name` in the file carries.
    ///
    /// # Errors
    ///
    /// It would be a class, and its name cannot be one.
    pub(super) fn role(&self, name: &str) -> Result<Role, String> {
        if self.ignored.iter().any(|ignored| ignored == name) {
            return Ok(Role::Ignored);
        }
        let meant = self.renamed.get(name).map_or(name, String::as_str);
        Ok(match meant {
            "source" => Role::Source,
            "session" => Role::Session,
            "seq" => Role::Seq,
            "captured_at" => Role::CapturedAt,
            class => {
                let named = avro::name(class.as_bytes());
                Role::Class(named.map_err(|fault| format!("column {name:?}: {fault}"))?)
            }
        })
    }

    /// Tells files that were read in different ways apart.
    pub(super) fn fingerprint(&self) -> String {
        format!("{:?} {:?}", self.renamed, self.ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_what_it_is_called_unless_it_is_renamed() {
        let renamed = ["captured_at=ts", "lying=couche"].map(|text| text.parse().unwrap());
        let columns = Columns::new(&renamed, &["note".to_owned()]);
        let role = |name| columns.role(name).unwrap();
        assert_eq!(role("ts"), Role::CapturedAt);
        assert_eq!(role("couche"), Role::Class("lying".into()));
        assert_eq!(role("standing"), Role::Class("standing".into()));
        assert_eq!(role("seq"), Role::Seq);
        assert_eq!(role("note"), Role::Ignored);
        assert!(columns.role("").is_err());
        assert!("ts".parse::<Renaming>().is_err());
        assert!("=ts".parse::<Renaming>().is_err());
    }
}
