//! What a person or a program can ask about a server over HTTP: `/metrics` for Prometheus,
//! `/health` for a load balancer, `/status` as JSON.

mod collect;
mod json;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::cluster::Inspection;
use crate::context::Context;

/// The type of Prometheus' text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until the server stops.
pub(crate) async fn serve(listener: TcpListener, context: Arc<Context>) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/status", get(status))
        .with_state(context);
    if let Err(error) = axum::serve(listener, router).await {
        log::error!("the status address failed"; "error" => error.to_string());
    }
}

async fn metrics(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let inspection = inspect(&context).await;
    match collect::text(&context, inspection) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Whether clients should be sent here.
async fn health(State(context): State<Arc<Context>>) -> impl IntoResponse {
    match context.store.failure() {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn status(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let inspection = inspect(&context).await;
    axum::Json(json::status(&context, inspection.as_ref()))
}

/// How things are with raft; none where the store stands alone, or does not answer.
async fn inspect(context: &Context) -> Option<Inspection> {
    context.store.cluster()?.inspect().await
}
