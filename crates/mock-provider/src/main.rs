//! `mock-provider`: the mock as a process of its own, for benchmarks and for looking at the page by hand.

use std::net::SocketAddr;

use clap::Parser;
use threadmill_mock_provider::Mock;

/// An OpenAI-compatible server that needs no key. The model's name says what it does:
/// `mock,tokens=200,rate=30,seed=7,jitter=0.5,fault=cut,at=50`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:7431")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mock = Mock::start(Arguments::parse().listen).await?;
    eprintln!("mock-provider: listening on http://{}", mock.address());
    mock.wait().await;
    Ok(())
}
