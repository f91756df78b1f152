//! A real Prometheus and promtool against real pages.

mod dashboards;
mod docs;
mod node;
mod rules;
mod scrape;
mod server;
