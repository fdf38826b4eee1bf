//! Rebuilds the crate when what it embeds has changed or has appeared.

fn main() {
    println!("cargo::rerun-if-changed=../../target/sample");
}
