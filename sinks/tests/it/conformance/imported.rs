//! What every [`ImportedStore`] must do.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use schemas::imported::minute::{Measured, Thousandths};
use schemas::imported::price::Which;
use schemas::imported::{
    Chunk, FilesQuery, Headcount, HeadcountFile, ImportedMinute, ImportedStore, Kept, MinutesQuery,
    Price, PricesQuery, Quarter, QuartersQuery, StoredFile, Table, Taken, Visit, Wall,
};
use schemas::time::UnixMillis;
use schemas::users::Scope;

use crate::conformance::log::source;

/// A store of its own for one test, which can be closed and opened again.
pub(crate) trait TestImported: Sized {
    /// New and empty; `None`, with a line that says why, where its server is not
    /// there.
    fn new() -> Option<Self>;

    /// Opens it; what was opened before may still be in use.
    fn open(&self) -> Arc<dyn ImportedStore>;
}

/// One test for each thing that a store of what was imported must do.
macro_rules! imported_conformance {
    ($store:ty) => {
        $crate::conformance::imported::imported_conformance!($store:
            nothing_was_imported_into_an_empty_store,
            a_file_is_kept_once_and_a_grown_one_brings_only_what_is_new,
            equal_rows_of_a_file_are_different_rows,
            a_quarter_has_the_medians_of_the_rows_that_say,
            quarters_page_in_both_directions,
            files_are_told_newest_first_and_refusals_add_up,
            more_rows_than_a_transaction_takes_are_kept,
            of_many_visitors_of_a_page_one_may,
            a_visit_is_kept_as_it_was_and_once,
            prices_page_newest_visit_first_and_old_ones_go,
            minutes_are_kept_as_they_are_and_go_on_where_they_ended,
            minutes_page_in_both_directions_also_where_two_databases_have_one,
        );
    };
    ($store:ty: $($case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                match <$store as $crate::conformance::imported::TestImported>::new() {
                    Some(store) => $crate::conformance::imported::$case(&store),
                    None => println!("skipped"),
                }
            }
        )*
    };
}
pub(crate) use imported_conformance;

const FIRST: Table = Table::First;

fn wall(text: &str) -> Wall {
    Wall::of(text.parse().unwrap()).unwrap()
}

fn at(second: i64) -> UnixMillis {
    UnixMillis::new(1_772_323_200_000 + second * 1000)
}

/// A row of that day.
fn row(time: &str, lying: impl Into<Option<f64>>, standing: impl Into<Option<f64>>) -> Headcount {
    let wall = wall(&format!("2026-03-01 {time}"));
    Headcount { wall, lying: lying.into(), standing: standing.into(), nth: 0 }
}

fn file(of: i64, sha256: char, rows: usize, refused: u64) -> HeadcountFile {
    HeadcountFile {
        source: source(of),
        table: FIRST,
        name: "enclos d'\u{e9}t\u{e9}-1.csv".to_owned(),
        sha256: String::from(sha256).repeat(64),
        bytes: 1234,
        imported_at: at(0),
        rows_read: u64::try_from(rows).unwrap() + refused,
        rows_refused: refused,
    }
}

fn all(of: i64) -> QuartersQuery {
    QuartersQuery {
        source: source(of),
        table: FIRST,
        from: i64::MIN,
        to: i64::MAX,
        newest_first: false,
        limit: 1000,
    }
}

fn files() -> FilesQuery {
    FilesQuery { scope: Scope::All, before: None, limit: 100 }
}

fn every_price() -> PricesQuery {
    let which = Which::Between { from: UnixMillis::MIN, to: UnixMillis::MAX };
    PricesQuery { which, product: None, after: None, limit: 1000 }
}

fn latest() -> PricesQuery {
    PricesQuery { which: Which::Latest, ..every_price() }
}

fn minutes(of: i64) -> MinutesQuery {
    MinutesQuery {
        source: source(of),
        from: UnixMillis::MIN,
        to: UnixMillis::MAX,
        newest_first: false,
        after: None,
        limit: 1000,
    }
}

