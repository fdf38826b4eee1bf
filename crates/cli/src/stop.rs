//! Being asked to stop: by Ctrl-C, or by SIGTERM from whoever runs services.

use tokio::signal::unix::{SignalKind, signal};

/// How it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Somebody at the terminal wants it to end.
    Interrupt,
    /// Whoever runs services does, and waits.
    Terminate,
}

/// Resolves when that happens.
pub(crate) async fn asked() -> Asked {
    let interrupt = tokio::signal::ctrl_c();
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt => Asked::Interrupt,
        () = terminate => Asked::Terminate,
    }
}
