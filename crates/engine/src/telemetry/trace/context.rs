//! Which trace something belongs to: W3C's `traceparent`, and a run's place in a trace.
//!
//! Ids of our own are made of the run's, so that its trace can be found without having been told, and the same run never
//! has two. `tracestate` is not read and not passed on.

use std::fmt;

use threadmill_proto::{RunId, TenantId};

/// A trace's id. Never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// A span's id. Never all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a request says of the trace that it is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: TraceId,
    /// The span that asked.
    pub span: SpanId,
    /// Whether whoever asked keeps its own spans.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Reads a `traceparent` as W3C's Trace Context has it: `00-TRACE-SPAN-FLAGS` in lower-case digits. Of a later version
    /// the same fields count, whatever follows them. `None` for what is malformed, which is as if it were not there.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = text.split_once('-')?;
        let [version] = bytes(version)?;
        let (fields, more) = rest.split_at_checked(52)?;
        if version == 0xff || (version == 0 && !more.is_empty()) || !(more.is_empty() || more.starts_with('-')) {
            return None;
        }
        let mut fields = fields.split('-');
        let (trace, span) = (TraceId(bytes(fields.next()?)?), SpanId(bytes(fields.next()?)?));
        let [flags] = bytes(fields.next()?)?;
        let is_whole = fields.next().is_none() && trace.0 != [0; 16] && span.0 != [0; 8];
        is_whole.then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-0{}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// So many bytes in lower-case digits, and nothing else.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let text = text.as_bytes();
    if text.len() != 2 * N {
        return None;
    }
    let mut all = [0; N];
    for (byte, pair) in all.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(all)
}

/// A run's place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunTrace {
    pub(crate) id: TraceId,
    /// The run's own span; where none is made, that of whoever asked.
    pub(crate) root: SpanId,
    /// The span that asked, where it is another process's.
    pub(crate) parent: Option<SpanId>,
    /// Whether spans are made of it.
    pub(crate) is_sampled: bool,
}

impl RunTrace {
    /// The place of a run whose spans are kept.
    pub(crate) fn sampled(tenant: &TenantId, run: &RunId, parent: Option<TraceParent>) -> Self {
        let (id, root) = ids(tenant, run);
        Self {
            id: parent.map_or(id, |parent| parent.trace),
            root,
            parent: parent.map(|parent| parent.span),
            is_sampled: true,
        }
    }

    /// A trace that goes past this node, which makes no span of its own in it.
    pub(crate) fn passing(parent: TraceParent) -> Self {
        Self { id: parent.trace, root: parent.span, parent: None, is_sampled: false }
    }

    /// The id of the span that is the run's by this number.
    pub(crate) fn child(&self, number: u8) -> SpanId {
        let mut hasher = blake3::Hasher::new_derive_key("threadmill 2026-11 span of a run");
        hasher.update(&self.id.0).update(&self.root.0).update(&[number]);
        SpanId(some(hasher.finalize().as_bytes()))
    }

    /// What the provider is told of it.
    pub(crate) fn header(&self) -> TraceParent {
        TraceParent { trace: self.id, span: self.root, is_sampled: self.is_sampled }
    }
}

/// The trace and the span that are a run's own.
fn ids(tenant: &TenantId, run: &RunId) -> (TraceId, SpanId) {
    let mut hasher = blake3::Hasher::new_derive_key("threadmill 2026-11 trace of a run");
    hasher.update(tenant.as_str().as_bytes()).update(b"\n").update(run.as_str().as_bytes());
    let hash = *hasher.finalize().as_bytes();
    (TraceId(some(&hash[..16])), SpanId(some(&hash[16..])))
}

/// The first bytes of a hash, and never all zeros.
fn some<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all.copy_from_slice(&hash[..N]);
    if all == [0; N] { [1; N] } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_it_is_written() {
        let parent = TraceParent::parse(SAID).expect("a parent");
        assert!(parent.is_sampled);
        assert_eq!(parent.to_string(), SAID);
        let later = TraceParent::parse(&format!("cc{}-what-ever", &SAID[2..])).expect("of a later version");
        assert_eq!(later, parent);
        assert!(TraceParent::parse(&SAID.replace("-01", "-02")).is_some_and(|parent| !parent.is_sampled));
    }

    #[test]
    fn what_is_malformed_is_not_there() {
        for text in [
            "",
            "00",
            "00-",
            &SAID[..54],
            &format!("{SAID}-"),
            &format!("{SAID}0"),
            &SAID.replacen("00", "ff", 1),
            &format!("cc{}x", &SAID[2..]),
            &SAID.to_uppercase(),
            &SAID.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &SAID.replace("b7ad6b7169203331", "0000000000000000"),
            &SAID.replace("b7ad6b7169203331", "b7ad6b71692é331"),
            &SAID.replace('-', " "),
            "00-0af7651916cd43dd8448eb211c80319cb7ad6b71692033310101010101",
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_has_one_trace_and_spans_of_it_differ() {
        let (tenant, run) = (TenantId::parse("t").expect("an id"), RunId::parse("r").expect("an id"));
        let own = RunTrace::sampled(&tenant, &run, None);
        assert_eq!(own, RunTrace::sampled(&tenant, &run, None));
        let other = RunTrace::sampled(&TenantId::parse("u").expect("an id"), &run, None);
        assert!(own.id != other.id && own.root != other.root && own.child(1) != own.child(2));
        let parent = TraceParent::parse(SAID).expect("a parent");
        let joined = RunTrace::sampled(&tenant, &run, Some(parent));
        assert_eq!((joined.id, joined.parent, joined.root), (parent.trace, Some(parent.span), own.root));
        assert_eq!(RunTrace::passing(parent).header(), TraceParent { is_sampled: false, ..parent });
    }
}
