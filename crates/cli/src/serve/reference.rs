//! `docs/configuration.md`, made from the types of the configuration, their comments and their defaults. The test fails
//! when the file says something else; `UPDATE_EXPECT=1 cargo test --package threadmill-cli reference` writes it.

use std::fmt::Write as _;

use clap::Args as _;
use expect_test::expect_file;
use serde_json::{Map, Value};

use crate::config::live::is_live;
use crate::config::{Config, VARIABLES};

const HEAD: &str = "# Configuration

What `threadmill serve` is told: by flags, else by variables, else by the file `threadmill.toml` (or `--config FILE`), else
by defaults. A key that is not listed here is refused, so a typing error is found at start. Secrets are given by variables
or files of their own, never in `threadmill.toml`. What is *live* holds as soon as the file is read again, at SIGHUP or by
`POST /ops/api/reload`; the rest waits for a restart, and a file with a mistake changes nothing. This page is made from the code.

A configuration may come over a pipe (`--config /dev/stdin`, `--config <(…)`): it is read once, and a reload reads that text
again. It has at most 1 MiB. A directory is refused, and a pipe that says nothing, since whatever should have written there
failed. Files that it names (secrets, certificates, prices) are regular files: pipes and devices are refused.

";

/// Variables that stand for no key of the file.
const OTHER_VARIABLES: [(&str, &str); 9] = [
    (
        "THREADMILL_AUTH_SECRET",
        "The secret of `auth = \"token\"`, at least 32 bytes; or `auth_secret_file` names a file.",
    ),
    (
        "THREADMILL_HOT_SEAL",
        "A secret that seals what is kept in the hot tier, the same at every node, instead of the database's own.",
    ),
    ("THREADMILL_OPS_TOKEN", "The operators' token, at least 32 bytes; or `ops.token_file` names a file."),
    (
        "THREADMILL_OTLP_HEADERS",
        "Headers for the receiver of traces, `name=value,name=value` with values as in URLs; or `telemetry.otlp_headers_file` names a file.",
    ),
    (
        "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        "Who gets traces, in OpenTelemetry's variables, where `telemetry` and the variables above say nothing.",
    ),
    (
        "OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES",
        "What the service is called in traces, `threadmill` by default, and what else is said of it.",
    ),
    (
        "THREADMILL_FLAG_NAME",
        "`on`, `off` or `25%`: overrides the flag `name` for the life of the process, its rollout too.",
    ),
    ("KV_REST_API_URL, KV_REST_API_TOKEN", "Upstash as the hot tier, over REST."),
    (
        "USE_SCALABLE_SYNC_ENGINE",
        "`true` or `false`: the flag `scalable-sync`; `false` goes before every other variable.",
    ),
];

/// The root of the schema and what it refers to.
struct Schema {
    root: Value,
    defaults: Value,
}

impl Schema {
    /// A schema, or what it refers to. An optional one is the one that is not null.
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(reference) = schema["$ref"].as_str() {
            return self.resolve(self.root.pointer(reference.trim_start_matches('#')).expect("a definition"));
        }
        match schema["anyOf"].as_array() {
            Some(choices) => self.resolve(choices.iter().find(|choice| choice["type"] != "null").expect("a choice")),
            None => schema,
        }
    }

    /// What a value may be, in a word or two.
    fn kind(&self, schema: &Value) -> String {
        let schema = self.resolve(schema);
        let named: Vec<_> =
            schema["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str()).collect();
        if !named.is_empty() {
            return named.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ");
        }
        let name = match &schema["type"] {
            Value::Array(names) => names.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
            name => name.as_str(),
        };
        match name.unwrap_or_default() {
            "array" => format!("list of {}", self.kind(&schema["items"])),
            "integer" if schema["minimum"] == 1 => "whole number from 1".into(),
            "integer" => "whole number".into(),
            "boolean" => "`true` or `false`".into(),
            "object" => "table".into(),
            "string" => "text".into(),
            name => name.into(),
        }
    }
}

