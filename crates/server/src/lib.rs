//! threadmill-server