pub(crate) fn nothing_was_imported_into_an_empty_store(test: &impl TestImported) {
    let store = test.open();
    assert_eq!(store.headcount_files(&files()).unwrap(), []);
    assert_eq!(store.quarters(&all(1)).unwrap(), []);
    assert_eq!(store.refused_headcounts(source(1), FIRST).unwrap(), 0);
    assert_eq!(store.prices(&every_price()).unwrap(), []);
    assert_eq!(store.prices(&latest()).unwrap(), []);
    assert_eq!(store.delete_visits_before(UnixMillis::MAX).unwrap(), 0);
    assert_eq!(store.minutes_taken("mysql://db/ANIMOV").unwrap(), Taken::default());
    assert_eq!(store.imported_minutes(&minutes(1)).unwrap(), []);
}

pub(crate) fn a_file_is_kept_once_and_a_grown_one_brings_only_what_is_new(
    test: &impl TestImported,
) {
    let store = test.open();
    let mut rows = vec![row("12:00:00", 3.0, 4.5), row("12:00:01", None, 4.0)];
    let put = |file, rows: &[Headcount]| test.open().put_headcounts(&file, rows).unwrap();
    assert_eq!(put(file(1, 'a', 2, 0), &rows), Kept { new: 2, known: false });
    assert_eq!(put(file(1, 'a', 2, 0), &rows), Kept { new: 2, known: true });
    rows.push(row("12:00:02", 0.0, 0.0));
    assert_eq!(put(file(1, 'b', 3, 0), &rows), Kept { new: 1, known: false });
    assert_eq!(put(file(1, 'b', 3, 0), &rows), Kept { new: 1, known: true });
    // The same rows are another source's too, and those of the other table.
    assert_eq!(put(file(2, 'b', 3, 0), &rows), Kept { new: 3, known: false });
    let second = HeadcountFile { table: Table::Second, ..file(1, 'b', 3, 0) };
    assert_eq!(put(second, &rows), Kept { new: 3, known: false });
    let quarters = store.quarters(&all(1)).unwrap();
    assert_eq!(quarters.iter().map(|quarter| quarter.rows).sum::<u64>(), 3);
    assert_eq!(store.headcount_files(&files()).unwrap().len(), 4);
}

pub(crate) fn equal_rows_of_a_file_are_different_rows(test: &impl TestImported) {
    let store = test.open();
    let same = |nth| Headcount { nth, ..row("12:00:00", 3.0, None) };
    let rows: Vec<Headcount> = (0..3).map(same).collect();
    assert_eq!(store.put_headcounts(&file(1, 'a', 3, 0), &rows).unwrap().new, 3);
    let rows: Vec<Headcount> = (0..5).map(same).collect();
    assert_eq!(store.put_headcounts(&file(1, 'b', 5, 0), &rows).unwrap().new, 2);
    assert_eq!(store.quarters(&all(1)).unwrap()[0].rows, 5);
}

pub(crate) fn a_quarter_has_the_medians_of_the_rows_that_say(test: &impl TestImported) {
    let store = test.open();
    let rows = [
        row("12:00:00", 3.0, 4.5),
        row("12:14:59.999", 0.1, None),
        row("12:07:00", 0.2, None),
        row("12:08:00", 7.0, 5.5),
        row("12:15:00", None, None),
        row("23:59:59", 0.0, 0.0),
    ];
    store.put_headcounts(&file(1, 'a', 6, 0), &rows).unwrap();
    let quarter = |time: &str, rows, lying, standing| {
        let quarter = row(time, None, None).wall.quarter();
        Quarter { quarter, rows, lying, standing }
    };
    let told = test.open().quarters(&all(1)).unwrap();
    assert_eq!(
        told,
        [
            quarter("12:00:00", 4, Some((0.2 + 3.0) / 2.0), Some(5.0)),
            quarter("12:15:00", 1, None, None),
            quarter("23:45:00", 1, Some(0.0), Some(0.0)),
        ]
    );
    assert_eq!(told[0].ratio_standing(), Some(5.0 / (5.0 + 1.6) * 100.0));
    assert_eq!((told[1].ratio_standing(), told[2].ratio_standing()), (None, None));
}

