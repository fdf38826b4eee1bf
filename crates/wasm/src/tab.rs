//! One tab: its engine, and the buffers it is spoken to through.

use crate::encode;
use alloc::vec::Vec;
use threadmill_core::Now;
use threadmill_core::engine::{Engine, Input, Output};
use threadmill_core::list::ListPage;
use threadmill_proto::Writer;

/// What the server's log calls this client.
const CLIENT: &str = concat!("threadmill-js/", env!("CARGO_PKG_VERSION"));

/// See the module.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(crate) engine: Engine,
    /// The list page under construction.
    pub(crate) page: ListPage,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Tab {
    pub(crate) fn new(seed: u64) -> Self {
        let engine = Engine::new(seed, CLIENT);
        Self { engine, page: ListPage::default(), input: Vec::new(), output: Vec::new() }
    }

    pub(crate) fn input(&mut self, len: usize) -> *mut u8 {
        self.input.clear();
        self.input.resize(len, 0);
        self.input.as_mut_ptr()
    }

    pub(crate) fn take_input(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.input)
    }

    pub(crate) fn handle(&mut self, now: f64, input: Input) {
        self.engine.handle(now as Now, input);
    }

    pub(crate) fn poll(&mut self) -> &[u8] {
        let mut out = Writer::default();
        out.list();
        loop {
            let output = self.engine.poll_output();
            encode::output(&mut out, &output);
            if let Output::Wait(_) = output {
                break;
            }
        }
        out.end();
        self.output = out.done();
        &self.output
    }

    pub(crate) fn size(&self) -> usize {
        self.output.len()
    }
}
