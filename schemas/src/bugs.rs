//! Bugs that a build with the feature `bugs` has on purpose, one at a time: a run
//! that is to find what is wrong must find each of them. Without the feature, which
//! no release has, none of this is there.

/// A way to count wrongly. `ANIMOV_BUG` has its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An append is acknowledged before the log has it for good.
    AckBeforeFsync,
    /// Frames of windows that have ended are not counted.
    DropLate,
    /// What a commit writes is added to what is there.
    Increment,
    /// A commit is written whoever owns the partition by now.
    NoCas,
    /// A frame counts as often as it comes.
    NoDedup,
    /// Offsets are committed before what was counted up to them.
    OffsetFirst,
}

impl Bug {
    /// Whether this process has it.
    ///
    /// # Panics
    ///
    /// `ANIMOV_BUG` names none of them.
    #[cfg(feature = "bugs")]
    #[must_use]
    pub fn is_planted(self) -> bool {
        use std::sync::OnceLock;
        static PLANTED: OnceLock<Option<Bug>> = OnceLock::new();
        let planted = PLANTED.get_or_init(|| {
            let name = std::env::var("ANIMOV_BUG").ok()?;
            let bug = Bug::ALL.into_iter().find(|bug| bug.name() == name);
            assert!(bug.is_some(), "ANIMOV_BUG={name} is none of {:?}", Bug::ALL.map(Bug::name));
            bug
        });
        *planted == Some(self)
    }

    /// Whether this process has it: it does not.
    #[cfg(not(feature = "bugs"))]
    #[must_use]
    #[inline(always)]
    pub const fn is_planted(self) -> bool {
        false
    }

    #[cfg(feature = "bugs")]
    const ALL: [Bug; 6] = [
        Bug::AckBeforeFsync,
        Bug::DropLate,
        Bug::Increment,
        Bug::NoCas,
        Bug::NoDedup,
        Bug::OffsetFirst,
    ];

    #[cfg(feature = "bugs")]
    const fn name(self) -> &'static str {
        match self {
            Bug::AckBeforeFsync => "ack-before-fsync",
            Bug::DropLate => "drop-late",
            Bug::Increment => "increment",
            Bug::NoCas => "no-cas",
            Bug::NoDedup => "no-dedup",
            Bug::OffsetFirst => "offset-first",
        }
    }
}
