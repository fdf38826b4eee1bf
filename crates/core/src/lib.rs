//! threadmill-core
