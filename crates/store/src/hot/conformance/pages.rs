//! Pages.

use bytes::Bytes;

use super::HotRig;
use super::kit::{BRIEF, bytes, get, page, put, some_thread, tenant, thread};
use crate::hot::{PageKey, ThreadKey};

/// What one node puts, it and another read, whatever the bytes.
pub async fn a_page_reads_back(rig: &dyn HotRig) {
    let thread = some_thread();
    let long: Bytes = (0..300_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
    let pages = [Bytes::new(), bytes("\0\r\n\"\u{e9}"), long];
    let keys: Vec<_> = (0..3).map(|n| page(&thread, n, 1)).collect();
    let put = keys.iter().cloned().zip(pages.iter().cloned()).collect();
    rig.store().put_pages(put).await.expect("the tier answers");
    for store in [rig.store(), rig.other()] {
        let found = store.pages(&keys).await.expect("the tier answers");
        assert!(found.iter().zip(&pages).all(|(found, put)| found.as_ref() == Some(put)));
    }
}

/// A page is what its key says or nothing.
pub async fn another_revision_or_epoch_is_a_miss(rig: &dyn HotRig) {
    let (store, key) = (rig.store(), page(&some_thread(), 4, 9));
    put(&*store, &key, "nine").await;
    for other in [
        PageKey { revision: 8, ..key.clone() },
        PageKey { revision: 10, ..key.clone() },
        PageKey { epoch: 2, ..key.clone() },
        PageKey { epoch: 0, ..key.clone() },
    ] {
        assert_eq!(get(&*store, &other).await, None);
    }
    assert_eq!(get(&*store, &key).await.as_deref(), Some("nine"));
}

/// The tip's page changes often; its earlier revisions take no room.
pub async fn a_later_revision_takes_the_place(rig: &dyn HotRig) {
    let (store, thread) = (rig.store(), some_thread());
    put(&*store, &page(&thread, 0, 1), "one").await;
    put(&*store, &page(&thread, 0, 2), "two").await;
    assert_eq!(get(&*store, &page(&thread, 0, 1)).await, None);
    assert_eq!(get(&*store, &page(&thread, 0, 2)).await.as_deref(), Some("two"));
}

/// Tenants, threads, births, branches and pages share nothing.
pub async fn pages_are_kept_apart(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    let key = page(&here, 1, 1);
    put(&*store, &key, "mine").await;
    let elsewhere = |thread| PageKey { thread, ..key.clone() };
    for other in [
        elsewhere(thread(&tenant(), "th")),
        elsewhere(thread(&here.tenant, "ht")),
        elsewhere(ThreadKey { birth: 8, ..here.clone() }),
        PageKey { branch: threadmill_proto::BranchId::parse("side").expect("an id"), ..key.clone() },
        page(&here, 2, 1),
    ] {
        assert_eq!(get(&*store, &other).await, None, "{other:?}");
    }
}

/// Found and missing pages of several threads are told apart.
pub async fn answers_come_in_the_order_asked(rig: &dyn HotRig) {
    let (store, tenant) = (rig.store(), tenant());
    let keys: Vec<_> = (0..40_u64).map(|n| page(&thread(&tenant, &format!("th{}", n % 7)), n, 1)).collect();
    let put = keys.iter().filter(|key| key.page % 3 != 0);
    let put = put.map(|key| (key.clone(), bytes(&format!("page {}", key.page)))).collect();
    store.put_pages(put).await.expect("the tier answers");
    let found = store.pages(&keys).await.expect("the tier answers");
    let wanted = keys.iter().map(|key| (key.page % 3 != 0).then(|| bytes(&format!("page {}", key.page))));
    assert!(found.into_iter().eq(wanted));
    assert!(store.pages(&[]).await.expect("the tier answers").is_empty());
}

/// A page that is read lives on; one that is not goes.
pub async fn reading_keeps_a_page(rig: &dyn HotRig) {
    let (store, thread) = (rig.brief(), some_thread());
    let (read, unread) = (page(&thread, 0, 1), page(&thread, 1, 1));
    put(&*store, &read, "read").await;
    put(&*store, &unread, "unread").await;
    // On a busy machine a step may take too long once; a page that never lives on fails every time.
    for attempt in 0.. {
        let mut lived = true;
        for _ in 0..8 {
            tokio::time::sleep(BRIEF / 4).await;
            lived &= get(&*store, &read).await.is_some();
        }
        if lived {
            break;
        }
        assert!(attempt < 5, "reading did not keep the page");
        put(&*store, &read, "read").await;
    }
    assert_eq!(get(&*store, &unread).await, None);
    tokio::time::sleep(BRIEF * 2).await;
    assert_eq!(get(&*store, &read).await, None);
}
