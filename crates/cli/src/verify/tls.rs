//! The certificate: whether it is trusted, and for how long yet.
//!
//! The handshake is made with a verifier that writes down what the system's authorities say and goes on, so that a
//! certificate that has run out is looked at and named instead of being an error among others. Nothing is asked over such a
//! connection.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_cert::der::Decode as _;

use super::node::Node;
use super::scene::Scene;
use crate::checks::{NotDone, Verdict};
use crate::clock;

const DAY: u64 = 24 * 60 * 60;
const PATIENCE: Duration = Duration::from_secs(10);

/// What was seen of a certificate.
#[derive(Debug, Default)]
struct Seen {
    /// Why it is not trusted.
    fault: Option<String>,
    /// The first moment, in seconds since 1970, at which one of the chain holds no more.
    ends: Option<u64>,
}

/// Asks the system's authorities and goes on whatever they say.
#[derive(Debug)]
struct Witness {
    system: Verifier,
    seen: Mutex<Seen>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let fault = self.system.verify_server_cert(end, between, name, ocsp, now).err();
        let ends = std::iter::once(end).chain(between).filter_map(end_of).min();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen { fault: fault.map(|fault| fault.to_string()), ends };
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.system.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.system.supported_verify_schemes()
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<u64> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}

async fn look(node: &Node) -> anyhow::Result<Seen> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let witness = Arc::new(Witness { system: Verifier::new(provider.clone())?, seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as _)
        .with_no_client_auth();
    let host = node.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = node.url.port_or_known_default().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).context("the host is no name of a certificate")?;
    let shaken = async {
        let tcp = TcpStream::connect((host.as_str(), port)).await?;
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    };
    let shaken = tokio::time::timeout(PATIENCE, shaken).await.context("no handshake in time")?;
    shaken.context("the handshake failed")?;
    Ok(std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner)))
}

pub(super) async fn cert_expiry(scene: &Scene) -> anyhow::Result<Verdict> {
    if scene.nodes.iter().all(|node| node.url.scheme() == "http") {
        if scene.nodes.iter().all(Node::is_local) {
            return Err(NotDone("plain HTTP, on this machine alone".into()).into());
        }
        return Ok(Verdict::warned("plain HTTP over a network: whoever is on the way reads and writes everything"));
    }
    let (mut faults, mut soon, mut least) = (Vec::new(), Vec::new(), u64::MAX);
    for node in scene.nodes.iter().filter(|node| node.url.scheme() == "https") {
        let seen = look(node).await.with_context(|| node.name())?;
        let ends = seen.ends.context("the certificate cannot be read")?;
        let (now, name) = (clock::unix_seconds(), node.name());
        let days = ends.saturating_sub(now) / DAY;
        least = least.min(days);
        match seen.fault {
            _ if ends <= now => {
                faults.push(format!("the certificate of {name} ran out {} days ago", (now - ends) / DAY));
            }
            Some(fault) => faults.push(format!("the certificate of {name} is not trusted: {fault}")),
            None if days < scene.limits.min_cert_days => {
                soon.push(format!("the certificate of {name} runs out in {days} days"));
            }
            None => {}
        }
    }
    Ok(match (faults.is_empty(), soon.is_empty()) {
        (false, _) => Verdict::failed(faults.join("; ")),
        (true, false) => Verdict::warned(soon.join("; ")),
        (true, true) => Verdict::passed(format!("trusted, for {least} days yet")),
    })
}
