//! What programs outside write: an application's backend answers itself, and its answer comes in here.
//!
//! | file     | what it does                                                                         |
//! |----------|--------------------------------------------------------------------------------------|
//! | `lines`  | takes a body apart, as it comes, into what is said                                   |
//! | `intake` | the route: appends what came, keeps the lease, and answers at once when it is over   |

mod intake;
mod lines;

pub(crate) use intake::chunks;
