//! The scripts that run on the server. Each is one atomic step; none writes more than one append brings. They have
//! no `#!lua` line, so that servers and services that do not know it run them too.

use std::sync::LazyLock;

/// A script and the hash by which a server knows it.
#[derive(Debug)]
pub(crate) struct Script(LazyLock<(redis::Script, &'static str)>);

impl Script {
    pub(crate) fn hash(&self) -> &str {
        self.0.0.get_hash()
    }

    pub(crate) fn text(&self) -> &str {
        self.0.1
    }
}

macro_rules! script {
    ($name:ident $file:literal) => {
        pub(crate) static $name: Script = Script(LazyLock::new(|| {
            let text = include_str!($file);
            (redis::Script::new(text), text)
        }));
    };
}

script!(EXTEND "lua/extend.lua");
script!(LOCK "lua/lock.lua");
script!(MARK "lua/mark.lua");
script!(PRESENT "lua/present.lua");
