//! What a file would be to a commune, before it is put there: for who decides about it. Nothing of it
//! is compiled or run.

use serde::Serialize;
use taimat_contract::Kind;
use utoipa::ToSchema;

use crate::granted::Granted;
use crate::kinds;
use crate::limits::Limits;
use crate::load;
use crate::load_error::LoadError;
use crate::spec::PluginSpec;

/// What there is to know about a file before it is loaded.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Review {
    /// Its own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its kind.
    pub kind: Kind,
    /// What its author says of it, in a line.
    pub summary: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
    /// Who signed it.
    pub signer: Option<String>,
    /// SHA-256 of the file.
    pub digest: String,
    /// Size of the file.
    pub bytes: usize,
    /// What it asks for.
    pub asks: Vec<Ask>,
    /// Memory of an instance at most.
    pub memory_limit_bytes: usize,
    /// CPU time of a call at most, in milliseconds.
    pub call_limit_ms: f64,
}

/// One thing that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ask {
    /// What, as a commune writes it into the plugin's `grant`.
    pub line: String,
    /// What of it the commune grants, in the same form.
    pub granted: Option<String>,
}

/// Looks at a file as if it were the plugin's. Fails where loading would before it compiles.
pub(crate) fn review(spec: &PluginSpec, bytes: &[u8]) -> Result<Review, LoadError> {
    let package = load::check(bytes, &spec.trusted_keys)?;
    load::admit(bytes, &kinds::served(package.manifest.kind)?.rules)?;
    let limits = Limits::resolve(&package.manifest, &spec.limits);
    let manifest = package.manifest;
    let granted = Granted::of(&manifest.requests, &spec.grant);
    let asks = manifest.requests.grants().into_iter();
    Ok(Review {
        asks: asks
            .map(|(interface, line)| Ask {
                line,
                granted: granted.line(interface),
            })
            .collect(),
        name: manifest.name,
        version: manifest.version,
        kind: manifest.kind,
        summary: manifest.summary,
        license: manifest.license,
        signer: package.signer.map(|key| key.to_string()),
        digest: package.digest.to_string(),
        bytes: bytes.len(),
        memory_limit_bytes: limits.memory_bytes,
        call_limit_ms: limits.cpu.as_secs_f64() * 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Grant;
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;
    use taimat_contract::Package;

    /// A component that a test of another version keeps.
    const COMPONENT: &[u8] = include_bytes!("../tests/data/detector-0.1.wasm");

    fn packed(requests: &str) -> Vec<u8> {
        let manifest = format!(
            "[plugin]\nname = \"a\"\nversion = \"1.2.3\"\nkind = \"detector\"\n[requests]\n{requests}"
        );
        Package::pack(COMPONENT, &manifest).unwrap()
    }

    fn spec(grant: Grant) -> PluginSpec {
        PluginSpec {
            commune: "thu".parse().unwrap(),
            name: "a".parse().unwrap(),
            component: PathBuf::new(),
            enabled: true,
            cameras: Vec::new(),
            settings: "{}".into(),
            facts: Arc::default(),
            camera_settings: BTreeMap::new(),
            grant,
            limits: crate::limits::LimitSettings::default(),
            trusted_keys: Vec::new(),
        }
    }

    #[test]
    fn says_what_of_it_is_granted() {
        let bytes = packed("frames = { width = 640, fps = 10 }\nstate = \"64KiB\"");
        let grant = Grant {
            frames: Some((320, 2.5)),
            ..Grant::default()
        };
        let review = review(&spec(grant.clone()), &bytes).unwrap();
        let asks = [
            Ask {
                line: "frames = { width = 640, fps = 10 }".into(),
                granted: Some("frames = { width = 320, fps = 2.5 }".into()),
            },
            Ask {
                line: "state = \"64KiB\"".into(),
                granted: None,
            },
        ];
        assert_eq!((review.asks, review.bytes), (asks.into(), bytes.len()));
        let all = Grant {
            frames: Some((1920, 25.0)),
            state_bytes: Some(1 << 20),
            ..Grant::default()
        };
        let review = super::review(&spec(all), &bytes).unwrap();
        assert!(
            review
                .asks
                .iter()
                .all(|ask| ask.granted.as_ref() == Some(&ask.line))
        );
        let nothing = super::review(&spec(grant), &packed("")).unwrap();
        assert_eq!(nothing.asks, []);
    }

    #[test]
    fn refuses_what_would_be_refused() {
        let key = taimat_contract::package::SigningKey::generate().unwrap();
        let trusting = PluginSpec {
            trusted_keys: vec![key.public()],
            ..spec(Grant::default())
        };
        let unsigned = packed("");
        assert!(matches!(
            review(&trusting, &unsigned),
            Err(LoadError::Untrusted(None))
        ));
        let signed = Package::sign(&unsigned, &key).unwrap();
        let reviewed = review(&trusting, &signed).unwrap();
        assert_eq!(reviewed.signer, Some(key.public().to_string()));
        // It says that it is something else than it is.
        let alerter = "[plugin]\nname = \"a\"\nversion = \"1.0.0\"\nkind = \"alerter\"\n";
        let other = Package::pack(COMPONENT, alerter).unwrap();
        let other = review(&spec(Grant::default()), &other).unwrap_err();
        assert!(
            matches!(
                other,
                LoadError::World {
                    kind: Kind::Alerter,
                    ..
                }
            ),
            "{other}"
        );
        let garbage = review(&trusting, b"no").unwrap_err().to_string();
        assert!(garbage.contains("WebAssembly"), "{garbage}");
    }
}
