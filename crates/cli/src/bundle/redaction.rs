//! A log without what looks like a secret. What follows a mark of one is left out to the end of its line: where a secret ends
//! is for whoever wrote it to know, and a line that is too short helps more than one that gives it away.

use crate::secrets::{HIDDEN, keys};

/// What stands where the rest of a line was.
const CUT: &str = "(the rest of the line was left out)";

/// Words that a secret's name ends with.
const LAST: [&str; 11] = [
    "token",
    "key",
    "pwd",
    "passwd",
    "passphrase",
    "credential",
    "credentials",
    "cookie",
    "authorization",
    "signature",
    "seal",
];
/// Words that a secret's name has anywhere, unless it is that of a file or a variable.
const WITHIN: [&str; 3] = ["secret", "password", "passwort"];
/// Names of secrets in a query, and nowhere else.
const OF_QUERIES: [&str; 6] = ["sig", "link", "code", "auth", "state", "pass"];
/// What comes before a credential in a header.
const SCHEMES: [&str; 4] = ["bearer", "basic", "digest", "negotiate"];
/// Whoever has the rest of these addresses may write there.
const HOOKS: [&str; 4] =
    ["hooks.slack.com", "discord.com/api/webhooks", "discordapp.com/api/webhooks", "webhook.office.com"];
/// The shortest credential that is known by its scheme alone, in letters.
const CREDENTIAL: usize = 6;
/// Letters of a line of a key in PEM, at the least.
const OF_PEM: usize = 40;

/// The text without keys in PEM, without lines that hold a service's key, and without what follows other marks.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut out = String::new();
    let mut in_pem = false;
    // Where lines began that may be of a key whose beginning is not there.
    let mut letters_from = None;
    for line in text.split_inclusive('\n') {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        let begins = line.rfind("-----BEGIN ");
        let ends = line.rfind("-----END ");
        let was_in_pem = in_pem;
        in_pem = match (begins, ends) {
            (Some(begins), Some(ends)) => begins > ends,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => in_pem,
        };
        if was_in_pem {
            continue;
        }
        let from = letters_from.unwrap_or(out.len());
        letters_from = is_base64(line).then_some(from);
        if ends.is_some() && begins.is_none() {
            // The text begins in the middle of one.
            out.truncate(from);
            out.push_str("(the end of a key was left out)\n");
        } else if is_base64(line) && line.trim().len() >= OF_PEM {
            out.push_str("(a line of a key was left out)\n");
        } else if let Some(what) = keys(&line[..begins.unwrap_or(line.len())]).next() {
            out.push_str(&format!("(a line with {what} was left out)\n"));
        } else if let Some(at) = mark(line).into_iter().chain(begins).min() {
            out.push_str(&line[..at]);
            out.push_str(CUT);
            out.push_str(end);
        } else {
            out.push_str(line);
        }
    }
    out
}

fn is_base64(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

/// Where the first thing begins that may be secret.
fn mark(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let all =
        [named(&lower), of_query(&lower), scheme(&lower), token(line), user(line), encoded_user(&lower), hook(&lower)];
    all.into_iter().flatten().min()
}

fn is_of_name(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '-' | '.')
}

/// How many bytes of a text are blanks, quotes and what escapes them.
fn before_value(text: &str) -> usize {
    text.len() - text.trim_start_matches([' ', '\t', '"', '\'', '`', '\\', '>']).len()
}

/// A value that says nothing.
fn is_nothing(text: &str) -> bool {
    let value = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}' | ']' | ';' | '&' | '\\'));
    let value = value.into_iter().next().unwrap_or_default();
    matches!(value, "" | "null" | "none" | "true" | "false") || text.starts_with(HIDDEN)
}

