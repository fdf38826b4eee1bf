//! Settings of the deployment: read by prefix, changed by compare-and-set, all or none.

use std::sync::Arc;

use super::Rig;
use crate::{DurableStore, SETTING_VALUE, Setting, SettingPut, SettingsPage, StoreError};

fn put(key: &str, read: u64, value: &str) -> SettingPut {
    SettingPut::new(key, read, value)
}

fn setting(key: &str, version: u64, value: &str) -> Setting {
    Setting { key: key.into(), version, value: value.into() }
}

async fn puts(store: &Arc<dyn DurableStore>, puts: Vec<SettingPut>) -> bool {
    store.put_settings(puts).await.expect("it is decided")
}

/// They are found by the beginning of their keys, in order, and are there after a restart.
pub async fn settings_are_read_by_prefix(rig: &mut dyn Rig) {
    let store = rig.store();
    assert_eq!(store.settings("").await.expect("reads"), []);
    let value = "{\"ü\": 1}";
    assert!(puts(&store, vec![put("a/two", 0, value), put("a-b", 0, "x"), put("a/one", 0, ""), put("b", 0, "")]).await);
    drop(store);
    rig.restart().await;
    let store = rig.store();
    assert_eq!(store.settings("a/").await.expect("reads"), [setting("a/one", 1, ""), setting("a/two", 1, value)]);
    assert_eq!(store.settings("a").await.expect("reads").len(), 3);
    assert_eq!(store.settings("c").await.expect("reads"), []);
}

/// Who read an older version puts nothing, also of what else was to be put with it.
pub async fn a_setting_that_moved_on_is_not_put(rig: &mut dyn Rig) {
    let store = rig.store();
    assert!(puts(&store, vec![put("k", 0, "1")]).await);
    assert!(!puts(&store, vec![put("k", 0, "again")]).await, "it is there already");
    assert!(!puts(&store, vec![put("other", 3, "x")]).await, "it never was");
    assert!(puts(&store, vec![put("k", 1, "2"), put("log/1", 0, "k is 2")]).await);
    assert!(!puts(&store, vec![put("log/2", 0, "k is 3"), put("k", 1, "3")]).await);
    assert_eq!(store.settings("").await.expect("reads"), [setting("k", 2, "2"), setting("log/1", 1, "k is 2")]);
}

/// A page begins after a key, ends at its limit and stays within its prefix.
pub async fn settings_are_read_in_pages(rig: &mut dyn Rig) {
    let store = rig.store();
    let all = ["q/1", "q/2", "q/3", "q0", "r/1"];
    assert!(puts(&store, all.map(|key| put(key, 0, key)).to_vec()).await);
    let page = async |after: Option<&str>, limit| {
        let page = SettingsPage { prefix: "q/".into(), after: after.map(str::to_owned), limit };
        let found = store.settings_page(page).await.expect("reads");
        assert!(found.iter().all(|setting| setting.version == 1 && setting.value == setting.key));
        found.into_iter().map(|setting| setting.key).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2).await, ["q/1", "q/2"]);
    assert_eq!(page(Some("q/2"), 2).await, ["q/3"]);
    assert_eq!(page(Some("a"), 9).await, ["q/1", "q/2", "q/3"], "a key before all of them leaves none out");
    assert_eq!(page(Some("q/3"), 9).await, [""; 0]);
    assert_eq!(page(None, 0).await, [""; 0]);
}

/// A setting is removed with what else is put, by whoever read it as it stands; put again, it counts from 1.
pub async fn a_setting_is_removed_as_it_was_read(rig: &mut dyn Rig) {
    let store = rig.store();
    assert!(puts(&store, vec![put("k", 0, "1"), put("other", 0, "1")]).await);
    assert!(puts(&store, vec![put("k", 1, "2")]).await);
    let gone = |read| SettingPut::removal("k", read);
    assert!(!puts(&store, vec![put("log", 0, "k is gone"), gone(1)]).await, "it has moved on");
    assert!(!puts(&store, vec![gone(2), put("other", 7, "x")]).await, "the other one has not stood so");
    assert_eq!(store.settings("").await.expect("reads").len(), 2, "all or none");
    assert!(puts(&store, vec![gone(2), put("moved", 0, "2")]).await);
    drop(store);
    rig.restart().await;
    let store = rig.store();
    assert_eq!(store.settings("").await.expect("reads"), [setting("moved", 1, "2"), setting("other", 1, "1")]);
    assert!(!puts(&store, vec![gone(2)]).await, "it is gone already");
    assert!(puts(&store, vec![put("k", 0, "anew")]).await);
    assert_eq!(store.settings("k").await.expect("reads"), [setting("k", 1, "anew")]);
}

/// Of many that change one at once each has its turn or is told to read again.
pub async fn of_many_that_put_one_setting_none_is_lost(rig: &mut dyn Rig) {
    let store = rig.store();
    let mut adding = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store.clone();
        adding.spawn(async move {
            loop {
                let found = store.settings("count").await.expect("reads").pop();
                let (read, value) = found.map_or((0, 0), |it| (it.version, it.value.parse().expect("a number")));
                if puts(&store, vec![put("count", read, &format!("{}", value + 1))]).await {
                    return;
                }
            }
        });
    }
    adding.join_all().await;
    assert_eq!(store.settings("count").await.expect("reads"), [setting("count", 8, "8")]);
}

/// What no store keeps is refused.
pub async fn settings_have_bounds(rig: &mut dyn Rig) {
    let store = rig.store();
    let long = "x".repeat(SETTING_VALUE + 1);
    let (twice, many) = (vec![put("k", 0, ""); 2], (0..17).map(|at| put(&format!("k{at}"), 0, "")).collect());
    for wrong in [
        vec![],
        vec![put("", 0, "")],
        vec![put("A", 0, "")],
        vec![put("k", 0, &long)],
        twice,
        many,
        vec![SettingPut::removal("k", 0)],
    ] {
        let refused = store.put_settings(wrong).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    assert!(puts(&store, vec![put("k", 0, &long[1..])]).await, "so much is kept");
    assert_eq!(store.settings("").await.expect("reads").len(), 1);
}
