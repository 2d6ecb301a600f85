//! What makes a plugin a component: what the macros of all kinds share, and the one that exports a
//! [`Detector`]. What they expand to is not for direct use.

use std::cell::RefCell;

use serde::de::DeserializeOwned;

use crate::bindings::detector::exports::taimat::plugin::detector as wire;
use crate::bindings::detector::taimat::plugin::frames::FrameInfo;
use crate::bindings::taimat::plugin::types::{Detection, Error};
use crate::detector::{Detector, Want};
use crate::frame::Frame;

/// The instance, made by `configure`.
#[derive(Debug)]
pub struct Slot<T>(RefCell<Option<T>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slot<T> {
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }
}

impl<T> Slot<T> {
    pub fn fill<S: DeserializeOwned>(
        &self,
        settings: &str,
        make: impl FnOnce(S) -> Result<T, Error>,
    ) -> Result<(), Error> {
        hear_panics();
        let settings =
            serde_json::from_str(settings).map_err(|e| Error::Settings(e.to_string()))?;
        *self.0.borrow_mut() = Some(make(settings)?);
        Ok(())
    }

    pub(crate) fn with<R>(&self, run: impl FnOnce(&mut T) -> Result<R, Error>) -> Result<R, Error> {
        match self.0.borrow_mut().as_mut() {
            Some(plugin) => run(plugin),
            None => Err(Error::Fatal("not configured".into())),
        }
    }
}

impl<T: Detector> Slot<T> {
    pub fn wants(&self, camera: &str) -> Result<wire::Want, Error> {
        self.with(|detector| {
            let Want {
                width,
                height,
                max_fps,
                keyframes_only,
                history,
            } = detector.wants(camera);
            Ok(wire::Want {
                width,
                height,
                max_fps,
                keyframes_only,
                history,
                extra: Vec::new(),
            })
        })
    }

    pub fn on_frame(&self, info: FrameInfo) -> Result<Vec<Detection>, Error> {
        self.with(|detector| detector.on_frame(&Frame::from_host(info)))
    }

    pub fn on_tick(&self, now: i64) -> Result<Vec<Detection>, Error> {
        self.with(|detector| detector.on_tick(now))
    }

    pub fn save(&self) -> Vec<u8> {
        self.0.borrow().as_ref().map_or(Vec::new(), T::save)
    }

    pub fn load(&self, from_version: &str, saved: &[u8]) -> Result<(), String> {
        match self.0.borrow_mut().as_mut() {
            Some(detector) => detector.load(from_version, saved),
            None => Err("not configured".into()),
        }
    }
}

/// A panic ends in a trap, which says nothing: its message and place go where the host finds them.
fn hear_panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|info| {
        use std::io::Write;
        // Nobody is left to tell if this fails.
        let _written = writeln!(std::io::stderr(), "{info}");
    }));
}

/// What a plugin of any kind exports: `lifecycle`, by the kind's trait, and the exports of its kind.
/// These find the plugin in `SLOT` and export `Component`.
#[doc(hidden)]
#[macro_export]
macro_rules! component {
    ($type:ty, $kind:path, $($export:item)+) => {
        // Natively there is nobody to export to: it compiles, for the sake of its tests.
        #[cfg(not(target_family = "wasm"))]
        const _: fn(
            <$type as $kind>::Settings,
        ) -> ::core::result::Result<$type, $crate::Error> = <$type as $kind>::new;

        #[cfg(target_family = "wasm")]
        const _: () = {
            use $crate::bindings::exports::taimat::plugin::lifecycle;

            struct Component;

            ::std::thread_local! {
                static SLOT: $crate::glue::Slot<$type> = const { $crate::glue::Slot::new() };
            }

            impl lifecycle::Guest for Component {
                fn describe() -> lifecycle::About {
                    lifecycle::About {
                        name: env!("CARGO_PKG_NAME").into(),
                        version: env!("CARGO_PKG_VERSION").into(),
                        settings_schema: <$type as $kind>::SETTINGS_SCHEMA.into(),
                    }
                }
                fn configure(settings: String) -> Result<(), $crate::Error> {
                    SLOT.with(|slot| slot.fill(&settings, <$type as $kind>::new))
                }
            }

            $crate::bindings::export_lifecycle!(Component with_types_in $crate::bindings);

            $($export)+
        };
    };
}

/// Exports a [`Detector`].
#[macro_export]
macro_rules! detector {
    ($type:ty) => {
        $crate::component! {
            $type, $crate::Detector,

            use $crate::bindings::detector::exports::taimat::plugin as exports;

            impl exports::detector::Guest for Component {
                fn wants(camera: String) -> Result<exports::detector::Want, $crate::Error> {
                    SLOT.with(|slot| slot.wants(&camera))
                }
                fn on_frame(
                    frame: $crate::bindings::detector::taimat::plugin::frames::FrameInfo,
                ) -> Result<Vec<$crate::Detection>, $crate::Error> {
                    SLOT.with(|slot| slot.on_frame(frame))
                }
                fn on_tick(now: i64) -> Result<Vec<$crate::Detection>, $crate::Error> {
                    SLOT.with(|slot| slot.on_tick(now))
                }
            }

            impl exports::handover::Guest for Component {
                fn save() -> Vec<u8> {
                    SLOT.with(|slot| slot.save())
                }
                fn load(from_version: String, saved: Vec<u8>) -> Result<(), String> {
                    SLOT.with(|slot| slot.load(&from_version, &saved))
                }
            }

            $crate::bindings::detector::export_detector!(
                Component with_types_in $crate::bindings::detector
            );
        }
    };
}