/// A comment as one paragraph.
fn words(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The keys of one table of the file. `at` is where the table is in the file; one that may be there many times has no place.
fn table(
    out: &mut String,
    schema: &Schema,
    table: &Value,
    properties: &Map<String, Value>,
    (list, at): (&str, Option<&str>),
) {
    out.push_str("| key | is | default | live | what it says | variable |\n|---|---|---|---|---|---|\n");
    for (key, property) in properties {
        let path = format!("{}{key}", at.unwrap_or_default());
        let default = at.and_then(|_| schema.defaults.pointer(&format!("/{}", path.replace('.', "/"))));
        let required = table["required"].as_array().is_some_and(|names| names.iter().any(|name| name == key));
        let default = match default.or_else(|| property.get("default")) {
            None if required => "to be given".into(),
            None | Some(Value::Null) => String::new(),
            Some(value) => format!("`{value}`"),
        };
        let variable = VARIABLES.iter().find(|(_, named)| *named == path && at.is_some());
        let variable = variable.map(|(name, _)| format!("`{name}`")).unwrap_or_default();
        let what = words(property);
        assert!(!what.is_empty(), "{path} says nothing of what it is for");
        let live = if is_live(if at.is_some() { &path } else { list }) { "yes" } else { "" };
        let _ = writeln!(out, "| `{key}` | {} | {default} | {live} | {what} | {variable} |", schema.kind(property));
    }
    out.push('\n');
}

/// The keys of the file that hold a value, and those that hold a table.
fn split(schema: &Schema, properties: &Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let nests = |property: &Value| {
        let property = schema.resolve(property);
        property["properties"].is_object()
            || property["additionalProperties"].is_object()
            || schema.resolve(&property["items"])["oneOf"].is_array()
            || schema.resolve(&property["items"])["properties"].is_object()
    };
    properties.clone().into_iter().partition(|(_, property)| !nests(property))
}

/// The keys of tables of a table that may be there many times.
fn lists(out: &mut String, schema: &Schema, at: &str, properties: &Map<String, Value>) {
    for (key, property) in properties {
        let entry = schema.resolve(&schema.resolve(property)["items"]);
        if let Some(properties) = entry["properties"].as_object() {
            let _ = writeln!(out, "### `[[{at}.{key}]]`\n\n{}\n", words(entry));
            table(out, schema, entry, properties, (&format!("{at}.{key}"), None));
        }
    }
}

fn sections(out: &mut String, schema: &Schema, nested: &Map<String, Value>) {
    for (key, property) in nested {
        let inner = schema.resolve(property);
        if let Some(properties) = inner["properties"].as_object() {
            let _ = writeln!(out, "## `[{key}]`\n\n{}\n", words(property));
            table(out, schema, inner, properties, (key, Some(&format!("{key}."))));
            lists(out, schema, key, properties);
        } else if let Some(kinds) = schema.resolve(&inner["items"])["oneOf"].as_array() {
            let _ = writeln!(out, "## `[[{key}]]`\n\n{}\n", words(property));
            for kind in kinds {
                let mut properties = kind["properties"].as_object().cloned().unwrap_or_default();
                let name = properties.remove("kind").and_then(|kind| kind["const"].as_str().map(String::from));
                let _ = writeln!(out, "### `kind = \"{}\"`\n\n{}\n", name.unwrap_or_default(), words(kind));
                table(out, schema, kind, &properties, (key, None));
            }
        } else if let Some(properties) = schema.resolve(&inner["items"])["properties"].as_object() {
            let one = schema.resolve(&inner["items"]);
            let _ = writeln!(out, "## `[[{key}]]`\n\n{} {}\n", words(property), words(one));
            table(out, schema, one, properties, (key, None));
        } else {
            let entry = schema.resolve(&inner["additionalProperties"]);
            let _ = writeln!(out, "## `[{key}]`\n\n{}\n", words(property));
            if let Some(properties) = entry["properties"].as_object() {
                let _ = writeln!(out, "A table for each, `[{key}.NAME]`:\n");
                table(out, schema, entry, properties, (key, None));
            } else {
                let live = if is_live(key) { " Live." } else { "" };
                let _ = writeln!(out, "A key for each name; its value is a {}.{live}\n", schema.kind(entry));
            }
        }
    }
}

fn flags(out: &mut String) {
    out.push_str("## Flags of `threadmill serve`\n\n| flag | what it says |\n|---|---|\n");
    let serve = super::Serve::augment_args(clap::Command::new("serve"));
    for argument in serve.get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = value.map(|names| format!(" {}", names[0])).unwrap_or_default();
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(out, "| `--{long}{value}` | {} |", help.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}

fn page() -> String {
    let root = serde_json::to_value(schemars::schema_for!(Config)).expect("a schema");
    let schema = Schema { root, defaults: serde_json::to_value(Config::default()).expect("a value") };
    let (values, nested) = split(&schema, schema.root["properties"].as_object().expect("keys"));
    let mut out = HEAD.to_owned();
    out.push_str("## At the top of the file\n\n");
    table(&mut out, &schema, &Value::Null, &values, ("", Some("")));
    sections(&mut out, &schema, &nested);
    out.push_str("## Other variables\n\n| variable | what it says |\n|---|---|\n");
    for (name, what) in OTHER_VARIABLES {
        let _ = writeln!(out, "| `{}` | {what} |", name.replace(", ", "`, `"));
    }
    out.push('\n');
    flags(&mut out);
    out
}

#[test]
fn the_page_says_what_the_code_takes() {
    expect_file!["../../../../docs/configuration.md"].assert_eq(&page());
}
