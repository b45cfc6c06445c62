//! What is done to a site that counts, in an order that the seed decides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::proxy::{Mode, Proxy, Question};
use crate::servers::{Server, Servers};
use crate::support::Random;
use crate::workers::Workers;

/// How long a site may take to count again in every partition.
const RECOVERY_MAX: Duration = Duration::from_secs(120);

/// How long the database is away in an outage.
const OUTAGE: Duration = Duration::from_secs(60);

/// How long a worker is stopped: twice a session and more, so that its partitions
/// go to another.
const STOPPED: Duration = Duration::from_secs(4);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    WorkerKilled,
    WorkerStopped,
    BrokerKilled,
    BrokerRestarted,
    DatabaseKilled,
    DatabaseOutage,
    CommitAnswerCut,
    AppendAnswerCut,
    ProducerCut,
    WorkersCut,
    DatabaseCut,
    ProducerHalfOpen,
    WorkersHalfOpen,
    DatabaseHalfOpen,
    ProducerSlow,
    WorkersSlow,
    DatabaseSlow,
    Rescaled,
}

const FAULTS: [Fault; 18] = [
    Fault::WorkerKilled,
    Fault::WorkerStopped,
    Fault::BrokerKilled,
    Fault::BrokerRestarted,
    Fault::DatabaseKilled,
    Fault::DatabaseOutage,
    Fault::CommitAnswerCut,
    Fault::AppendAnswerCut,
    Fault::ProducerCut,
    Fault::WorkersCut,
    Fault::DatabaseCut,
    Fault::ProducerHalfOpen,
    Fault::WorkersHalfOpen,
    Fault::DatabaseHalfOpen,
    Fault::ProducerSlow,
    Fault::WorkersSlow,
    Fault::DatabaseSlow,
    Fault::Rescaled,
];

/// The next faults: every kind once or more, in an order of `random`'s. Of these
/// those whose names `only` lists, if it lists any.
pub(crate) fn round(random: &mut Random, only: &[String]) -> Vec<Fault> {
    let mut faults = FAULTS.to_vec();
    // Those that cost little come again; three times makes 1, 3 and 2 workers.
    faults.extend([
        Fault::WorkerKilled,
        Fault::WorkerStopped,
        Fault::WorkerStopped,
        Fault::CommitAnswerCut,
        Fault::AppendAnswerCut,
        Fault::Rescaled,
        Fault::Rescaled,
    ]);
    if !only.is_empty() {
        faults.retain(|fault| only.contains(&format!("{fault:?}")));
        assert!(!faults.is_empty(), "no fault is called {only:?}; there are {FAULTS:?}");
    }
    for last in (1..faults.len()).rev() {
        let other = random.below(u64::try_from(last + 1).unwrap());
        faults.swap(last, usize::try_from(other).unwrap());
    }
    faults
}

/// A site under torment.
pub(crate) struct Torment<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) workers: &'a mut Workers,
    pub(crate) random: Random,
    /// Faults that have happened.
    pub(crate) happened: BTreeMap<Fault, usize>,
    /// From the end of a fault until every partition has committed more.
    pub(crate) recoveries: Vec<(Fault, Duration)>,
    /// Stopped workers whose partitions went to another meanwhile.
    pub(crate) taken_over: usize,
    rescaled: usize,
}