pub(crate) fn quarters_page_in_both_directions(test: &impl TestImported) {
    let store = test.open();
    let rows: Vec<Headcount> =
        (0..24).map(|hour| row(&format!("{hour:02}:30:00"), 1.0, f64::from(hour))).collect();
    store.put_headcounts(&file(1, 'a', 24, 0), &rows).unwrap();
    let every = store.quarters(&all(1)).unwrap();
    assert_eq!(every.len(), 24);
    let quarter = |nth: usize| every[nth].quarter;
    let query = QuartersQuery { from: quarter(3), to: quarter(20), limit: 5, ..all(1) };
    assert_eq!(store.quarters(&query).unwrap(), every[3..8]);
    let mut newest = store.quarters(&QuartersQuery { newest_first: true, ..query }).unwrap();
    newest.reverse();
    assert_eq!(newest, every[15..20]);
    assert_eq!(store.quarters(&QuartersQuery { limit: 0, ..query }).unwrap(), []);
    let backwards = QuartersQuery { from: quarter(20), to: quarter(3), ..query };
    assert_eq!(store.quarters(&backwards).unwrap(), []);
}

pub(crate) fn files_are_told_newest_first_and_refusals_add_up(test: &impl TestImported) {
    let store = test.open();
    let rows = [row("12:00:00", 3.0, 4.0)];
    for (of, sha256, refused) in [(1, 'a', 2), (2, 'b', 4), (1, 'c', 8)] {
        store.put_headcounts(&file(of, sha256, 1, refused), &rows).unwrap();
    }
    let told = store.headcount_files(&files()).unwrap();
    let HeadcountFile { source, table, name, sha256, bytes, imported_at, rows_read, rows_refused } =
        file(1, 'c', 1, 8);
    let newest = StoredFile {
        number: told[0].number,
        source,
        table,
        name,
        sha256,
        bytes,
        imported_at,
        rows_read,
        rows_refused,
        rows_new: 0,
        whole: true,
    };
    assert_eq!(told[0], newest);
    assert!(told.is_sorted_by(|a, b| b.number < a.number));
    assert_eq!(told.iter().map(|file| file.rows_new).collect::<Vec<_>>(), [0, 1, 1]);
    let before = FilesQuery { before: Some(told[0].number), limit: 1, ..files() };
    assert_eq!(store.headcount_files(&before).unwrap(), told[1..2]);
    let of = |scope: &str| {
        let query = FilesQuery { scope: scope.parse().unwrap(), ..files() };
        store.headcount_files(&query).unwrap()
    };
    assert_eq!(of("1"), [told[0].clone(), told[2].clone()]);
    assert_eq!(of("2,11,21"), told[1..2]);
    assert_eq!(of("1,2"), told);
    assert_eq!(of("11,12,21"), []);
    assert_eq!(store.refused_headcounts(source, FIRST).unwrap(), 10);
    assert_eq!(store.refused_headcounts(source, Table::Second).unwrap(), 0);
}

pub(crate) fn more_rows_than_a_transaction_takes_are_kept(test: &impl TestImported) {
    let store = test.open();
    let rows: Vec<Headcount> =
        (0..12_001).map(|nth| Headcount { nth, ..row("12:00:00", 3.0, f64::from(nth)) }).collect();
    let kept = store.put_headcounts(&file(1, 'a', rows.len(), 0), &rows).unwrap();
    assert_eq!(kept, Kept { new: 12_001, known: false });
    let quarters = store.quarters(&all(1)).unwrap();
    assert_eq!((quarters[0].rows, quarters[0].standing), (12_001, Some(6000.0)));
}

