//! All places of all communes.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use taimat_base::CommuneId;
use taimat_base::metrics::{Error, Registry};
use taimat_contract::place::BlobStore;

use super::counted::Counted;
use super::metrics::PlaceMetrics;
use super::spec::{CommunePlaces, PlaceSpec};

type Key = (CommuneId, String);

/// A place as it was configured.
#[derive(Debug)]
struct Here {
    spec: PlaceSpec,
    store: Arc<Counted>,
}

/// The places of all communes.
#[derive(Debug)]
pub(crate) struct AllPlaces {
    metrics: PlaceMetrics,
    places: RwLock<BTreeMap<Key, Here>>,
}

impl AllPlaces {
    /// None yet.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        Ok(Self {
            metrics: PlaceMetrics::register(registry)?,
            places: RwLock::default(),
        })
    }

    /// Makes them what they are to be. What is equal is not touched, and what is under way goes on at the
    /// place as it was.
    pub(crate) fn configure(
        &self,
        communes: Vec<CommunePlaces>,
        make: impl Fn(&CommuneId, &PlaceSpec) -> Box<dyn BlobStore>,
    ) {
        let mut wanted = BTreeMap::new();
        for commune in communes {
            for spec in commune.places {
                wanted.insert((commune.commune.clone(), spec.name.clone()), spec);
            }
        }
        let mut places = self.places.write().unwrap_or_else(|e| e.into_inner());
        places.retain(|key, place| {
            let stays = wanted.get(key) == Some(&place.spec);
            if !stays {
                place.store.metrics.end();
            }
            stays
        });
        for ((commune, name), spec) in wanted {
            let key = (commune.clone(), name.clone());
            places.entry(key).or_insert_with(|| {
                let metrics = self.metrics.of(&commune, &name);
                let store = Arc::new(Counted::new(make(&commune, &spec), metrics));
                Here { spec, store }
            });
        }
    }

    /// One of them.
    pub(crate) fn get(&self, commune: &CommuneId, name: &str) -> Option<Arc<dyn BlobStore>> {
        let places = self.places.read().unwrap_or_else(|e| e.into_inner());
        let place = places.get(&(commune.clone(), name.to_owned()))?;
        Some(Arc::clone(&place.store) as Arc<dyn BlobStore>)
    }
}
