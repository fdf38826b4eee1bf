//! threadmill-store-sqlite
