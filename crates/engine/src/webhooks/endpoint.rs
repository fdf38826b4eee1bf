//! Who is told of events: an address, the secrets that bodies are signed with, and which events it wants. What a
//! configuration says is checked here, once, so that an endpoint that exists can be used. Secrets are in no `Debug`, error or
//! answer; of the address only its origin is, since paths of webhooks hold secrets often enough.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use standardwebhooks::Webhook;
use threadmill_proto::Millis;

use crate::webhooks::address::Reach;
use crate::webhooks::event::EventKind;

/// Endpoints of a deployment: their deliveries of one event are put at once, with the fact.
pub const MOST: usize = 8;
/// Letters of a name.
const NAME: usize = 32;
/// Secrets at a time: the one in use, and those that receivers may still have.
const SECRETS: usize = 4;
/// Bytes of a secret, by the standard.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How a secret begins.
const PREFIX: &str = "whsec_";

/// What a configuration says of an endpoint.
#[derive(Clone, Default)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Secrets, `whsec_…`: each signs.
    pub secrets: Vec<String>,
    /// Names of events; none for all.
    pub events: Vec<String>,
    /// Plain HTTP is good enough.
    pub allow_http: bool,
    /// So is an address in a private network.
    pub allow_private: bool,
}

impl std::fmt::Debug for Wish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wish").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Somebody who is told.
pub struct Endpoint {
    name: String,
    url: Url,
    secrets: Vec<Vec<u8>>,
    events: Vec<EventKind>,
    reach: Reach,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.name).field("origin", &self.origin()).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Checks a wish.
    ///
    /// # Errors
    /// Why it cannot be used, without what may be secret.
    pub fn new(wish: &Wish) -> Result<Self, String> {
        let Wish { name, url, secrets, events, allow_http, allow_private } = wish;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > NAME || !name.bytes().all(plain) {
            return Err(format!("`name` has 1 to {NAME} characters of a-z 0-9 -"));
        }
        let reach = if *allow_private { Reach::Private } else { Reach::Public };
        let url = address(url, *allow_http, reach)?;
        if secrets.is_empty() || secrets.len() > SECRETS {
            return Err(format!("it has 1 to {SECRETS} secrets, {PREFIX}…"));
        }
        let secrets = secrets.iter().map(|secret| key(secret)).collect::<Result<_, _>>()?;
        let kind = |word: &String| {
            let known: Vec<_> = EventKind::ALL.iter().map(|kind| kind.word()).collect();
            EventKind::named(word).ok_or_else(|| format!("`events`: {word:?} is none of {}", known.join(", ")))
        };
        let events = events.iter().map(kind).collect::<Result<Vec<_>, _>>()?;
        let events = if events.is_empty() { EventKind::ALL.to_vec() } else { events };
        Ok(Self { name: name.clone(), url, secrets, events, reach })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is, without the path.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    /// The events it wants.
    pub fn events(&self) -> impl Iterator<Item = &'static str> {
        self.events.iter().map(|kind| kind.word())
    }

    /// Tells this address from another one under the same name.
    pub(crate) fn mark(&self) -> String {
        blake3::hash(self.url.as_str().as_bytes()).to_hex()[..16].to_owned()
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn reach(&self) -> Reach {
        self.reach
    }

    pub(crate) fn wants(&self, kind: EventKind) -> bool {
        kind == EventKind::Test || self.events.contains(&kind)
    }

    /// The signatures of a body, one a secret, as the header has them. None if the body is no text.
    pub(crate) fn signatures(&self, id: &str, at: Millis, body: &str) -> Option<String> {
        let seconds = i64::try_from(at / 1_000).ok()?;
        let sign = |secret: &Vec<u8>| Webhook::from_bytes(secret.clone()).ok()?.sign(id, seconds, body.as_bytes()).ok();
        let all: Option<Vec<_>> = self.secrets.iter().map(sign).collect();
        Some(all?.join(" "))
    }
}

