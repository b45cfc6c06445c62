//! Where simulated frames go.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use producers::simulate::Counts;
use schemas::avro::Header;
use schemas::log::FrameLog;
use schemas::source::SourceId;
use schemas::time::SystemClock;
use sinks::config::LogConfig;
use sinks::log::segments::Segments;

use crate::output::{self, Output, Reader};

/// Frames of one append or one request, at most: what the API takes by default.
const BATCH_FRAMES: usize = 8192;

/// Bytes of one append or one request, about.
const BATCH_BYTES: usize = 4 << 20;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// How counts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated, with a header.
    Csv,
}

/// Where frames go.
pub(super) enum Target {
    Stdout(Lines),
    Frames(Batch),
}

impl Target {
    pub(super) fn stdout(format: Format) -> anyhow::Result<Target> {
        let mut out = output::open(None)?;
        if format == Format::Csv {
            output::unless_closed(writeln!(out, "source,seq,captured_at,lying,standing"))?;
        }
        Ok(Target::Stdout(Lines { format, out, line: Vec::new() }))
    }

    pub(super) fn log(config: LogConfig) -> anyhow::Result<Target> {
        let log = Segments::open(config.dir, config.segments, Arc::new(SystemClock))?;
        Ok(Target::Frames(Batch::to(Sender::Log(log))))
    }

    pub(super) fn api(url: &str) -> anyhow::Result<Target> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!("{url} does not begin with http://");
        };
        let url = match rest.trim_end_matches('/').contains('/') {
            true => url.to_owned(),
            false => format!("{}/v1/frames", url.trim_end_matches('/')),
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_TIMEOUT))
            .build()
            .into();
        let token = crate::config::variable(api::TOKEN_ENV).filter(|token| !token.is_empty());
        Ok(Target::Frames(Batch::to(Sender::Api { url, token, agent })))
    }

    /// Sends what lies here.
    ///
    /// # Errors
    ///
    /// It cannot be sent.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Target::Stdout(lines) => output::unless_closed(lines.out.flush()).map(|_| ()),
            Target::Frames(batch) => batch.send(),
        }
    }

    /// Sends the rest.
    ///
    /// # Errors
    ///
    /// It cannot be sent.
    pub(super) fn finish(&mut self) -> anyhow::Result<()> {
        self.flush()
    }
}

/// Counts as text.
pub(super) struct Lines {
    format: Format,
    out: Output,
    line: Vec<u8>,
}

impl Lines {
    /// Writes one frame.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    #[inline]
    pub(super) fn take(&mut self, header: &Header, counts: Counts) -> anyhow::Result<Reader> {
        self.line.clear();
        write_line(self.format, header, counts, &mut self.line);
        output::unless_closed(self.out.write_all(&self.line))
    }
}

#[inline]
fn write_line(format: Format, header: &Header, counts: Counts, line: &mut Vec<u8>) {
    let [source, lying, standing] = match format {
        Format::Ndjson => [&b"{\"source\":"[..], b",\"lying\":", b",\"standing\":"],
        Format::Csv => [&b""[..], b",", b","],
    };
    let [seq, captured_at, end] = match format {
        Format::Ndjson => [&b",\"seq\":"[..], b",\"captured_at\":", b"}\n"],
        Format::Csv => [&b","[..], b",", b"\n"],
    };
    let moment = header.captured_at.get();
    line.extend_from_slice(source);
    push_number(header.id.source.get().unsigned_abs().into(), line);
    line.extend_from_slice(seq);
    push_number(header.id.seq, line);
    line.extend_from_slice(captured_at);
    if moment < 0 {
        line.push(b'-');
    }
    push_number(moment.unsigned_abs(), line);
    line.extend_from_slice(lying);
    push_number(counts.lying.into(), line);
    line.extend_from_slice(standing);
    push_number(counts.standing.into(), line);
    line.extend_from_slice(end);
}

/// Appends the decimal digits of `number`: several times as fast as formatting.
#[inline]
fn push_number(mut number: u64, line: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    line.extend_from_slice(&digits[at..]);
}

/// Frames that wait to be sent together.
pub(super) struct Batch {
    to: Sender,
    bytes: Vec<u8>,
    /// The end of each frame's bytes.
    ends: Vec<(SourceId, usize)>,
}

enum Sender {
    Log(Segments),
    Api { url: String, token: Option<String>, agent: ureq::Agent },
}

impl Batch {
    fn to(to: Sender) -> Batch {
        Batch { to, bytes: Vec::new(), ends: Vec::new() }
    }

    /// Takes one frame, in Avro single-object encoding.
    ///
    /// # Errors
    ///
    /// Those before it cannot be sent.
    #[inline]
    pub(super) fn take(&mut self, source: SourceId, frame: &[u8]) -> anyhow::Result<Reader> {
        self.bytes.extend_from_slice(frame);
        self.ends.push((source, self.bytes.len()));
        if BATCH_FRAMES <= self.ends.len() || BATCH_BYTES <= self.bytes.len() {
            self.send()?;
        }
        Ok(Reader::Listens)
    }

    fn send(&mut self) -> anyhow::Result<()> {
        if self.ends.is_empty() {
            return Ok(());
        }
        match &self.to {
            Sender::Log(log) => {
                let mut start = 0;
                let frames = self.ends.iter().map(|(source, end)| {
                    let frame = &self.bytes[start..*end];
                    start = *end;
                    (*source, frame)
                });
                log.append(&frames.collect::<Vec<_>>())?;
            }
            Sender::Api { url, token, agent } => {
                let mut request = agent.post(url).header("content-type", "avro/binary");
                if let Some(token) = token {
                    request = request.header("authorization", format!("Bearer {token}"));
                }
                let sent = request.send(&self.bytes[..]);
                let mut answer = sent.map_err(io::Error::other).with_context(|| {
                    format!("could not send frames to {url}; is animov running there?")
                })?;
                if !answer.status().is_success() {
                    let said = answer.body_mut().read_to_string().unwrap_or_default();
                    bail!("{url} answered {}: {said}", answer.status());
                }
            }
        }
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use schemas::frame::FrameId;
    use schemas::source::SessionId;
    use schemas::time::UnixMillis;

    use super::*;

    #[test]
    fn a_frame_is_a_line() {
        let id = FrameId {
            source: 7.try_into().unwrap(),
            session: SessionId::derived_from(b"herd"),
            seq: 12,
        };
        let at = UnixMillis::new(1_772_408_970_000);
        let header = Header { id, captured_at: at, produced_at: at };
        let mut lines = Vec::new();
        for format in [Format::Ndjson, Format::Csv] {
            write_line(format, &header, Counts { lying: 3, standing: 0 }, &mut lines);
        }
        insta::assert_snapshot!(String::from_utf8(lines).unwrap(), @r#"
        {"source":7,"seq":12,"captured_at":1772408970000,"lying":3,"standing":0}
        7,12,1772408970000,3,0
        "#);
    }

    proptest! {
        #[test]
        fn digits_are_the_numbers(number in any::<u64>()) {
            let mut line = Vec::new();
            push_number(number, &mut line);
            prop_assert_eq!(String::from_utf8(line).unwrap(), number.to_string());
        }
    }
}
