//! Secrets: what they look like where none should be, and how they are kept out of what is printed.

/// The beginnings of keys that services give, the letters that follow, and how many at least.
const KEYS: [(&str, &str, usize); 13] = [
    // What the server prints with `--auth link`.
    ("?link=", "the token of a link", 32),
    ("sk-ant-", "an Anthropic key", 20),
    ("sk-proj-", "an OpenAI key", 20),
    ("sk-", "a provider's key", 32),
    ("AIza", "a Google key", 35),
    ("AKIA", "an AWS key", 16),
    ("ghp_", "a GitHub token", 30),
    ("xoxb-", "a Slack token", 20),
    ("hf_", "a Hugging Face token", 30),
    ("gsk_", "a Groq key", 30),
    ("r8_", "a Replicate token", 30),
    ("whsec_", "a webhook's secret", 20),
    ("pplx-", "a Perplexity key", 30),
];

/// Names of variables that hold secrets. Where the name is, a bundler has put the value.
const NAMES: [&str; 7] = [
    "KV_REST_API_TOKEN",
    "UPSTASH_REDIS_REST_TOKEN",
    "__REDIS_CONFIG",
    "THREADMILL_AUTH_SECRET",
    "THREADMILL_STORE_URL",
    "THREADMILL_HOT_URL",
    "THREADMILL_HOT_SEAL",
];

/// What stands where a secret was.
pub(crate) const HIDDEN: &str = "(redacted)";

/// Schemes whose URLs have a password before the `@`.
const SCHEMES: [&str; 9] = [
    "postgres://",
    "postgresql://",
    "redis://",
    "rediss://",
    "redis+cluster://",
    "rediss+cluster://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "mongodb://",
];

/// What in a text looks like a secret, or names one that a bundler has put there. The secret itself is not repeated.
pub(crate) fn found(text: &str) -> impl Iterator<Item = String> {
    keys(text).chain(NAMES.iter().filter(|name| text.contains(**name)).map(|name| format!("the variable {name}")))
}

/// What in a text looks like a secret.
pub(crate) fn keys(text: &str) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    for (start, what, least) in KEYS {
        let long = |rest: &str| {
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')).count() >= least
        };
        // In the middle of a word it begins nothing.
        let begins = |at: usize| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        // A name with blanks for letters is a placeholder.
        let is_key = |at: usize| {
            let rest = &text[at + start.len()..];
            begins(at) && long(rest) && rest.chars().take(least).any(|c| c.is_ascii_digit())
        };
        if text.match_indices(start).any(|(at, _)| is_key(at)) {
            found.push(what.to_owned());
        }
    }
    if text.contains("-----BEGIN") && text.contains("PRIVATE KEY-----") {
        found.push("a private key".into());
    }
    let with_password =
        |scheme: &&&str| text.match_indices(**scheme).any(|(at, _)| has_password(&text[at + scheme.len()..]));
    found.extend(SCHEMES.iter().filter(with_password).map(|scheme| format!("a {scheme} URL with a password")));
    found.into_iter()
}

fn has_password(rest: &str) -> bool {
    let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '/')).unwrap_or(rest.len());
    let authority = &rest[..end];
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| !word.is_empty() && word != HIDDEN))
}

/// The passwords in a URL: before its host, and in its query, where drivers take them too.
pub(crate) fn passwords(url: &str) -> Vec<String> {
    let Some((_, rest)) = url.split_once("://") else { return Vec::new() };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let user = place.rsplit_once('@').and_then(|(user, _)| Some(user.split_once(':')?.1));
    let of_query = query.split(['&', '#']).filter_map(|pair| pair.split_once('='));
    let named = of_query.filter(|(name, _)| matches!(*name, "password" | "sslpassword")).map(|(_, value)| value);
    user.into_iter().chain(named).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A URL without its password, and without what follows the path, where drivers take passwords too.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "(redacted)".into() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((user, place)) => {
            let name = user.split(':').next().unwrap_or_default();
            let hidden = if user.contains(':') { ":(redacted)" } else { "" };
            format!("{scheme}://{name}{hidden}@{place}")
        }
        None => format!("{scheme}://{rest}"),
    }
}

/// A text in which each of some secrets is blotted out, whatever stands around it.
pub(crate) fn blotted(text: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() >= 6)
        .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(redacted)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_and_not_repeated() {
        for (text, what) in [
            ("const k=\"sk-proj-abcdefghij0123456789xyz\"", "an OpenAI key"),
            ("x='sk-ant-api03-abcdefghij0123456789'", "an Anthropic key"),
            ("AKIAABCDEFGHIJ234567", "an AWS key"),
            ("import.meta.env={VITE_KV_REST_API_TOKEN:\"a\"}", "the variable KV_REST_API_TOKEN"),
            ("-----BEGIN EC PRIVATE KEY-----", "a private key"),
            ("u=\"redis://app:canary@hot:6379/0\"", "a redis:// URL with a password"),
            ("rediss+cluster://:canary@hot", "a rediss+cluster:// URL with a password"),
            ("open http://h/?link=0123456789abcdef0123456789abcdef", "the token of a link"),
        ] {
            let all: Vec<_> = found(text).collect();
            assert!(all.iter().any(|found| found == what), "{text}: {all:?}");
            assert!(!all.iter().any(|found| found.contains("canary")), "{all:?}");
        }
        for harmless in [
            "task-force-0123456789012345678901234567",
            "sk-placeholder-with-no-number-in-it-at-all",
            "redis://localhost:6379",
            "redis://app:(redacted)@hot",
            "postgres://app@db/chat",
            "mask-image:none",
            "sk-1",
        ] {
            assert_eq!(found(harmless).count(), 0, "{harmless}");
        }
    }

    #[test]
    fn passwords_leave_urls() {
        assert_eq!(
            without_password("postgres://app:can@ry@db:5432/chat?sslpassword=canary"),
            "postgres://app:(redacted)@db:5432/chat"
        );
        assert_eq!(without_password("redis://hot:6379/1"), "redis://hot:6379/1");
        assert_eq!(without_password("postgres://db/chat?user=app&password=canary"), "postgres://db/chat");
        assert_eq!(passwords("postgres://app:one@db/chat?password=two&sslmode=require"), ["one", "two"]);
        assert_eq!(passwords("redis://hot:6379/1"), Vec::<String>::new());
        assert_eq!(without_password("canary"), "(redacted)");
        assert_eq!(blotted("a canary sang", &["canary".into(), "a".into()]), "a (redacted) sang");
    }
}
