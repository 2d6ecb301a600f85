//! `/api/v1/openapi.json`: the API's description, one document of what each file of routes describes.
//!
//! `core/api/openapi.json` is the same (a test sees to it): the console's types are made from it.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::schema::{Object, Schema};
use utoipa::openapi::{OpenApi as Document, RefOr};

use crate::routes::{events, exports, plugins, push, recordings, rest, storage, targets};
use crate::state::ApiState;

/// The API's description.
#[derive(OpenApi)]
#[openapi(info(
    title = "Taimat",
    description = "Media router for neighbourhood cameras"
))]
struct Description;

/// What is left out of an answer where there is nothing to say. All else is written, as `null` if need
/// be.
const LEFT_OUT: [(&str, &str); 3] = [
    ("NotTold", "silence"),
    ("ProblemJson", "cause"),
    ("Recorded", "elsewhere"),
];

pub(crate) fn routes() -> Router<ApiState> {
    Router::new().route("/api/v1/openapi.json", get(openapi))
}

async fn openapi() -> Response {
    let json = HeaderValue::from_static("application/json");
    let body = description().unwrap_or_default();
    ([(header::CONTENT_TYPE, json)], body).into_response()
}

/// The API's description, as OpenAPI has it.
///
/// # Errors
/// If it can not be written as JSON.
pub fn description() -> serde_json::Result<String> {
    document().to_pretty_json()
}

fn document() -> Document {
    let mut document = Description::openapi();
    document.merge(rest::Description::openapi());
    document.merge(plugins::Description::openapi());
    document.merge(events::Description::openapi());
    document.merge(targets::Description::openapi());
    document.merge(push::Description::openapi());
    document.merge(recordings::Description::openapi());
    document.merge(storage::Description::openapi());
    document.merge(exports::Description::openapi());
    let schemas = document.components.iter_mut().flat_map(|c| &mut c.schemas);
    for (name, schema) in schemas {
        if let RefOr::T(schema) = schema {
            all_is_written(name, schema);
        }
    }
    document
}

/// What may be null is not what may be missing, as utoipa has it.
fn all_is_written(name: &str, schema: &mut Schema) {
    match schema {
        Schema::Object(Object {
            properties,
            required,
            ..
        }) => {
            let written = properties
                .keys()
                .filter(|property| !LEFT_OUT.contains(&(name, property.as_str())));
            *required = written.cloned().collect();
        }
        Schema::AllOf(parts) => {
            for part in &mut parts.items {
                if let RefOr::T(part) = part {
                    all_is_written(name, part);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn schemas() -> Value {
        let document = serde_json::to_value(document()).unwrap();
        document["components"]["schemas"].clone()
    }

    #[test]
    fn what_is_known_of_a_source_is_said() {
        let schemas = schemas();
        let profile = &schemas["ProfileView"]["properties"];
        assert_eq!(profile["quirks"]["additionalProperties"]["type"], "integer");
        assert!(profile["transport"].is_object());
        assert!(profile["no_sound"].is_object());
        assert!(schemas["NoSoundView"]["properties"]["reason"].is_object());
        let states = profile["state"]["enum"].as_array().unwrap();
        assert!(states.contains(&Value::from("stalled")));
    }

    #[test]
    fn nothing_is_said_to_be_just_an_object() {
        for (name, schema) in schemas().as_object().unwrap() {
            let text = schema.to_string();
            assert!(!text.contains(r#"{"type":"object"}"#), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_null_is_there_and_what_is_left_out_is_not() {
        let schemas = schemas();
        let required = |name: &str| schemas[name]["required"].as_array().unwrap().clone();
        assert!(required("ProfileView").contains(&Value::from("cause")));
        assert!(required("PluginStatus").contains(&Value::from("component")));
        assert!(required("ProblemJson").contains(&Value::from("detail")));
        assert!(!required("ProblemJson").contains(&Value::from("cause")));
        for (name, property) in LEFT_OUT {
            assert!(schemas[name]["properties"][property].is_object());
        }
    }
}
