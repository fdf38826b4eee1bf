//! Retention: threads that nothing has changed for so many days are deleted, by the ordinary deletion, a few a second.
//!
//! Nothing is deleted on a configuration's word alone. A policy has a mark, a hash of what it says; a preview shows what would go
//! and the mark, and a person confirms the mark. The confirmation is a setting of the deployment. A node deletes while the mark
//! of its own configuration is the one that is confirmed: whoever changes the configuration stops the deletions until the new
//! policy was previewed and confirmed, and a node with another configuration deletes nothing.
//!
//! One node does it at a time ([`crate::lead`]). It walks over all threads in pages, and deletes a thread only if its log stands
//! where it was seen to, so that a message that comes meanwhile saves it. A thread whose metadata says `"pinned": true` stays.
//!
//! | file | what |
//! |---|---|
//! | `policy` | how long which tenant's threads are kept, and what is due: without a clock, without I/O |
//! | `service` | the walk, the preview, the confirmation |

pub mod policy;
mod service;

pub use policy::Policy;
pub use service::{Confirmed, Preview, Retention, TenantPreview};
