//! An authority of a test's own, and a certificate that it gave.

use std::path::Path;
use std::process::Command;

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

fn openssl(directory: &Path, args: &str) {
    let made = Command::new("openssl").args(args.split(' ')).current_dir(directory).output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// Makes `ca.pem`, an authority, and `tm.pem`, a certificate of it for 127.0.0.1, with its key `tm.key`.
pub(crate) fn certificates(directory: &Path) {
    openssl(directory, &format!("req -x509 {KEY} -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"));
    openssl(directory, &format!("req {KEY} -subj /CN=tm -keyout tm.key -out tm.csr"));
    std::fs::write(directory.join("ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").expect("writes");
    openssl(
        directory,
        "x509 -req -in tm.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tm.pem",
    );
}