pub(crate) fn of_many_visitors_of_a_page_one_may(test: &impl TestImported) {
    const VISITORS: usize = 6;
    let every = Duration::from_hours(1);
    let stores: Vec<_> = (0..VISITORS).map(|_| test.open()).collect();
    for (second, may) in [(0, 1), (3599, 0), (3600, 1), (7000, 0), (3600, 0), (7200, 1), (0, 1)] {
        let claims: usize = thread::scope(|scope| {
            let claim = |store: &Arc<dyn ImportedStore>| {
                let store = Arc::clone(store);
                scope.spawn(move || store.claim_visit("https://a.example/", at(second), every))
            };
            let claims: Vec<_> = stores.iter().map(claim).collect();
            claims.into_iter().map(|claim| usize::from(claim.join().unwrap().unwrap())).sum()
        });
        assert_eq!(claims, may, "{second}");
    }
    assert!(stores[0].claim_visit("https://b.example/", at(0), every).unwrap(), "another page");
}

fn price(product: &str, price: impl Into<Option<f64>>, variation: Option<&str>) -> Price {
    let variation = variation.map(str::to_owned);
    Price { product: product.to_owned(), price: price.into(), variation }
}

fn visit(url: &str, second: i64, prices: Vec<Price>) -> Visit {
    Visit { url: url.to_owned(), taken_at: at(second), prices }
}

