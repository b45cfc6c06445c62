//! The original's tables on a server show what its routes answer: the metrics that the
//! configuration names, on the site's clocks.

use serde_json::{Value, json};

use crate::servers::Servers;
use crate::support::{Random, Site, succeeded};

/// Half past two in Paris on the day on which that comes twice.
const BEGIN_MS: u64 = 1_792_888_200_000;

const FRAMES: u64 = 400;

/// Lying and standing are exchanged, so that nothing is right by chance.
const EXCHANGED: &str = "[animov]\nlying = \"standing\"\nstanding = \"lying\"\n";

/// Frames of two sources over an hour and a half.
fn frames() -> Vec<Value> {
    let mut random = Random(16);
    let mut frames = Vec::new();
    for source in 1..=2 {
        for seq in 0..FRAMES {
            let counts = json!({
                "lying": random.below(9), "standing": random.below(4), "eat": random.below(2),
            });
            frames.push(json!({
                "source": source, "session": format!("00000000-0000-4000-8000-{source:012}"), "seq": seq,
                "captured_at": BEGIN_MS + seq * 13_000 + random.below(13_000), "counts": counts,
            }));
        }
    }
    frames
}

#[test]
fn the_tables_show_what_the_routes_answer() {
    let Some(servers) = Servers::new() else { return };
    let site = Site::new(&format!("{}{EXCHANGED}", servers.settings(2)));
    succeeded(site.animov(&["migrate"]));
    let named = "SELECT name, metric FROM column_metrics ORDER BY name";
    assert_eq!(servers.ask(named), ["couche\tstanding", "debout\tlying", "total\ttotal"]);
    let running = site.start_ready();
    ureq::post(site.url("/v1/frames")).send_json(frames()).unwrap();
    site.wait_accepted(2 * FRAMES);

    for (route, table) in [
        ("stats_minute", "table_chevres_minute_serveur_v2"),
        ("chevres_minutes", "table_chevres_minute"),
        ("chevres_heures", "table_chevres_heures"),
        ("get_serie_last_heure", "vue_chevre_derniere_heure_last"),
        ("get_serie_last_jour", "vue_chevre_derniere_jour_last"),
    ] {
        let Value::Array(answered) = site.get(&format!("/{route}")) else { panic!("{route}") };
        // Those of the route: the tables have an `id` beside them.
        let columns: Vec<&String> = answered[0].as_object().unwrap().keys().collect();
        let fields: Vec<String> =
            columns.iter().map(|column| format!("'{column}', {column}")).collect();
        let rows = servers.ask(&format!("SELECT JSON_OBJECT({}) FROM {table}", fields.join(", ")));
        let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
        assert!(4 <= rows.len(), "{route}: {} rows", rows.len());
        assert_eq!(sorted(&rows), sorted(&answered), "{route} and {table}");
    }
    running.terminate();
}

/// Rows in an order that both sides share: 3, 3.0 and 3.000 are one number.
fn sorted(rows: &[Value]) -> Vec<String> {
    let told = |(column, value): (&String, &Value)| match value.as_f64() {
        Some(number) => format!("{column} {number:.9}"),
        None => format!("{column} {value}").replace(".000000\"", "\""),
    };
    let mut told: Vec<String> = rows
        .iter()
        .map(|row| row.as_object().unwrap().iter().map(told).collect::<Vec<_>>().join(", "))
        .collect();
    told.sort();
    told
}
