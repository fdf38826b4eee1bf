//! The native client: the same engine as in the browser, driven by tokio, and typed HTTP calls.
//!
//! [`Client`] holds one connection, by a WebSocket or, where those do not get through, by plain requests;
//! [`Client::open`] shows a thread on it. What a view holds is read under a lock and never copied as a whole. Writes go
//! through an outbox: they have their ids at once, are sent in order and again until the server has answered, and have
//! one effect. [`Http`] stands alone where no live view is needed.
//!
//! ```no_run
//! use std::time::Duration;
//! use threadmill_client::{Answered, NewMessage, Options};
//! use threadmill_proto::{Anchor, MessageStatus};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Options::new("https://chat.example.org")
//!     .token(|| async { Ok(std::env::var("CHAT_TOKEN")?) })
//!     .outbox_dir("/var/lib/my-bot/outbox")
//!     .connect()?;
//!
//! let question = NewMessage::text("Why is the sky blue?").answered(Answered::ByDefault);
//! let sent = client.create_thread(Some("Sky"), question).await?;
//! let view = client.open(sent.thread.clone(), None, Anchor::Tip);
//! sent.acknowledged().await?;
//!
//! let minute = Duration::from_secs(60);
//! view.until(minute, |view| {
//!     view.rows().len() == 2 && view.rows().all(|row| row.message.status == MessageStatus::Complete)
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```

mod answer;
mod client;
mod clock;
mod credentials;
mod driver;
mod edit;
mod error;
mod events;
mod external;
mod flags;
mod http;
mod ids;
mod link;
mod options;
mod outbox;
mod retry;
mod shared;
mod supply;
mod view;
mod wire;
mod writes;

pub use client::Client;
pub use clock::Clock;
pub use edit::{Answered, Edit, EditText, WholeMessage, WholeParts};
pub use error::Error;
pub use events::{Event, Events};
pub use external::ExternalRun;
pub use flags::Flags;
pub use http::{Appended, Edited, Form, Http, NewThread};
pub use ids::mint;
pub use options::Options;
pub use outbox::{Item, Refusal, Sent, State, Written};
pub use reqwest::Method;
pub use retry::Retry;
pub use threadmill_core::window::{Edge, Head, Phase, Row, Side, View};
pub use view::ThreadView;
pub use wire::Wire;
pub use writes::{Answer, Archive, NewMessage, WriteKind};