/// The value of a name that says that it is secret: `NAME=…`, `"name": "…"`, `name: …`, `--name …`.
fn named(lower: &str) -> Option<usize> {
    let words = LAST.iter().map(|word| (*word, false)).chain(WITHIN.iter().map(|word| (*word, true)));
    let values = words.flat_map(|(word, within)| {
        lower.match_indices(word).filter_map(move |(at, _)| {
            let mut end = at + word.len();
            let rest = &lower[end..];
            let further = rest.len() - rest.trim_start_matches(is_of_name).len();
            let tail = &rest[..further];
            if within {
                if ["env", "file", "path"].iter().any(|ending| tail.ends_with(ending)) {
                    return None;
                }
            } else if !tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_') {
                return None;
            }
            end += further;
            let start = lower[..at].trim_end_matches(is_of_name).len();
            let quotes = lower[end..].len() - lower[end..].trim_start_matches(['"', '\'', '`', '\\', ']']).len();
            let after = end + quotes;
            let blanks = lower[after..].len() - lower[after..].trim_start_matches([' ', '\t']).len();
            let sign = &lower[after + blanks..];
            let value = if sign.starts_with("::") {
                return None;
            } else if sign.starts_with([':', '=']) {
                after + blanks + (sign.len() - sign.trim_start_matches([':', '=']).len())
            } else if lower[start..].starts_with("--") && blanks > 0 {
                after + blanks
            } else {
                return None;
            };
            let value = value + before_value(&lower[value..]);
            (!is_nothing(&lower[value..])).then_some(value)
        })
    });
    values.min()
}

fn of_query(lower: &str) -> Option<usize> {
    let values = OF_QUERIES.iter().flat_map(|name| {
        lower.match_indices(name).filter_map(move |(at, _)| {
            let value = at + name.len() + 1;
            let is = lower[..at].ends_with(['?', '&', ';', '#']) && lower[at + name.len()..].starts_with('=');
            (is && !is_nothing(&lower[value..])).then_some(value)
        })
    });
    values.min()
}

/// A credential after the name of its scheme, whatever header it is in.
fn scheme(lower: &str) -> Option<usize> {
    let values = SCHEMES.iter().flat_map(|scheme| {
        lower.match_indices(scheme).filter_map(move |(at, _)| {
            let rest = &lower[at + scheme.len()..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t', '+', ':', '=', '"', '\'']).len();
            let blank = if rest.starts_with("%20") { 3 } else { blank };
            let letters = rest[blank..].chars().take_while(|c| !c.is_whitespace() && !matches!(c, '"' | '\'')).count();
            let begins = !lower[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
            (begins && blank > 0 && letters >= CREDENTIAL && !rest[blank..].starts_with(HIDDEN))
                .then_some(at + scheme.len() + blank)
        })
    });
    values.min()
}

/// A JSON Web Token, signed or encrypted.
fn token(line: &str) -> Option<usize> {
    let mut found = line.match_indices("eyJ").filter(|(at, _)| {
        let rest = &line[*at..];
        let head = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        rest.len() - head.len() > 8 && head.starts_with('.')
    });
    found.next().map(|(at, _)| at)
}

/// A password before the host of a URL, or a name so long that it may be a token.
fn user(line: &str) -> Option<usize> {
    let mut found = line.match_indices("://").filter_map(|(at, sign)| {
        let begin = at + sign.len();
        let rest = &line[begin..];
        let rest =
            &rest[..rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '`' | '<' | '>')).unwrap_or(rest.len())];
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // Before a port there is no password, though there may be an `@` further on; a password may have a slash in it.
        let (name, word) = match (authority.rsplit_once('@'), rest.rsplit_once('@')) {
            (Some((user, _)), _) => user.split_once(':').unwrap_or((user, "")),
            (None, Some((user, _))) => {
                user.split_once(':').filter(|(_, word)| !word.starts_with(|c: char| c.is_ascii_digit()))?
            }
            (None, None) => return None,
        };
        if word.is_empty() && name.len() >= 8 {
            return Some(begin);
        }
        (!word.is_empty() && word != HIDDEN).then_some(begin + name.len() + 1)
    });
    found.next()
}

