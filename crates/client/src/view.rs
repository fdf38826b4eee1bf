//! Views: what is shown of a thread, and what rests after that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use threadmill_core::engine::{Engine, Input};
use threadmill_core::window::{Edge, Phase, Side, View};
use threadmill_proto::{Anchor, BranchId, MessageId, ThreadId};

use crate::error::Error;
use crate::shared::{Shared, until};

/// A thread and the branch that was asked for.
type Name = (ThreadId, Option<BranchId>);

/// The views of a client.
#[derive(Debug, Default)]
pub(crate) struct Views(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The number of the last view.
    last: u32,
    shown: BTreeMap<u32, ThreadId>,
    /// Nobody looks at these.
    resting: BTreeMap<Name, u32>,
}

impl Views {
    /// Shows a thread, by the view that rests if there is one.
    pub(crate) fn open(self: &Arc<Self>, shared: &Arc<Shared>, name: Name, anchor: Anchor) -> ThreadView {
        let view = self.resume(shared, &name, &anchor).unwrap_or_else(|| {
            let view = self.number();
            let (thread, branch) = name.clone();
            shared.input(Input::Open { view, thread, branch, anchor });
            view
        });
        self.known().shown.insert(view, name.0.clone());
        ThreadView { view, name: Mutex::new(name), shared: Arc::clone(shared), views: Arc::clone(self) }
    }

    /// Resumes the view that rests under a name, if the engine still holds it.
    fn resume(&self, shared: &Shared, name: &Name, anchor: &Anchor) -> Option<u32> {
        let view = self.known().resting.remove(name)?;
        let mut held = false;
        shared.inputs(|engine| {
            let view_held = engine.view(view);
            held = view_held.is_some();
            let elsewhere = *anchor != Anchor::Tip || view_held.is_some_and(|view| view.head().to < view.head().total);
            let jump = elsewhere.then(|| Input::Jump(view, anchor.clone()));
            [Some(Input::Resume(view)), jump].into_iter().flatten()
        });
        held.then_some(view)
    }

    fn number(&self) -> u32 {
        let mut known = self.known();
        known.last += 1;
        known.last
    }

    /// Lets a view rest that shows something. What shows nothing is not worth keeping, nor is a second one of the same.
    fn rest(&self, shared: &Shared, view: u32, name: Name) {
        self.known().shown.remove(&view);
        let ready = shared.engine().view(view).is_some_and(|view| view.head().phase == Phase::Ready);
        if !ready {
            shared.input(Input::Release(view));
            return;
        }
        let before = self.known().resting.insert(name, view);
        shared.inputs(|_| before.map(Input::Release).into_iter().chain([Input::Rest(view)]));
    }

    /// The engine has given a view up.
    pub(crate) fn dropped(&self, view: u32) {
        self.known().resting.retain(|_, resting| *resting != view);
    }

    /// The server has a thread now that may have been looked for in vain.
    pub(crate) fn made(&self, shared: &Shared, thread: &ThreadId) {
        let known = self.known();
        let views: Vec<u32> = known.shown.iter().filter(|(_, of)| *of == thread).map(|(view, _)| *view).collect();
        drop(known);
        shared.inputs(|engine| {
            let empty = |view: &u32| engine.view(*view).is_some_and(|view| view.head().phase != Phase::Ready);
            views.into_iter().filter(empty).map(|view| Input::Jump(view, Anchor::Tip)).collect::<Vec<_>>()
        });
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's window, live until it is dropped. Then it rests as long as there is room.
#[derive(Debug)]
pub struct ThreadView {
    view: u32,
    name: Mutex<Name>,
    shared: Arc<Shared>,
    views: Arc<Views>,
}

impl Drop for ThreadView {
    fn drop(&mut self) {
        let name = self.name().clone();
        self.views.rest(&self.shared, self.view, name);
    }
}

impl ThreadView {
    /// Reads what the view holds now.
    ///
    /// # Panics
    /// Never: the view is there as long as this handle.
    pub fn with<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(self.shared.engine().view(self.view).expect("a view that is shown is not given up"))
    }

    /// The text of a message so far, if it is held.
    #[must_use]
    pub fn text(&self, message: &MessageId) -> Option<String> {
        self.with(|view| view.text(message))
    }

    /// Waits until the view satisfies a condition.
    ///
    /// # Errors
    /// [`Error::TimedOut`].
    pub async fn until(&self, within: Duration, mut condition: impl FnMut(&View) -> bool) -> Result<(), Error> {
        let met = |engine: &Engine| engine.view(self.view).is_some_and(&mut condition);
        tokio::time::timeout(within, until(&self.shared, met)).await.map_err(|_| Error::TimedOut)
    }

    /// Asks for the next page of a side.
    pub fn load(&self, side: Side) {
        self.shared.input(Input::Load(self.view, side));
    }

    /// Opens the window elsewhere on the same branch.
    pub fn jump(&self, anchor: Anchor) {
        self.shared.input(Input::Jump(self.view, anchor));
    }

    /// Shows another branch.
    pub fn switch(&self, branch: BranchId) {
        self.name().1 = Some(branch.clone());
        self.shared.input(Input::Switch(self.view, branch));
    }

    /// Says whether the reader is at the live edge.
    pub fn set_edge(&self, edge: Edge) {
        self.shared.input(Input::Edge(self.view, edge));
    }

    /// What the view rests under: the branch it shows, if one was asked for.
    fn name(&self) -> MutexGuard<'_, Name> {
        self.name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
