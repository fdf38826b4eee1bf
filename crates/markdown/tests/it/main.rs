//! What texts become, and that hostile ones become no more than they are.

mod bounds;
mod looks;
mod read;