/// The same in a URL that is part of another.
fn encoded_user(lower: &str) -> Option<usize> {
    let mut found = lower.match_indices("%3a%2f%2f").filter_map(|(at, sign)| {
        let rest = &lower[at + sign.len()..];
        let rest = rest.split(|c: char| c.is_whitespace() || matches!(c, '"' | '&')).next().unwrap_or_default();
        rest.contains("%40").then_some(at + sign.len())
    });
    found.next()
}

fn hook(lower: &str) -> Option<usize> {
    HOOKS
        .iter()
        .filter_map(|hook| Some(lower.find(hook)? + hook.len()))
        .min()
        .filter(|at| lower[*at..].starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_left() {
        for line in [
            "authorization: Bearer canary-0123456789",
            "proxy-authorization: Basic canaryOmNhbmFyeQ==",
            "headers {\"x-upstream\": \"Bearer canary.0123\"} status=401",
            "sent eyJcanary0iJIUzI1NiJ9.eyJjYW5hcnkiOiJ4In0.canary to it",
            "OPENAI_API_KEY=canary",
            "export APP_SECRET='canary with blanks'",
            "DB_PASSWORD=\"canary\" other=1",
            "SECRET_KEY_BASE=canary",
            "THREADMILL_OPS_TOKEN = canary",
            "{\"level\":\"info\",\"msg\":\"{\\\"password\\\":\\\"canary\\\"}\"}",
            "x-api-key: canary",
            "password: canary of two words",
            "Password=canary&x",
            "GET /v1/x?access_token=canary&y=1 200",
            "GET /x?a=1&sig=canary",
            "open http://127.0.0.1:7430/?link=canary",
            "GET /maps?key=canary",
            "--auth-token canary --other",
            "postgres://app:c%40n:canary@db:5432/chat",
            "postgres://app:x/canary@db/chat",
            "https://user:p%2Fcanary@example.org/x",
            "https://canary0123456789@sentry.example/1",
            "GET /go?to=https%3A%2F%2Fuser%3Acanary%40host",
            "POST https://hooks.slack.com/services/T0/B0/canary",
            "POST https://hooks.slack.com/workflows/canary",
            "cookie: session=canary",
        ] {
            let left = without_secrets(&format!("before {line}\nafter\n"));
            assert!(!left.contains("canary"), "{line}: {left}");
            let begins = left.starts_with("before ") || left.starts_with("(a line with ");
            assert!(begins && left.ends_with("\nafter\n"), "{left}");
        }
    }

    #[test]
    fn keys_in_pem_are_left_out_to_their_end() {
        let body = "canary0123456789canary0123456789canary0123456789canary0123456789";
        let pem =
            format!("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: canary\n{body}\n==\n-----END RSA PRIVATE KEY-----\n");
        let left = without_secrets(&format!("a\nread {pem}b\n"));
        assert_eq!(left, format!("a\nread {CUT}\nb\n"));
        // The end of a log may begin within one, and one may be escaped into a line.
        let left = without_secrets(&format!("{body}\ncanary==\n-----END PRIVATE KEY-----\nb\n"));
        assert_eq!(left, "(the end of a key was left out)\nb\n");
        let left = without_secrets("x -----BEGIN PRIVATE KEY-----\\ncanary\\n-----END PRIVATE KEY-----\\n\nb\n");
        assert!(!left.contains("canary") && left.ends_with("\nb\n"), "{left}");
    }

    #[test]
    fn what_is_harmless_stays() {
        for line in [
            "2026-11-29T10:00:00Z INFO threadmill: 3 runs, tokens=120 key_env=OPENAI",
            "chat at http://127.0.0.1:7430 with data in PostgreSQL at db:5432/chat",
            "redis://app:(redacted)@hot:6379/0 GET http://h:7430/v1/threads/a@b",
            "secret_file=/run/x token_file=/run/y the token is missing",
            "\"password\": null, crate::key::of, basic words",
        ] {
            assert_eq!(without_secrets(line), line);
        }
    }
}