impl<'a> Torment<'a> {
    pub(crate) fn new(
        servers: &'a Servers,
        workers: &'a mut Workers,
        random: Random,
    ) -> Torment<'a> {
        let (happened, recoveries) = (BTreeMap::new(), Vec::new());
        Torment { servers, workers, random, happened, recoveries, taken_over: 0, rescaled: 0 }
    }

    /// Does it, and waits until every partition counts again.
    pub(crate) fn inflict(&mut self, fault: Fault) {
        println!("  {fault:?}");
        self.perform(fault);
        *self.happened.entry(fault).or_default() += 1;
        let begun = Instant::now();
        self.await_progress(&format!("{fault:?}"));
        self.recoveries.push((fault, begun.elapsed()));
    }

    fn perform(&mut self, fault: Fault) {
        let servers = self.servers;
        match fault {
            Fault::WorkerKilled => {
                let one = self.one();
                self.workers.kill(one);
            }
            Fault::WorkerStopped => {
                // Alone it would only sleep: nobody could take over.
                if self.workers.len() == 1 {
                    self.workers.scale(2);
                    self.await_progress("a second worker");
                }
                let one = self.one();
                let owners = servers.ask(OWNERS);
                self.workers.signal(one, Signal::SIGSTOP);
                let more = Duration::from_millis(self.random.below(2000));
                std::thread::sleep(STOPPED + more);
                self.taken_over += usize::from(owners != servers.ask(OWNERS));
                self.workers.signal(one, Signal::SIGCONT);
            }
            Fault::BrokerKilled => {
                servers.kill(Server::Broker);
                servers.up(Server::Broker);
            }
            Fault::BrokerRestarted => {
                servers.down(Server::Broker);
                servers.up(Server::Broker);
            }
            Fault::DatabaseKilled => {
                servers.kill(Server::Database);
                servers.up(Server::Database);
            }
            Fault::DatabaseOutage => {
                servers.down(Server::Database);
                self.pass(OUTAGE);
                servers.up(Server::Database);
            }
            Fault::CommitAnswerCut => self.withhold(&servers.database_link, Question::Commit),
            Fault::AppendAnswerCut => self.withhold(&servers.producer_link, Question::Append),
            Fault::ProducerCut => self.cut(&servers.producer_link),
            Fault::WorkersCut => self.cut(&servers.worker_link),
            Fault::DatabaseCut => self.cut(&servers.database_link),
            Fault::ProducerHalfOpen => self.through(&servers.producer_link, Mode::Swallow),
            Fault::WorkersHalfOpen => self.through(&servers.worker_link, Mode::Swallow),
            Fault::DatabaseHalfOpen => self.through(&servers.database_link, Mode::Swallow),
            Fault::ProducerSlow => {
                self.through(&servers.producer_link, Mode::Slow(Duration::from_millis(200)));
            }
            Fault::WorkersSlow => {
                self.through(&servers.worker_link, Mode::Slow(Duration::from_millis(100)));
            }
            Fault::DatabaseSlow => {
                self.through(&servers.database_link, Mode::Slow(Duration::from_millis(20)));
            }
            Fault::Rescaled => {
                self.rescaled += 1;
                self.workers.scale([1, 3, 2][(self.rescaled - 1) % 3]);
            }
        }
    }

    /// One of the workers.
    fn one(&mut self) -> usize {
        let workers = u64::try_from(self.workers.len()).unwrap();
        usize::try_from(self.random.below(workers)).unwrap()
    }

    /// Loses an answer that the server has given.
    fn withhold(&mut self, link: &Proxy, question: Question) {
        let before = link.withheld();
        link.withhold_next(question);
        self.until("a question whose answer is withheld", |_| before < link.withheld());
    }

    fn cut(&mut self, link: &Proxy) {
        let before = link.harmed();
        link.set(Mode::Refuse);
        link.cut();
        self.pass(Duration::from_secs(2));
        self.until("a connection that is refused", |_| before < link.harmed());
        link.set(Mode::Forward);
    }

    fn through(&mut self, link: &Proxy, mode: Mode) {
        let before = link.harmed();
        link.set(mode);
        let more = Duration::from_millis(self.random.below(2000));
        self.pass(Duration::from_secs(2) + more);
        self.until("a piece that the link does not just pass on", |_| before < link.harmed());
        link.set(Mode::Forward);
    }

    /// Lets time pass; whoever ends is started again.
    fn pass(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.workers.tend();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn until(&mut self, what: &str, mut so: impl FnMut(&Servers) -> bool) {
        let begun = Instant::now();
        while !so(self.servers) {
            assert!(begun.elapsed() < RECOVERY_MAX, "waited {RECOVERY_MAX:?} for {what}");
            self.workers.tend();
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until every partition has committed something since now.
    pub(crate) fn await_progress(&mut self, after: &str) {
        let mut before = None;
        self.until(&format!("commits in every partition after {after}"), |servers| {
            let now = offsets(servers);
            match (&before, now) {
                (None, now) => {
                    before = now.filter(|offsets| offsets.len() == 4);
                    false
                }
                (Some(_), None) => false,
                (Some(before), Some(now)) => {
                    before.iter().all(|(partition, offset)| *offset < now[partition])
                }
            }
        });
    }
}

/// Who owns each partition.
const OWNERS: &str = "SELECT `partition`, owner_epoch FROM animov.partitions";

/// What is counted of each partition.
fn offsets(servers: &Servers) -> Option<BTreeMap<u32, u64>> {
    let answer = servers.ask("SELECT `partition`, next_offset FROM animov.partitions")?;
    let rows = answer.lines().map(|line| {
        let (partition, offset) = line.split_once('\t').unwrap();
        (partition.parse().unwrap(), offset.parse().unwrap())
    });
    Some(rows.collect())
}
