//! The suite that every hot tier passes, on every backend.

use crate::rigs;

mod redis {
    use super::*;
    threadmill_store::hot_conformance!(rigs::redis());
}

mod valkey {
    use super::*;
    threadmill_store::hot_conformance!(rigs::valkey_rig());
}

mod cluster {
    use super::*;
    threadmill_store::hot_conformance!(rigs::cluster());
}

mod upstash {
    use super::*;
    threadmill_store::hot_conformance!(rigs::upstash().await);
}
