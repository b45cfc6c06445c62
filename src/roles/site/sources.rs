//! The cameras and the herds of a site, and the way of their frames to the log.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use producers::camera::{self, Ended, Surroundings};
use producers::config::{CameraConfig, HerdConfig};
use producers::detect::Detector;
use producers::detect::model::ModelFile;
use producers::detect::onnx::OnnxDetector;
use producers::metrics::Metrics;
use producers::publish::{PublishError, PublishOptions, Publisher};
use producers::simulate;
use schemas::log::FrameLog;
use schemas::stop::Stop;
use schemas::time::Clock;

use super::watch::Watch;
use crate::config::{Config, variable};

/// Everything that produces frames.
pub(super) struct Sources {
    publisher: Publisher,
    /// Each with its name; taken out when it has ended.
    threads: Vec<(String, JoinHandle<anyhow::Result<Ended>>)>,
    stop: Stop,
}

impl Sources {
    /// Starts every camera and herd of `config`.
    ///
    /// # Errors
    ///
    /// The system has no thread left; those that were started have ended.
    pub(super) fn start(
        config: &Config,
        log: Arc<dyn FrameLog>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> anyhow::Result<Sources> {
        let stop = Stop::default();
        let options = PublishOptions::from(&config.publish);
        let publisher = Publisher::start(log, Arc::clone(&clock), metrics, options, stop.clone())?;
        let mut sources = Sources { publisher, threads: Vec::new(), stop };
        let started = config
            .camera
            .iter()
            .try_for_each(|camera| sources.start_camera(config, camera, &clock))
            .and_then(|()| {
                config.herd.iter().try_for_each(|herd| sources.start_herd(herd, &clock))
            });
        match started {
            Ok(()) => Ok(sources),
            Err(error) => {
                sources.finish()?;
                Err(error)
            }
        }
    }

    fn start_camera(
        &mut self,
        config: &Config,
        camera: &CameraConfig,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<()> {
        let name = camera.display_name();
        let options = config.detector.options(camera.model.as_ref());
        if options.model == ModelFile::BuiltIn {
            tracing::info!(
                source = camera.source.get(),
                "{name} is looked at by the built-in model, which was trained on drawn goats; for \
                 real animals set detector.model"
            );
        }
        // Each camera has a session of its own, and so its own core to use.
        let detector = move || {
            let detector: Box<dyn Detector> = Box::new(OnnxDetector::load(&options)?);
            Ok(detector)
        };
        let publisher = self.publisher.source(camera.source);
        let around =
            Surroundings { clock: Arc::clone(clock), stop: self.stop.clone(), watcher: None };
        let spawned = camera::spawn(camera.camera(variable)?, detector, publisher, around)?;
        self.watch_over(name, move || {
            let ended = spawned.join().map_err(|_| anyhow::anyhow!("ended in a panic"))?;
            Ok(ended?)
        })
    }

    fn start_herd(&mut self, herd: &HerdConfig, clock: &Arc<dyn Clock>) -> anyhow::Result<()> {
        let run = herd.run(clock.now());
        let mut publishers: Vec<_> =
            herd.sources.iter().map(|source| self.publisher.source(*source)).collect();
        let numbers: Vec<String> = herd.sources.iter().map(ToString::to_string).collect();
        let (clock, stop) = (Arc::clone(clock), self.stop.clone());
        self.watch_over(format!("herd {}", numbers.join(",")), move || {
            simulate::run(&run, &mut publishers, &clock, &stop)?;
            Ok(Ended::Stopped)
        })
    }

    fn watch_over(
        &mut self,
        name: String,
        work: impl FnOnce() -> anyhow::Result<Ended> + Send + 'static,
    ) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new()
            .name("source".to_owned())
            .spawn(work)
            .with_context(|| format!("could not start the thread of {name}"))?;
        self.threads.push((name, thread));
        Ok(())
    }

    /// Whether the log takes no more frames: [`finish`](Sources::finish) says why.
    pub(super) fn have_failed(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Takes note of those that have ended. The others go on.
    pub(super) fn look(&mut self, watch: &Watch) {
        for (name, ended) in self.threads.extract_if(.., |(_, thread)| thread.is_finished()) {
            match join(ended) {
                Ok(Ended::File) => tracing::info!(source = name, "the recording has ended"),
                Ok(Ended::Stopped) => {}
                Err(error) => {
                    let cause = format!("{error:#}");
                    tracing::error!(source = name, error = cause, "source has ended");
                    watch.source_failed(&name, "has ended; the log says why");
                }
            }
        }
    }

    /// Stops all of them and waits until their frames are in the log.
    ///
    /// # Errors
    ///
    /// The log did not take all frames.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let Sources { publisher, threads, stop } = self;
        stop.stop();
        for (name, thread) in threads {
            match join(thread) {
                Ok(_) => {}
                // Its own error follows.
                Err(error) if is_end_of_publisher(&error) => {}
                Err(error) => {
                    let cause = format!("{error:#}");
                    tracing::error!(source = name, error = cause, "source has ended");
                }
            }
        }
        let published = publisher.finish().context("not every frame reached the log")?;
        tracing::info!(frames = published.frames, "sources stopped, their frames are in the log");
        Ok(())
    }
}

fn is_end_of_publisher(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        matches!(cause.downcast_ref(), Some(PublishError::Ended | PublishError::Stopped))
    })
}

fn join(thread: JoinHandle<anyhow::Result<Ended>>) -> anyhow::Result<Ended> {
    thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("ended in a panic")))
}
