//! Drives the phases of a benchmark: fill, warm up, measure.
//!
//! Each thread has a runtime and connections of its own, so that threads share nothing but the
//! tickets. A lane is a task with one request in flight.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::pace::Tickets;
use super::record::{Figures, Recorder};
use super::target::Target;
use super::workload::{Kind, Workload};
use super::{Bench, Protocol};
use crate::cli::Global;

/// Lanes of a connection while the keys are written, at least.
const FILL_LANES: u32 = 16;

/// How often the progress bar moves.
const PROGRESS: Duration = Duration::from_millis(100);

/// The threads of a benchmark, connected.
pub(crate) struct Workers {
    threads: Vec<Worker>,
    /// Waits for Ctrl-C and moves the progress bar, beside the threads.
    aside: Runtime,
}

struct Worker {
    runtime: Runtime,
    targets: Vec<Target>,
}

/// What all lanes of a phase share.
struct Job {
    workload: Arc<Workload>,
    tickets: Tickets,
    recorder: Recorder,
    step: Step,
}

/// What the lanes do.
#[derive(Clone, Copy)]
enum Step {
    /// Each ticket is a key to be written.
    Fill,
    /// Each ticket is a request, whose number is larger by `first`.
    Requests { first: u64, verify: bool },
}

/// A phase that has ended.
pub(crate) struct Phase {
    job: Arc<Job>,
    /// From the start to the end of the last request.
    pub(crate) elapsed: Duration,
    /// Requests of an open loop that were due and never sent.
    pub(crate) unsent: u64,
    /// Whether Ctrl-C ended it.
    pub(crate) interrupted: bool,
}

impl Phase {
    /// What was measured, by kind and of all.
    pub(crate) fn figures(&self) -> (Vec<(Kind, Figures)>, Figures) {
        self.job.recorder.figures()
    }
}

impl Workers {
    /// Opens all connections.
    pub(crate) fn connect(bench: &Bench, global: &Global) -> anyhow::Result<Workers> {
        let mut threads = Vec::new();
        for thread in 0..bench.threads.min(bench.connections) {
            let runtime = Builder::new_current_thread().enable_all().build();
            let runtime = runtime.context("cannot start")?;
            let mut targets = Vec::new();
            for _ in (thread..bench.connections).step_by(bench.threads as usize) {
                let target = runtime.block_on(async {
                    match bench.protocol {
                        Protocol::Native => Target::native(&global.addr, &global.options()).await,
                        Protocol::Resp => Target::resp(&global.addr).await,
                    }
                })?;
                targets.push(target);
            }
            threads.push(Worker { runtime, targets });
        }
        let aside = Builder::new_current_thread().enable_all().build().context("cannot start")?;
        Ok(Workers { threads, aside })
    }

    /// Writes every key once.
    pub(crate) fn fill(&self, bench: &Bench, workload: &Arc<Workload>) -> anyhow::Result<()> {
        let phase = self.phase(
            bench.pipeline.max(FILL_LANES),
            &bar("fill", Some(bench.keys), None),
            Job {
                workload: workload.clone(),
                tickets: Tickets::new(Some(bench.keys), None, None),
                recorder: Recorder::new(self.threads.len()),
                step: Step::Fill,
            },
        );
        if phase.interrupted {
            bail!("interrupted while the keys were written");
        }
        let (_, all) = phase.figures();
        if let Some((kind, _)) = all.errors.first_key_value() {
            bail!("{} of {} keys could not be written ({kind})", all.failed(), bench.keys);
        }
        Ok(())
    }

    /// Sends requests that are not measured; none if that is not wanted.
    pub(crate) fn warm_up(&self, bench: &Bench, workload: &Arc<Workload>) -> Option<Phase> {
        let time = bench.warm_up_time();
        if time.is_zero() {
            return None;
        }
        let bar = bar("warm up", None, Some(time));
        let tickets = Tickets::new(None, Some(time), bench.rate);
        // The numbers of the measurement would be the same requests.
        Some(self.requests(bench, workload, tickets, 1 << 62, &bar))
    }

    /// Sends requests and measures.
    pub(crate) fn measure(&self, bench: &Bench, workload: &Arc<Workload>) -> Phase {
        let bar = bar("measure", bench.requests, bench.measured_time());
        let tickets = Tickets::new(bench.requests, bench.measured_time(), bench.rate);
        self.requests(bench, workload, tickets, 0, &bar)
    }

