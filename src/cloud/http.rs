//! The HTTP client: whom it trusts and through which proxy it goes. Neither is read by the Rust SDK by itself, and people
//! behind a company's proxy, which looks into TLS with a CA of its own, reach AWS no other way.
//!
//! | setting | means |
//! |---|---|
//! | `AWS_CA_BUNDLE`, else `ca_bundle` of the AWS profile | these certificates are trusted *instead of* the system's, as the AWS CLI has it |
//! | `SSL_CERT_FILE`, `SSL_CERT_DIR` | where the system's are, when neither is set |
//! | `HTTPS_PROXY`, `HTTP_PROXY`, else `ALL_PROXY` | the proxy for addresses of this scheme; `CONNECT` for HTTPS |
//! | `NO_PROXY` | hosts, domains and networks that are reached without one; `*`: all |
//!
//! Upper case goes before lower case. A loopback address is no exception: curl and boto3 send `http://127.0.0.1:4566` to
//! `HTTP_PROXY` too unless `NO_PROXY` names it, and so does this. The instance's metadata service likewise.

use aws_runtime::env_config::file::EnvConfigFiles;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::{Env, Fs};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::error::{Error, Result};

/// What the variable of the AWS CLI and of the other SDKs is called.
const BUNDLE: &str = "AWS_CA_BUNDLE";

/// The variables that name a proxy.
const PROXIES: [&str; 6] = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The client for every call, and for those that fetch credentials.
///
/// # Errors
/// A CA bundle that cannot be read or holds no certificate, a proxy that is none.
pub(super) async fn client(profile: Option<&str>) -> Result<SharedHttpClient> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    check_proxies(variable)?;
    let bundle = match variable(BUNDLE) {
        Some(path) => Some((format!("`{BUNDLE}`"), path)),
        None => bundle_of_profile(profile).await,
    };
    let trust = match bundle {
        Some((who, path)) => trust(&who, &path, &read(&who, &path)?)?,
        None => TrustStore::default(),
    };
    let failed = |error: &dyn std::fmt::Display| Error::usage(format!("setting up TLS: {error}"));
    let context = TlsContext::builder().with_trust_store(trust).build().map_err(|error| failed(&error))?;
    // The SDK's builder of clients knows no proxies; the one of connectors does.
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .tls_context(context.clone())
            .build()
    }))
}

/// `ca_bundle` of the profile in use. What is wrong with the files themselves is said by the SDK, which reads them too.
async fn bundle_of_profile(profile: Option<&str>) -> Option<(String, String)> {
    let chosen = profile.map(|name| name.to_owned().into());
    let files = EnvConfigFiles::default();
    let profiles = aws_config::profile::load(&Fs::real(), &Env::real(), &files, chosen).await.ok()?;
    let path = profiles.get("ca_bundle").filter(|path| !path.is_empty())?.to_owned();
    Some((format!("`ca_bundle` of the AWS profile `{}`", profiles.selected_profile()), path))
}

fn read(who: &str, path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        Error::usage(format!("{who} names the file `{path}`, which cannot be read: {error}"))
            .hint(format!("name a file with certificates in PEM, or take it away: unset {BUNDLE}"))
    })
}

/// The certificates of a PEM file. Those that TLS cannot use are left out, as collections of CAs hold ancient ones; none
/// left is an error, as is a file that is no PEM. The SDK itself would panic at either.
fn trust(who: &str, path: &str, pem: &[u8]) -> Result<TrustStore> {
    let wrong = |why: String| {
        Error::usage(format!("{who} names the file `{path}`, {why}"))
            .hint("it must hold certificates in PEM, from `-----BEGIN CERTIFICATE-----` to `-----END CERTIFICATE-----`")
    };
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| wrong(format!("which is not PEM: {error}")))?;
    let count = found.len();
    let mut store = TrustStore::empty();
    let mut usable = RootCertStore::empty();
    for certificate in found {
        if usable.add(certificate.clone()).is_ok() {
            let body = BASE64_STANDARD.encode(&certificate);
            store =
                store.with_pem_certificate(format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"));
        }
    }
    match (usable.is_empty(), count) {
        (false, _) => Ok(store),
        (true, 0) => Err(wrong("which holds no certificate".to_owned())),
        (true, count) => Err(wrong(format!("of whose {count} certificates none can be used"))),
    }
}

/// What is no proxy would be passed over in silence, and the calls would go past it.
fn check_proxies(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    for name in PROXIES {
        let Some(value) = variable(name) else { continue };
        let address = value.parse::<http::Uri>().ok().filter(|address| address.authority().is_some());
        let scheme = address.as_ref().map(|address| address.scheme_str().unwrap_or("http"));
        if !matches!(scheme, Some("http" | "https")) {
            // Not the value: it may hold a password.
            return Err(Error::usage(format!("`{name}` is no proxy such as `http://proxy.example.com:3128`"))
                .hint(format!("a proxy is reached by http or https; without one: unset {name}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    /// A real one, of a CA that was made for this test and thrown away.
    const CA: &str = include_str!("../../tests/fixtures/ca.pem");

    #[test]
    fn a_bundle_without_a_certificate_that_can_be_used_is_refused_and_named() {
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (pem, says) in [
            ("", Some("holds no certificate")),
            ("not a certificate\n", Some("holds no certificate")),
            ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", Some("is not PEM")),
            (broken, Some("of whose 1 certificates none can be used")),
            (CA, None),
            (&format!("# the company's\n{broken}{CA}"), None),
        ] {
            let said = trust("`AWS_CA_BUNDLE`", "ca.pem", pem.as_bytes()).err();
            assert_eq!(said.is_some(), says.is_some(), "{pem}");
            let (Some(said), Some(says)) = (said, says) else { continue };
            assert_eq!(said.kind, Kind::Usage);
            assert!(said.message.contains(says), "{said}");
            assert!(said.message.starts_with("`AWS_CA_BUNDLE` names the file `ca.pem`, "), "{said}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_showing_its_password() {
        for (value, is_good) in [
            ("http://proxy.example.com:3128", true),
            ("https://user:secret@proxy.example.com", true),
            ("proxy.example.com:3128", true),
            ("socks5://user:secret@proxy.example.com:1080", false),
            ("http://", false),
            ("a b", false),
        ] {
            let look = |name: &str| (name == "https_proxy").then(|| value.to_owned());
            match check_proxies(look) {
                Ok(()) => assert!(is_good, "{value}"),
                Err(error) => {
                    assert!(!is_good, "{value}");
                    assert!(error.message.starts_with("`https_proxy` is no proxy"), "{error}");
                    assert!(!error.message.contains("secret") && !error.hints.join("").contains("secret"), "{error}");
                }
            }
        }
    }
}
