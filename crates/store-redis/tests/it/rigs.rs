//! Tiers under test. Checks share a server, since each has a tenant of its own.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use threadmill_store::hot::conformance::{HotRig, kit};
use threadmill_store::hot::{HotStore, Lifetimes};
use threadmill_store_redis::{HotOptions, RedisHot, RedisOptions, UpstashHot, UpstashOptions};

use crate::servers::{Cluster, Redis, valkey};
use crate::upstash::Upstash;

/// Stores as three nodes would have them, and the service that they reach the server by, if any.
pub(crate) struct Rig([Arc<dyn HotStore>; 3], Option<Upstash>);

impl Rig {
    pub(crate) fn new(open: impl Fn(HotOptions) -> Arc<dyn HotStore>) -> Self {
        let open = |lifetimes| open(patient(lifetimes));
        Self([open(Lifetimes::default()), open(Lifetimes::default()), open(kit::brief_lifetimes())], None)
    }
}

impl HotRig for Rig {
    fn store(&self) -> Arc<dyn HotStore> {
        self.0[0].clone()
    }

    fn other(&self) -> Arc<dyn HotStore> {
        self.0[1].clone()
    }

    fn brief(&self) -> Arc<dyn HotStore> {
        self.0[2].clone()
    }
}

/// Options for a busy machine: what is tested is not how fast it is.
pub(crate) fn patient(lifetimes: Lifetimes) -> HotOptions {
    HotOptions { deadline: Duration::from_secs(10), lifetimes, ..HotOptions::default() }
}

pub(crate) fn open(options: RedisOptions, common: HotOptions) -> Arc<dyn HotStore> {
    RedisHot::open(RedisOptions { common, ..options }).expect("the options are fine")
}

/// A tier in one server.
pub(crate) fn on(server: &Redis) -> Arc<dyn HotStore> {
    open(RedisOptions::standalone(server.url()), patient(Lifetimes::default()))
}

static REDIS: LazyLock<Redis> = LazyLock::new(Redis::start);
static VALKEY: LazyLock<Option<Redis>> = LazyLock::new(|| valkey().map(|binary| Redis::of(&binary, &[])));
static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| Cluster::start("redis-server"));

pub(crate) fn redis() -> Rig {
    Rig::new(|common| open(RedisOptions::standalone(REDIS.url()), common))
}

/// Redis, if there is no Valkey.
pub(crate) fn valkey_rig() -> Rig {
    let server = VALKEY.as_ref().unwrap_or_else(|| {
        println!("there is no valkey-server: this runs on Redis");
        &REDIS
    });
    Rig::new(|common| open(RedisOptions::standalone(server.url()), common))
}

pub(crate) fn cluster() -> Rig {
    Rig::new(|common| open(RedisOptions::cluster(CLUSTER.urls()), common))
}

pub(crate) async fn upstash() -> Rig {
    let service = Upstash::start(&REDIS.url(), "secret").await;
    let mut rig = Rig::new(|common| {
        let poll = Some(Duration::from_millis(50));
        let options = UpstashOptions { common, poll, ..UpstashOptions::new(service.url.clone(), "secret") };
        UpstashHot::open(options).expect("the options are fine")
    });
    rig.1 = Some(service);
    rig
}
