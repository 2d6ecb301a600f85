//! The way between the types of the contract's versions and those of `taimat-contract`. What a
//! version has in common with the others is written once, in the macro; where it differs stands
//! beside its name.

use taimat_contract as c;
use taimat_contract::{Failure, PluginError};
use wasmtime::component::{HasSelf, Linker};

use super::data::HostState;
use crate::bindings::{v0_1, v0_2, v0_3};
use crate::tail::{Level, line};
use crate::version::ContractVersion;

/// Links one interface of `taimat:plugin`; false if there is none of this name.
pub(crate) fn link(
    version: ContractVersion,
    interface: &str,
    linker: &mut Linker<HostState>,
) -> wasmtime::Result<bool> {
    match version {
        ContractVersion::V0_1 => link_v0_1(interface, linker),
        ContractVersion::V0_2 => link_v0_2(interface, linker),
        ContractVersion::V0_3 => Ok(link_v0_3(interface, linker)? || link_new(interface, linker)?),
    }
}

macro_rules! served {
    ($module:ident, $link:ident, $want:expr) => {
        fn $link(interface: &str, linker: &mut Linker<HostState>) -> wasmtime::Result<bool> {
            use $module::taimat::plugin::{frames, log, metrics, state, types};
            type This = HasSelf<HostState>;
            match interface {
                "types" => types::add_to_linker::<_, This>(linker, |s| s)?,
                "log" => log::add_to_linker::<_, This>(linker, |s| s)?,
                "metrics" => metrics::add_to_linker::<_, This>(linker, |s| s)?,
                "state" => state::add_to_linker::<_, This>(linker, |s| s)?,
                "frames" => frames::add_to_linker::<_, This>(linker, |s| s)?,
                _ => return Ok(false),
            }
            Ok(true)
        }

        const _: () = {
            use $module::exports::taimat::plugin::{detector, lifecycle};
            use $module::taimat::plugin::{frames, log, metrics, state, types};

            impl types::Host for HostState {}

            impl log::Host for HostState {
                fn write(&mut self, level: log::Level, message: String) {
                    let level = match level {
                        log::Level::Trace => Level::Trace,
                        log::Level::Debug => Level::Debug,
                        log::Level::Info => Level::Info,
                        log::Level::Warn => Level::Warn,
                        log::Level::Error => Level::Error,
                    };
                    self.log.write(level, &message);
                }
            }

            impl metrics::Host for HostState {
                fn add(&mut self, name: String, delta: f64) {
                    self.metrics.add(&name, delta);
                }
                fn set(&mut self, name: String, value: f64) {
                    self.metrics.set(&name, value);
                }
            }

            impl From<PluginError> for types::Error {
                fn from(error: PluginError) -> Self {
                    match error {
                        PluginError::Settings(why) => Self::Settings(why),
                        PluginError::Retry(why) => Self::Retry(why),
                        PluginError::Fatal(why) => Self::Fatal(why),
                    }
                }
            }

            impl From<types::Error> for Failure {
                fn from(error: types::Error) -> Self {
                    match error {
                        types::Error::Settings(why) => PluginError::Settings(line(&why)),
                        types::Error::Retry(why) => PluginError::Retry(line(&why)),
                        types::Error::Fatal(why) => PluginError::Fatal(line(&why)),
                    }
                    .into()
                }
            }

            fn state_of(
                host: &mut HostState,
            ) -> Result<&mut super::state::StateCapability, types::Error> {
                let state = host.state.as_mut();
                state.map_err(|missing| missing.clone().into())
            }

            impl state::Host for HostState {
                fn get(&mut self, key: String) -> Result<Option<Vec<u8>>, types::Error> {
                    state_of(self)?.get(&key).map_err(Into::into)
                }
                fn set(&mut self, key: String, value: Vec<u8>) -> Result<(), types::Error> {
                    state_of(self)?.set(&key, &value).map_err(Into::into)
                }
                fn delete(&mut self, key: String) -> Result<(), types::Error> {
                    state_of(self)?.delete(&key).map_err(Into::into)
                }
                fn list(
                    &mut self,
                    prefix: String,
                    limit: u32,
                ) -> Result<Vec<String>, types::Error> {
                    state_of(self)?.list(&prefix, limit).map_err(Into::into)
                }
            }

            impl From<c::FrameError> for frames::FrameError {
                fn from(error: c::FrameError) -> Self {
                    match error {
                        c::FrameError::Expired => Self::Expired,
                        c::FrameError::OutOfRange => Self::OutOfRange,
                        c::FrameError::TooLarge => Self::TooLarge,
                        c::FrameError::NotGranted => Self::NotGranted,
                    }
                }
            }

            impl From<frames::Region> for c::Region {
                fn from(r: frames::Region) -> Self {
                    let frames::Region {
                        x,
                        y,
                        width,
                        height,
                    } = r;
                    Self {
                        x,
                        y,
                        width,
                        height,
                    }
                }
            }

            impl From<c::FrameInfo> for frames::FrameInfo {
                fn from(info: c::FrameInfo) -> Self {
                    Self {
                        id: info.id.0,
                        camera: info.camera.to_string(),
                        at: info.at.0,
                        width: info.width,
                        height: info.height,
                        key: info.key,
                        dropped_before: info.dropped_before,
                    }
                }
            }

            impl frames::Host for HostState {
                fn previous(&mut self, id: u64, back: u32) -> Option<frames::FrameInfo> {
                    self.frames.previous(id, back).map(Into::into)
                }
                fn read_plane(
                    &mut self,
                    id: u64,
                    plane: frames::Plane,
                    region: frames::Region,
                ) -> Result<Vec<u8>, frames::FrameError> {
                    let plane = match plane {
                        frames::Plane::Luma => c::Plane::Luma,
                        frames::Plane::Cb => c::Plane::Cb,
                        frames::Plane::Cr => c::Plane::Cr,
                    };
                    Ok(self.frames.read_plane(id, plane, region.into())?)
                }
                fn gray(
                    &mut self,
                    id: u64,
                    region: frames::Region,
                    width: u32,
                    height: u32,
                ) -> Result<Vec<u8>, frames::FrameError> {
                    Ok(self.frames.gray(id, region.into(), width, height)?)
                }
                fn rgb(
                    &mut self,
                    id: u64,
                    region: frames::Region,
                    width: u32,
                    height: u32,
                ) -> Result<Vec<u8>, frames::FrameError> {
                    Ok(self.frames.rgb(id, region.into(), width, height)?)
                }
                fn grid(
                    &mut self,
                    id: u64,
                    against: Option<u64>,
                    columns: u32,
                    rows: u32,
                ) -> Result<frames::CellStats, frames::FrameError> {
                    let stats = self.frames.grid(id, against, columns, rows)?;
                    let c::CellStats {
                        mean,
                        deviation,
                        change,
                    } = stats;
                    Ok(frames::CellStats {
                        mean,
                        deviation,
                        change,
                    })
                }
                fn jpeg(
                    &mut self,
                    id: u64,
                    region: Option<frames::Region>,
                    width: u32,
                    quality: u8,
                ) -> Result<Vec<u8>, frames::FrameError> {
                    let region = region.map(Into::into);
                    Ok(self.frames.jpeg(id, region, width, quality)?)
                }
            }

            impl From<types::Detection> for c::Detection {
                fn from(d: types::Detection) -> Self {
                    let rect = |r: types::Rect| c::Rect {
                        x: r.x,
                        y: r.y,
                        width: r.width,
                        height: r.height,
                    };
                    let attribute = |a: types::Attribute| c::Attribute {
                        key: a.key,
                        value: a.value,
                    };
                    Self {
                        kind: d.kind,
                        at: c::UnixMicros(d.at),
                        confidence: d.confidence,
                        regions: d.regions.into_iter().map(rect).collect(),
                        track: d.track,
                        text: d.text,
                        extra: d.extra.into_iter().map(attribute).collect(),
                    }
                }
            }

            impl From<lifecycle::About> for c::About {
                fn from(about: lifecycle::About) -> Self {
                    Self {
                        name: about.name,
                        version: about.version,
                        settings_schema: about.settings_schema,
                    }
                }
            }

            impl From<detector::Want> for c::Want {
                fn from(want: detector::Want) -> Self {
                    let history: fn(&detector::Want) -> u32 = $want;
                    Self {
                        width: want.width,
                        height: want.height,
                        max_fps: want.max_fps,
                        keyframes_only: want.keyframes_only,
                        history: history(&want),
                    }
                }
            }
        };
    };
}

