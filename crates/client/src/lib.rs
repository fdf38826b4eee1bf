//! threadmill-client