pub(crate) fn a_visit_is_kept_as_it_was_and_once(test: &impl TestImported) {
    let store = test.open();
    let prices = vec![
        price("Foin de Crau", 1.85, Some("+0,5 %")),
        price("Foin de crau", None, None),
        price("Bl\u{e9} \u{1f410}", 0.1 + 0.2, Some("")),
        price("Foin de Crau", 1.85, Some("+0,5 %")),
    ];
    let taken = visit("https://a.example/prix", 0, prices.clone());
    store.put_prices(&taken).unwrap();
    store.put_prices(&taken).unwrap();
    store.put_prices(&visit("https://a.example/none", 1, Vec::new())).unwrap();
    let told = test.open().prices(&every_price()).unwrap();
    assert_eq!(told.iter().map(|told| told.price.clone()).collect::<Vec<_>>(), prices);
    assert_eq!(told.iter().map(|told| told.id.row).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(told.iter().all(|told| told.url == taken.url && told.taken_at == taken.taken_at));
    assert_eq!(store.prices(&latest()).unwrap(), told);
    let one = PricesQuery { product: Some("Foin de Crau".to_owned()), ..every_price() };
    assert_eq!(store.prices(&one).unwrap(), [told[0].clone(), told[3].clone()]);
}

pub(crate) fn prices_page_newest_visit_first_and_old_ones_go(test: &impl TestImported) {
    let store = test.open();
    let two = |of| vec![price("hay", f64::from(of), None), price("straw", f64::from(of), None)];
    for (of, url) in [(0, "a"), (1, "b"), (2, "a"), (3, "b"), (4, "a")] {
        let url = format!("https://{url}.example/");
        store.put_prices(&visit(&url, of.into(), two(of))).unwrap();
    }
    let seconds = |query: &PricesQuery| -> Vec<i64> {
        let told = store.prices(query).unwrap();
        told.iter().map(|told| (told.taken_at.get() - at(0).get()) / 1000).collect()
    };
    assert_eq!(seconds(&every_price()), [4, 4, 3, 3, 2, 2, 1, 1, 0, 0]);
    assert_eq!(seconds(&latest()), [4, 4, 3, 3]);
    let part = PricesQuery { which: Which::Between { from: at(1), to: at(4) }, ..every_price() };
    assert_eq!(seconds(&part), [3, 3, 2, 2, 1, 1]);
    for query in [every_price(), latest(), part] {
        let (every, mut paged) = (store.prices(&query).unwrap(), Vec::new());
        let mut page = PricesQuery { limit: 3, ..query };
        loop {
            let told = store.prices(&page).unwrap();
            let Some(last) = told.last() else { break };
            page.after = Some(last.id);
            paged.extend(told);
        }
        assert_eq!(paged, every);
    }
    assert_eq!(store.delete_visits_before(at(3)).unwrap(), 3);
    assert_eq!(seconds(&every_price()), [4, 4, 3, 3]);
}

/// Everything that a row over there can say, and everything that it can leave out.
fn minute(of: i64, second: i64, id: i64) -> ImportedMinute {
    let whole = Measured {
        sum: Some(i32::MAX),
        min: Some(0),
        max: Some(7),
        std: Some(Thousandths(999_999)),
        q1: Some(Thousandths(-1)),
        median: Some(Thousandths(2_500)),
        q3: Some(Thousandths(0)),
        modes: Some("3, 5 \u{e9}".to_owned()),
    };
    ImportedMinute {
        id,
        source: source(of),
        start: at(second),
        frames: (id % 2 == 0).then_some(60),
        total: whole.clone(),
        lying: Measured { sum: None, modes: Some(String::new()), ..whole },
        standing: Measured::default(),
    }
}

fn chunk(database: &str, minutes: Vec<ImportedMinute>, rows_refused: u64) -> Chunk {
    let last_id = minutes.last().map(|minute| minute.id);
    let rows_read = u64::try_from(minutes.len()).unwrap() + rows_refused;
    let taken = Taken { last_id, rows_read, rows_refused };
    Chunk { database: database.to_owned(), minutes, taken, now: at(9) }
}

pub(crate) fn minutes_are_kept_as_they_are_and_go_on_where_they_ended(test: &impl TestImported) {
    let store = test.open();
    let some: Vec<ImportedMinute> = (0..700).map(|n| minute(1, 60 * n, n)).collect();
    let first = chunk("mysql://a/ANIMOV", some.clone(), 3);
    store.put_minutes(&first).unwrap();
    store.put_minutes(&first).unwrap();
    assert_eq!(test.open().minutes_taken("mysql://a/ANIMOV").unwrap(), first.taken);
    assert_eq!(store.minutes_taken("mysql://A/ANIMOV").unwrap(), Taken::default());
    let told = test.open().imported_minutes(&minutes(1)).unwrap();
    assert!(told.iter().all(|told| told.database == first.database));
    assert_eq!(told.into_iter().map(|told| told.minute).collect::<Vec<_>>(), some);
    // What is said of one later stands.
    let corrected = ImportedMinute { frames: Some(59), ..minute(1, 0, 0) };
    let again = chunk("mysql://a/ANIMOV", vec![corrected.clone()], 0);
    store.put_minutes(&again).unwrap();
    let query = MinutesQuery { to: at(60), ..minutes(1) };
    let told = store.imported_minutes(&query).unwrap();
    assert_eq!(told.into_iter().map(|told| told.minute).collect::<Vec<_>>(), [corrected]);
    assert_eq!(store.minutes_taken("mysql://a/ANIMOV").unwrap(), again.taken);
}

pub(crate) fn minutes_page_in_both_directions_also_where_two_databases_have_one(
    test: &impl TestImported,
) {
    let store = test.open();
    for database in ["mysql://b/ANIMOV", "mysql://a/ANIMOV"] {
        let some = (0..10).flat_map(|n| [minute(1, 60 * n, 2 * n), minute(1, 60 * n, 2 * n + 1)]);
        store.put_minutes(&chunk(database, some.collect(), 0)).unwrap();
        store.put_minutes(&chunk(database, vec![minute(2, 0, 99)], 0)).unwrap();
    }
    let every = store.imported_minutes(&minutes(1)).unwrap();
    assert_eq!(every.len(), 40);
    assert!(every.is_sorted_by_key(|told| told.name()));
    let within = MinutesQuery { from: at(60), to: at(540), limit: 3, ..minutes(1) };
    for newest_first in [false, true] {
        let mut page = MinutesQuery { newest_first, ..within };
        let mut paged = Vec::new();
        loop {
            let told = store.imported_minutes(&page).unwrap();
            let Some(last) = told.last() else { break };
            page.after = Some(last.name());
            paged.extend(told);
        }
        if newest_first {
            paged.reverse();
        }
        assert_eq!(paged, every[4..36]);
    }
}