served!(v0_3, link_v0_3, |want| want.history);
served!(v0_2, link_v0_2, |want| want.history);
// It promised the last four.
served!(v0_1, link_v0_1, |_want| 4);

/// Links what only the newest version has.
fn link_new(interface: &str, linker: &mut Linker<HostState>) -> wasmtime::Result<bool> {
    use v0_3::taimat::plugin::{commune, events, http, message};
    type This = HasSelf<HostState>;
    match interface {
        "commune" => commune::add_to_linker::<_, This>(linker, |s| s)?,
        "events" => events::add_to_linker::<_, This>(linker, |s| s)?,
        "http" => http::add_to_linker::<_, This>(linker, |s| s)?,
        "message" => message::add_to_linker::<_, This>(linker, |s| s)?,
        _ => return Ok(false),
    }
    Ok(true)
}

impl v0_3::taimat::plugin::events::Host for HostState {}
impl v0_3::taimat::plugin::http::Host for HostState {}
impl v0_3::taimat::plugin::message::Host for HostState {}

const _: () = {
    use v0_3::taimat::plugin::commune;

    impl From<&c::commune::CameraFacts> for commune::CameraFacts {
        fn from(camera: &c::commune::CameraFacts) -> Self {
            Self {
                name: camera.name.to_string(),
                title: camera.title.clone(),
                tags: camera.tags.clone(),
                owner: camera.owner.clone(),
            }
        }
    }

    impl From<&c::commune::Zone> for commune::Zone {
        fn from(zone: &c::commune::Zone) -> Self {
            let point = |(x, y): &(f32, f32)| commune::Point { x: *x, y: *y };
            Self {
                name: zone.name.clone(),
                tags: zone.tags.clone(),
                outline: zone.outline.iter().map(point).collect(),
            }
        }
    }

    impl commune::Host for HostState {
        fn title(&mut self) -> String {
            self.commune.facts().title.clone()
        }
        fn language(&mut self) -> String {
            self.commune.facts().language.clone()
        }
        fn local(&mut self, at: i64) -> commune::LocalTime {
            let local = self.commune.local(c::UnixMicros(at));
            commune::LocalTime {
                year: local.year,
                month: local.month,
                day: local.day,
                hour: local.hour,
                minute: local.minute,
                second: local.second,
                weekday: local.weekday,
                utc_offset: local.utc_offset,
                holiday: local.holiday,
            }
        }
        fn camera(&mut self, name: String) -> Option<commune::CameraFacts> {
            self.commune.camera(&name).map(Into::into)
        }
        fn cameras(&mut self) -> Vec<commune::CameraFacts> {
            self.commune
                .facts()
                .cameras
                .iter()
                .map(Into::into)
                .collect()
        }
        fn zones(&mut self, camera: String) -> Vec<commune::Zone> {
            let camera = self.commune.camera(&camera);
            let zones = camera.map_or(&[][..], |camera| camera.zones.as_slice());
            zones.iter().map(Into::into).collect()
        }
        fn targets(&mut self) -> Vec<commune::TargetFacts> {
            let targets = self.commune.facts().targets.iter();
            let fact = |target: &c::commune::TargetFacts| commune::TargetFacts {
                name: target.name.clone(),
                alerter: target.alerter.to_string(),
                title: target.title.clone(),
                tags: target.tags.clone(),
            };
            targets.map(fact).collect()
        }
    }
};
