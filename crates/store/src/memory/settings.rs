//! Settings on the model.

use super::state::State;
use crate::{Setting, SettingPut, StoreResult, check_settings};

pub(super) fn read(state: &State, prefix: &str) -> Vec<Setting> {
    let named = state.settings.iter().filter(|(key, _)| key.starts_with(prefix));
    named.map(|(key, (version, value))| Setting { key: key.clone(), version: *version, value: value.clone() }).collect()
}

pub(super) fn put(state: &mut State, puts: &[SettingPut]) -> StoreResult<bool> {
    check_settings(puts)?;
    let version = |key| state.settings.get(key).map_or(0, |(version, _)| *version);
    if puts.iter().any(|put| version(&put.key) != put.read) {
        return Ok(false);
    }
    for put in puts {
        state.settings.insert(put.key.clone(), (put.read + 1, put.value.clone()));
    }
    Ok(true)
}
