//! What was imported, in memory.

use std::sync::Mutex;
use std::time::Duration;

use schemas::commit::StoreError;
use schemas::imported::headcount::Quarters;
use schemas::imported::price::{PriceId, Which};
use schemas::imported::{
    Chunk, FilesQuery, Headcount, HeadcountFile, ImportedStore, Kept, MinutesQuery, PricesQuery,
    Quarter, QuartersQuery, StoredFile, StoredMinute, StoredPrice, Table, Taken, Visit,
};
use schemas::source::SourceId;
use schemas::time::UnixMillis;

/// Files with their rows, visits with their prices, and minutes, as they came.
#[derive(Default)]
pub struct MemoryImported {
    pub files: Mutex<Vec<(StoredFile, Vec<Headcount>)>>,
    pub visits: Mutex<Vec<Visit>>,
    pub minutes: Mutex<Vec<StoredMinute>>,
    /// Answer every call with this.
    pub failure: Mutex<Option<fn() -> StoreError>>,
}

impl MemoryImported {
    fn works(&self) -> Result<(), StoreError> {
        self.failure.lock().unwrap().map_or(Ok(()), |failure| Err(failure()))
    }
}

impl ImportedStore for MemoryImported {
    fn put_headcounts(&self, file: &HeadcountFile, rows: &[Headcount]) -> Result<Kept, StoreError> {
        self.works()?;
        let mut files = self.files.lock().unwrap();
        let same = |(known, _): &&(StoredFile, Vec<Headcount>)| {
            (known.source, known.table, &known.sha256) == (file.source, file.table, &file.sha256)
        };
        if let Some((known, _)) = files.iter().find(same) {
            return Ok(Kept { new: known.rows_new, known: true });
        }
        let known = |row: &Headcount| {
            let mut of_source = files
                .iter()
                .filter(|(known, _)| (known.source, known.table) == (file.source, file.table));
            of_source.any(|(_, rows)| rows.contains(row))
        };
        let rows: Vec<Headcount> = rows.iter().filter(|row| !known(row)).copied().collect();
        let HeadcountFile { source, table, name, sha256, bytes, imported_at, .. } = file.clone();
        let new = rows.len().try_into().unwrap();
        let stored = StoredFile {
            number: u64::try_from(files.len()).unwrap() + 1,
            source,
            table,
            name,
            sha256,
            bytes,
            imported_at,
            rows_read: file.rows_read,
            rows_refused: file.rows_refused,
            rows_new: new,
            whole: true,
        };
        files.push((stored, rows));
        Ok(Kept { new, known: false })
    }

    fn headcount_files(&self, query: &FilesQuery) -> Result<Vec<StoredFile>, StoreError> {
        self.works()?;
        let FilesQuery { scope, before, limit } = query;
        let files = self.files.lock().unwrap();
        let asked = files.iter().rev().map(|(file, _)| file).filter(|file| {
            scope.admits(file.source) && before.is_none_or(|before| file.number < before)
        });
        Ok(asked.take((*limit).try_into().unwrap()).cloned().collect())
    }

    fn refused_headcounts(&self, source: SourceId, table: Table) -> Result<u64, StoreError> {
        self.works()?;
        let files = self.files.lock().unwrap();
        let of_source = files.iter().map(|(file, _)| file);
        let of_source = of_source.filter(|file| (file.source, file.table) == (source, table));
        Ok(of_source.map(|file| file.rows_refused).sum())
    }

    fn quarters(&self, query: &QuartersQuery) -> Result<Vec<Quarter>, StoreError> {
        self.works()?;
        let QuartersQuery { source, table, from, to, newest_first, limit } = *query;
        let files = self.files.lock().unwrap();
        let of_source =
            files.iter().filter(|(file, _)| (file.source, file.table) == (source, table));
        let rows = of_source.flat_map(|(_, rows)| rows);
        let mut rows: Vec<&Headcount> =
            rows.filter(|row| (from..to).contains(&row.wall.quarter())).collect();
        rows.sort_by_key(|row| row.wall);
        let mut quarters = Quarters::default();
        rows.iter().for_each(|row| quarters.push(row.wall.quarter(), row.lying, row.standing));
        let mut quarters = quarters.finish();
        if newest_first {
            quarters.reverse();
        }
        quarters.truncate(limit.try_into().unwrap());
        Ok(quarters)
    }

    fn claim_visit(&self, _: &str, _: UnixMillis, _: Duration) -> Result<bool, StoreError> {
        unreachable!("the API visits nobody")
    }

    fn put_prices(&self, visit: &Visit) -> Result<(), StoreError> {
        self.visits.lock().unwrap().push(visit.clone());
        Ok(())
    }

    fn prices(&self, query: &PricesQuery) -> Result<Vec<StoredPrice>, StoreError> {
        self.works()?;
        let visits = self.visits.lock().unwrap();
        let mut found = Vec::new();
        for (at, visit) in visits.iter().enumerate().rev() {
            let asked = match query.which {
                Which::Latest => visits.iter().skip(at + 1).all(|later| later.url != visit.url),
                Which::Between { from, to } => (from..to).contains(&visit.taken_at),
            };
            for (row, price) in visit.prices.iter().enumerate().filter(|_| asked) {
                let id = PriceId { visit: at.try_into().unwrap(), row: row.try_into().unwrap() };
                let behind = query.after.is_none_or(|after| {
                    id.visit < after.visit || (id.visit == after.visit && after.row < id.row)
                });
                if behind && query.product.as_ref().is_none_or(|asked| *asked == price.product) {
                    let (url, taken_at) = (visit.url.clone(), visit.taken_at);
                    found.push(StoredPrice { id, url, taken_at, price: price.clone() });
                }
            }
        }
        found.truncate(query.limit.try_into().unwrap());
        Ok(found)
    }

    fn delete_visits_before(&self, _: UnixMillis) -> Result<u64, StoreError> {
        unreachable!("the API deletes nothing")
    }

    fn minutes_taken(&self, _: &str) -> Result<Taken, StoreError> {
        unreachable!("the API takes nothing from another database")
    }

    fn put_minutes(&self, _: &Chunk) -> Result<(), StoreError> {
        unreachable!("the API takes nothing from another database")
    }

    fn imported_minutes(&self, query: &MinutesQuery) -> Result<Vec<StoredMinute>, StoreError> {
        self.works()?;
        let MinutesQuery { source, from, to, newest_first, after, limit } = *query;
        let minutes = self.minutes.lock().unwrap();
        let asked = minutes.iter().filter(|stored| {
            stored.minute.source == source
                && (from..to).contains(&stored.minute.start)
                && after.is_none_or(|after| match newest_first {
                    false => after < stored.name(),
                    true => stored.name() < after,
                })
        });
        let mut found: Vec<StoredMinute> = asked.cloned().collect();
        found.sort_by_key(StoredMinute::name);
        if newest_first {
            found.reverse();
        }
        found.truncate(limit.try_into().unwrap());
        Ok(found)
    }
}
