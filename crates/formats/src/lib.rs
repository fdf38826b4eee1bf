//! What threads are moved as. Rows are read and written here and nowhere else: by the server's routes, by the importer
//! and by the exporter. It knows no HTTP and no store.

pub mod check;
pub mod lines;
pub mod rows;
