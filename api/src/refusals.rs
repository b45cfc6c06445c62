//! What routes that read refuse, for the OpenAPI document.

use utoipa::IntoResponses;

use crate::error::Problem;

/// Of a route that reads.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(crate) enum Refusals {
    /// A parameter is wrong: which, what was given, what is expected.
    #[response(status = 400, content_type = "application/problem+json")]
    BadParameter(Problem),
    /// The token is missing or wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// The tables are away.
    #[response(status = 503, content_type = "application/problem+json")]
    Away(Problem),
}

/// Of a route whose answer has an `ETag`.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only the document is made from it")]
pub(crate) enum Unchanged {
    /// Unchanged since the `ETag` of `If-None-Match`.
    #[response(status = 304)]
    NotModified,
}
