//! What goes into the engine and what comes out of it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::Now;
use crate::list::{ListPage, ListPatch, ListRequest};
use crate::outbox::{Answer, Purpose, Stage};
use crate::session::{Status, Transport};
use crate::tabs::Role;
use crate::window::{Edge, PageRequest, Patch, Side};
use threadmill_proto::{Anchor, BranchId, Problem, ThreadId, Window};

/// What can happen to a client.
#[derive(Debug, Clone)]
pub enum Input {
    /// Connect.
    Start(Company),
    /// This tab holds the lock that makes a leader; the last epoch that the browser remembers.
    Lead(u64),
    /// Another tab has taken the lock that this one held.
    Robbed,
    /// Another tab said something.
    Heard(Vec<u8>),
    /// Nobody can see this tab.
    Hidden,
    /// The tab can be seen again.
    Shown,
    /// The credential from now on.
    Token(String),
    /// Close everything.
    Stop,
    /// The network or the reader is back.
    Wake,
    /// The connection is open; without a socket, a request is about to be made.
    Opened,
    /// The connection is closed or could not be opened.
    Closed,
    /// A frame of the server's came.
    Received(Vec<u8>),
    /// Time has passed.
    Tick,
    /// Show a thread.
    Open {
        /// The host's name for the view.
        view: u32,
        /// The thread.
        thread: ThreadId,
        /// The branch; the default one if none is named.
        branch: Option<BranchId>,
        /// Where.
        anchor: Anchor,
    },
    /// Nobody looks at the view now; it is kept, without a subscription, as long as there is room.
    Rest(u32),
    /// Somebody looks again.
    Resume(u32),
    /// The view is over.
    Release(u32),
    /// The next page of a side.
    Load(u32, Side),
    /// Elsewhere on the same branch.
    Jump(u32, Anchor),
    /// Another branch.
    Switch(u32, BranchId),
    /// Where the reader is.
    Edge(u32, Edge),
    /// Show the thread list.
    OpenList {
        /// The host's name for the list.
        list: u32,
        /// Part of the title.
        title: Option<String>,
    },
    /// The list is shown no more.
    ReleaseList(u32),
    /// The next page of the list.
    LoadList(u32),
    /// The answer to a `Fetch` of a window.
    Page(u32, Result<Window, Problem>),
    /// The answer to a `Fetch` of a list page.
    ListPage(u32, Result<ListPage, Problem>),
    /// A write to be sent.
    Write {
        /// The host's name for it.
        number: u32,
        /// The thread it is for.
        thread: ThreadId,
        /// What it means for a run.
        purpose: Purpose,
        /// It may have reached the server already.
        tried: bool,
        /// Whether others follow that were made later: nothing is sent before all are known.
        follows: Follows,
    },
    /// What became of a write that was sent.
    Written(u32, Answer),
    /// Try a write again.
    Retry(u32),
    /// Give a write up.
    Discard(u32),
}

/// Whether a write is the last of those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// It is.
    Nothing,
    /// Another one comes.
    Another,
}

/// Whether there may be other tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Company {
    /// This one is on its own.
    Alone,
    /// Others may be there: follow, until the lock is had.
    Others,
}

/// What to read over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetch {
    /// A window.
    Window(PageRequest),
    /// A page of the thread list.
    List(ListRequest),
}

impl Fetch {
    /// The path and query under `/v1` that answers it. A window is asked for as CBOR.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Window(page) => page.path(),
            Self::List(list) => list.path(),
        }
    }
}

/// What the host does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection, closing the one there is.
    Connect(Transport),
    /// Close the connection.
    Disconnect,
    /// Send a frame.
    Send(Vec<u8>),
    /// Say this to the other tabs.
    Post(Vec<u8>),
    /// Take the lock, whoever holds it: they do nothing. `Lead` says that it is had.
    Steal,
    /// The tab is this now, in this epoch. Who was the leader gives the lock back.
    Role(Role, u64),
    /// Get another credential.
    Renew,
    /// Read the feature flags again.
    Flags,
    /// Read over HTTP and answer with this number.
    Fetch(u32, Fetch),
    /// A view changed.
    View(u32, Patch),
    /// A resting view was given up.
    Dropped(u32),
    /// A list changed.
    List(u32, ListPatch),
    /// The connection changed.
    Status(Status),
    /// Send a write and say what became of it.
    Write(u32),
    /// A write is here now.
    Writing(u32, Stage),
    /// Nothing more now; `Tick` at this moment if nothing else happens.
    Wait(Option<Now>),
}
