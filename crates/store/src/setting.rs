//! Settings of a deployment: small texts under keys, each with a version, that every node reads and changes by
//! compare-and-set. They belong to no tenant and hold nothing that a user wrote, unless that user gave it to the operator.

use crate::{StoreError, StoreResult};

/// Bytes that a key may have.
pub const SETTING_KEY: usize = 128;
/// Bytes that a value may have.
pub const SETTING_VALUE: usize = 256 * 1024;
/// Settings that are put at once.
pub const SETTINGS_AT_ONCE: usize = 16;

/// A setting as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name: lower-case words with `/` between them, so that a prefix names a folder.
    pub key: String,
    /// Counts from 1 with every put.
    pub version: u64,
    /// What it says.
    pub value: String,
}

/// A wish to change a setting, or to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingPut {
    /// Its name.
    pub key: String,
    /// The version that it was read with; 0 if there was none.
    pub read: u64,
    /// What it shall say; none removes it. A key that was removed and is put again counts from 1 anew, so whoever removes
    /// keys gives each of them to one thing alone.
    pub value: Option<String>,
}

impl SettingPut {
    /// To say this.
    pub fn new(key: impl Into<String>, read: u64, value: impl Into<String>) -> Self {
        Self { key: key.into(), read, value: Some(value.into()) }
    }

    /// To be there no more.
    pub fn removal(key: impl Into<String>, read: u64) -> Self {
        Self { key: key.into(), read, value: None }
    }
}

/// What of the settings is read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsPage {
    /// The beginning of their keys.
    pub prefix: String,
    /// Those that come after this key.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Refuses what no store keeps.
///
/// # Errors
/// `Invalid`, with the reason.
pub fn check_settings(puts: &[SettingPut]) -> StoreResult<()> {
    let refuse = |why: String| Err(StoreError::Invalid(why));
    if puts.is_empty() || puts.len() > SETTINGS_AT_ONCE {
        return refuse(format!("1 to {SETTINGS_AT_ONCE} settings are put at once"));
    }
    for (at, put) in puts.iter().enumerate() {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'/' | b'.' | b'_');
        if put.key.is_empty() || put.key.len() > SETTING_KEY || !put.key.bytes().all(plain) {
            return refuse(format!("a setting's key has 1 to {SETTING_KEY} characters of a-z 0-9 - / . _"));
        }
        match &put.value {
            Some(value) if value.len() > SETTING_VALUE => {
                return refuse(format!("a setting has at most {SETTING_VALUE} bytes"));
            }
            Some(value) if value.contains('\0') => return refuse("a setting holds no zero character".into()),
            None if put.read == 0 => return refuse("what is not there is not removed".into()),
            Some(_) | None => {}
        }
        if puts[..at].iter().any(|other| other.key == put.key) {
            return refuse("a setting is put once at a time".into());
        }
    }
    Ok(())
}

/// The end of the keys that begin with a prefix, of settings and of budgets: none has this character.
#[must_use]
pub fn keys_end(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}")
}