/// An address that may be sent to. A host that is an address is judged at once; a name, whenever it is connected to.
fn address(text: &str, allow_http: bool, reach: Reach) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`url` is no address: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if allow_http => {}
        "http" => return Err("`url` is https, unless `allow_http = true`".into()),
        _ => return Err("`url` is https".into()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` names no user and no password: deliveries are signed".into());
    }
    if literal(&url).is_some_and(|literal| !reach.allows(literal)) {
        return Err("`url` is an address that only this machine or its network can reach; see `allow_private`".into());
    }
    Ok(url)
}

/// The address that a URL has in place of a name.
pub(crate) fn literal(url: &Url) -> Option<std::net::IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn key(secret: &str) -> Result<Vec<u8>, String> {
    let wrong = || {
        format!(
            "a secret is {PREFIX} and {} to {} random bytes in base64, such as `printf whsec_; head -c 32 /dev/urandom | base64`",
            SECRET_BYTES.start(),
            SECRET_BYTES.end()
        )
    };
    let key = secret.strip_prefix(PREFIX).and_then(|secret| STANDARD.decode(secret).ok()).ok_or_else(wrong)?;
    if SECRET_BYTES.contains(&key.len()) { Ok(key) } else { Err(wrong()) }
}

/// Checks that endpoints can be together.
///
/// # Errors
/// Why they cannot.
pub fn check(endpoints: &[Endpoint]) -> Result<(), String> {
    if endpoints.len() > MOST {
        return Err(format!("at most {MOST} endpoints are told of events"));
    }
    let twice =
        endpoints.iter().enumerate().find(|(at, one)| endpoints[..*at].iter().any(|other| other.name == one.name));
    twice.map_or(Ok(()), |(_, one)| Err(format!("two endpoints have the name `{}`", one.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn wish() -> Wish {
        let secrets = vec![SECRET.to_owned()];
        Wish { name: "a".into(), url: "https://hooks.example.org/x?y=canary".into(), secrets, ..Wish::default() }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_nothing_secret_is_said() {
        let long = format!("whsec_{}", STANDARD.encode([7; 65]));
        let check = |change: fn(&mut Wish), want: &str| {
            let mut wish = wish();
            change(&mut wish);
            let why = Endpoint::new(&wish).expect_err("it is refused");
            assert!(why.contains(want) && !why.contains("canary"), "{why}");
        };
        check(|wish| wish.name = "A".into(), "`name`");
        check(|wish| wish.url = "http://hooks.example.org".into(), "allow_http");
        check(|wish| wish.url = "ftp://hooks.example.org".into(), "https");
        check(|wish| wish.url = "hooks.example.org/canary".into(), "`url`");
        check(|wish| wish.url = "https://ada:canary@hooks.example.org".into(), "no password");
        check(|wish| wish.url = "https://[::ffff:127.0.0.1]/canary".into(), "allow_private");
        check(|wish| wish.url = "https://0x7f.1/canary".into(), "allow_private");
        check(|wish| wish.url = "https://2130706433/canary".into(), "allow_private");
        check(|wish| (wish.url, wish.allow_private) = ("https://169.254.169.254/".into(), true), "`url`");
        check(|wish| wish.secrets.clear(), "1 to 4 secrets");
        check(|wish| wish.secrets = vec!["canary-canary-canary-canary".into()], "base64");
        check(|wish| wish.secrets = vec!["whsec_Y2FuYXJ5".into()], "24 to 64");
        check(|wish| wish.events = vec!["rollout.gone".into()], "rollout.moved, budget.threshold");
        assert!(Endpoint::new(&Wish { secrets: vec![long], ..wish() }).is_err());
        let fine = Endpoint::new(&wish()).expect("it can be used");
        let said = format!("{fine:?} {:?}", wish());
        assert!(!said.contains("canary") && !said.contains("MfKQ"), "{said}");
    }

    #[test]
    fn each_secret_signs_as_the_standard_has_it() {
        let mut wish = wish();
        // The example of the standard's own tests.
        wish.secrets = vec!["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".into(), SECRET.into()];
        let endpoint = Endpoint::new(&wish).expect("it can be used");
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        let signed = endpoint.signatures("msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553_999, body).expect("signed");
        let all: Vec<_> = signed.split(' ').collect();
        assert_eq!((all.len(), all[0]), (2, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="));
    }

    #[test]
    fn names_are_had_once() {
        let one = |name: &str| Endpoint::new(&Wish { name: name.into(), ..wish() }).expect("it can be used");
        assert!(check(&[one("a"), one("b")]).is_ok());
        assert!(check(&[one("a"), one("b"), one("a")]).is_err_and(|why| why.contains("`a`")));
        assert!(check(&(0..9).map(|at| one(&format!("e{at}"))).collect::<Vec<_>>()).is_err());
    }
}