    /// Sends the requests of the workload, from number `first`.
    fn requests(
        &self,
        bench: &Bench,
        workload: &Arc<Workload>,
        tickets: Tickets,
        first: u64,
        bar: &Bar,
    ) -> Phase {
        let job = Job {
            workload: workload.clone(),
            tickets,
            recorder: Recorder::new(self.threads.len()),
            step: Step::Requests { first, verify: bench.verify },
        };
        self.phase(bench.pipeline, bar, job)
    }

    /// Runs `lanes` lanes on each connection until there are no more tickets.
    fn phase(&self, lanes: u32, bar: &Bar, job: Job) -> Phase {
        let job = Arc::new(job);
        let start = Instant::now();
        let (interrupted, end) = std::thread::scope(|scope| {
            scope.spawn(|| job.tickets.pace());
            // The channel closes when the last thread is done.
            let (working, done) = mpsc::channel::<()>(1);
            let threads: Vec<_> = (0..self.threads.len())
                .map(|thread| {
                    let (job, working) = (job.clone(), working.clone());
                    scope.spawn(move || {
                        self.threads[thread].run(thread, lanes, &job);
                        drop(working);
                        Instant::now()
                    })
                })
                .collect();
            drop(working);
            let interrupted = self.aside.block_on(watch(&job.tickets, bar, start, done));
            let ends = threads.into_iter().map(|thread| thread.join().expect("lanes do not panic"));
            (interrupted, ends.max().unwrap_or(start))
        });
        bar.shown.finish_and_clear();
        Phase { elapsed: end - start, unsent: job.tickets.left_over(end), job, interrupted }
    }
}

impl Worker {
    /// Runs so many lanes on each connection, until all have ended.
    fn run(&self, thread: usize, lanes: u32, job: &Arc<Job>) {
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for target in &self.targets {
                for _ in 0..lanes {
                    tasks.spawn(lane(thread, target.clone(), job.clone()));
                }
            }
            tasks.join_all().await;
        });
    }
}

/// Sends one request after the other, as long as there are tickets.
async fn lane(thread: usize, target: Target, job: Arc<Job>) {
    let workload = &*job.workload;
    while let Some(ticket) = job.tickets.next().await {
        let (request, check) = match job.step {
            Step::Fill => (workload.set(ticket.number, ticket.number), None),
            Step::Requests { first, verify } => {
                (workload.request(first + ticket.number), verify.then_some(workload))
            }
        };
        let begin = ticket.start(Instant::now());
        let (kind, outcome) = target.send(request, check).await;
        job.recorder.record(thread, kind, begin.elapsed(), outcome);
    }
}

/// Moves the progress bar until all threads are done; tells whether Ctrl-C came. The first one
/// ends the phase, a second one the program.
async fn watch(tickets: &Tickets, bar: &Bar, start: Instant, mut done: mpsc::Receiver<()>) -> bool {
    let mut interval = tokio::time::interval(PROGRESS);
    let mut interrupted = false;
    loop {
        tokio::select! {
            _ = done.recv() => return interrupted,
            _ = interval.tick() => {
                let seconds = start.elapsed().as_secs_f64();
                let taken = tickets.taken();
                bar.shown.set_message(format!("{:.0} a second", taken as f64 / seconds.max(0.001)));
                bar.shown.set_position(if bar.counts { taken } else { (seconds * 1e3) as u64 });
            }
            Ok(()) = tokio::signal::ctrl_c() => {
                if interrupted {
                    std::process::exit(130);
                }
                interrupted = true;
                tickets.stop();
            }
        }
    }
}

/// A progress bar.
struct Bar {
    shown: ProgressBar,
    /// Whether its length is a number of requests; otherwise it is a time in milliseconds.
    counts: bool,
}

/// A progress bar of requests or of time, hidden where stderr is no terminal.
fn bar(phase: &'static str, requests: Option<u64>, time: Option<Duration>) -> Bar {
    let length = requests.or_else(|| time.map(|time| time.as_millis() as u64));
    let style = ProgressStyle::with_template("{prefix:8} [{wide_bar}] {percent:>3} %  {msg}")
        .expect("the template is right")
        .progress_chars("=> ");
    let shown = ProgressBar::new(length.unwrap_or(0)).with_style(style).with_prefix(phase);
    Bar { shown, counts: requests.is_some() }
}
