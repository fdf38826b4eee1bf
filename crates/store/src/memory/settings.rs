//! Settings on the model.

use super::state::State;
use crate::{Setting, SettingPut, SettingsPage, StoreResult, check_settings};

pub(super) fn page(state: &State, page: &SettingsPage) -> Vec<Setting> {
    let is_asked = |key: &String| key.starts_with(&page.prefix) && page.after.as_ref().is_none_or(|after| key > after);
    let found = state.settings.iter().filter(|(key, _)| is_asked(key)).take(page.limit as usize);
    found.map(|(key, (version, value))| Setting { key: key.clone(), version: *version, value: value.clone() }).collect()
}

pub(super) fn put(state: &mut State, puts: &[SettingPut]) -> StoreResult<bool> {
    check_settings(puts)?;
    let version = |key| state.settings.get(key).map_or(0, |(version, _)| *version);
    if puts.iter().any(|put| version(&put.key) != put.read) {
        return Ok(false);
    }
    for put in puts {
        match &put.value {
            Some(value) => drop(state.settings.insert(put.key.clone(), (put.read + 1, value.clone()))),
            None => drop(state.settings.remove(&put.key)),
        }
    }
    Ok(true)
}
