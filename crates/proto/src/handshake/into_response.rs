//! A refusal as an answer of axum's, so that handlers can return it and extractors can reject with it.

use axum_core::body::Body;
use axum_core::response::{IntoResponse, Response};

use super::refusal::Refusal;

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.to_response().map(Body::from)
    }
}
