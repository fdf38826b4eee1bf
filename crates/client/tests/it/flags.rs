//! Feature flags, read again when the server says so.

use std::collections::BTreeMap;

use threadmill_engine::flags::{Flags, Rule, SCALABLE_SYNC, Share, Source};

use crate::world::{PATIENCE, World};

#[tokio::test]
async fn flags_are_asked_for_and_followed() {
    let world = World::new().await;
    let mut watch = world.client.watch_flags();
    let known = world.client.flags().await.expect("an answer");
    assert!(known.is_on(SCALABLE_SYNC, false) && known.is_on("unheard-of", true) && !known.is_on("unheard-of", false));
    for share in [Share::Off, Share::On] {
        let rules = BTreeMap::from([("new-thing".into(), Rule::of(share, Source::File))]);
        world.engine.flags().set(&Flags::new(rules));
        let on = share == Share::On;
        let heard = watch.wait_for(|flags| flags.rev() != known.rev() && flags.is_on("new-thing", !on) == on);
        tokio::time::timeout(PATIENCE, heard).await.expect("in time").expect("the client is there");
    }
}
