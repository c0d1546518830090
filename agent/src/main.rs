//! `echelon-agent`: reads the command line and calls the library. Deliberately nothing else.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, FromArgMatches as _};
use echelon_agent::{
    arguments::{Arguments, Command, Step},
    config::Config,
    doctor,
    host::{self, Host},
    identity::{self, Identity},
    ledger::{Ledger, Progress},
    link,
    upgrade::Upgrade,
};
use nix::unistd::Uid;
use sd_notify::NotifyState;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time,
};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Of this binary. A build may call itself something else than its source does: two versions of one source are how an
/// upgrade is tried out.
const VERSION: &str = match option_env!("ECHELON_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    let matches = Arguments::command().version(VERSION).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let done = match arguments.command {
        // No runtime: one of these waits on every program that runs.
        Command::Supervise { unit, dir } => host::supervise(&dir, unit).context("nothing was run"),
        Command::Join { config, token } => join(&config, &token),
        Command::Run { config } => run(&config),
        Command::Status { config } => status(&config),
        Command::Upgrade { config, step } => upgrade(&config, step),
        Command::Doctor { config } => look(&config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "echelon-agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    // Two threads: one may be in a disk's hands while the other keeps the heartbeat.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

fn join(config: &Path, token: &str) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let _lock = lock(&config)?;
    let identity = runtime()?.block_on(config.place().join(token))?;
    let until = echelon_proto::Time(u64::try_from(identity.not_after().as_millis())?);
    writeln!(
        io::stdout(),
        "{} has joined; its certificate is good until {until}",
        config.host
    )?;
    Ok(())
}

/// Two agents on one state folder would run everything twice.
fn lock(config: &Config) -> anyhow::Result<File> {
    let folder = &config.state_dir;
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let path = folder.join("lock");
    let file = File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "another agent runs with the state folder {}; stop it first",
            folder.display()
        ),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("{} cannot be locked", path.display())),
    }
}

fn run(config: &Path) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    let path = config;
    let config = Config::load(path)?;
    if let Err(error) = upgrades(path, &config).become_chosen(std::env::args_os().skip(1)) {
        tracing::error!(%error, "the package's own version runs, whatever was chosen");
    }
    let _lock = lock(&config)?;
    tracing::info!(version = VERSION, "the agent starts");
    let runtime = runtime()?;
    let ran = runtime.block_on(serve(&config));
    // Reads of slow disks are not waited for; programs go on under their supervisors.
    runtime.shutdown_background();
    ran
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let place = config.place();
    let identity = Identity::load(&place.identity)?;
    let (tls, current) = watch::channel(identity::tls(place.roots()?, Some(&identity))?);
    // The very binary that runs: a path may by now lead to its successor, or nowhere.
    let host = host::Settings {
        systemd_run: is_unit().then(|| "systemd-run".into()),
        ..config.host("/proc/self/exe".into())
    };
    let host = Host::open(host).context("the host's folders")?;
    let settings = link::Settings {
        host: config.host.clone(),
        version: VERSION.to_owned(),
        coordinator: config.coordinator.clone(),
        tls: current,
        labels: config.labels.clone(),
        facts: Arc::new(config.facts()),
        sample_every: link::SAMPLE_EVERY,
    };
    let stop = CancellationToken::new();
    // Ready although not attached: a host must boot while its coordinator is away.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tokio::select! {
        () = link::run(settings, config.store(), Arc::new(host), stop.clone()) => {}
        () = place.keep_renewed(identity, tls) => {}
        () = watchdog() => {}
        () = stop_when_told(stop) => {}
    }
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    Ok(())
}

/// Whether systemd itself has started this agent, as root: then it may ask it for units.
fn is_unit() -> bool {
    let told = std::env::var_os("NOTIFY_SOCKET").is_some();
    told && sd_notify::booted().unwrap_or(false) && Uid::effective().is_root()
}

/// Says that the runtime still turns, twice as often as systemd asks; for ever.
async fn watchdog() {
    let Some(every) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = time::interval((every / 2).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    }
}

/// The link then ends by itself, in good order.
async fn stop_when_told(stop: CancellationToken) {
    let signal = told_to_stop().await;
    tracing::info!(signal, "stopping; what runs goes on under its supervisor");
    stop.cancel();
    std::future::pending::<()>().await;
}

async fn told_to_stop() -> &'static str {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        tracing::error!("signals cannot be received; only SIGKILL ends this agent");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

fn upgrades(path: &Path, config: &Config) -> Upgrade {
    // What is said to systemd must mean the same to it.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Upgrade::new(config.state_dir.clone(), path, VERSION)
}

fn upgrade(path: &Path, step: Step) -> anyhow::Result<()> {
    let upgrade = upgrades(path, &Config::load(path)?);
    let mut out = io::stdout();
    match step {
        Step::Stage(binary) => writeln!(out, "version {} is staged", upgrade.stage(&binary.from)?)?,
        Step::Switch { binary, within } => {
            let version = upgrade.switch(&binary.from, within)?;
            writeln!(out, "version {version} is on trial for {within}")?;
        }
        Step::Probe(binary) => writeln!(out, "version {} has been welcomed", upgrade.probe(&binary.from)?)?,
        Step::Commit(binary) => writeln!(out, "version {} stays", upgrade.commit(&binary.from)?)?,
        Step::Return(binary) => {
            let gives_way = upgrade.give_way(&binary.from)?;
            let said = if gives_way {
                "the version before it runs again"
            } else {
                "it does not run"
            };
            writeln!(out, "{said}")?;
        }
        Step::Guard => upgrade.guard()?,
    }
    Ok(())
}

fn look(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let mut findings = runtime()?.block_on(doctor::connection(&config.place()));
    findings.extend(doctor::look(&config.host("/proc/self/exe".into())));
    match doctor::print(&mut io::stdout().lock(), &findings)? {
        0 => Ok(()),
        1 => bail!("1 thing is wrong with this host"),
        faults => bail!("{faults} things are wrong with this host"),
    }
}

fn status(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    let ledger = config.store().load()?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "host {}, coordinator {}, term {}",
        config.host, config.coordinator, ledger.term
    )?;
    print(&mut out, &ledger)?;
    Ok(())
}

fn print(out: &mut impl io::Write, ledger: &Ledger) -> io::Result<()> {
    let name = |name: Option<&str>| name.unwrap_or("-").to_owned();
    for standing in ledger.apps.values() {
        let state = name(standing.state.as_ref().map(|state| state.as_str()));
        let release = name(standing.release.as_ref().map(|release| release.as_str()));
        let previous = name(standing.previous.as_ref().map(|release| release.as_str()));
        writeln!(
            out,
            "app {}: {state}, release {release}, previous {previous}",
            standing.app
        )?;
        if !standing.error.is_empty() {
            writeln!(out, "  error: {}", standing.error)?;
        }
    }
    for attempt in &ledger.attempts {
        let fence = &attempt.fence;
        match &attempt.progress {
            Progress::Running(_) => writeln!(
                out,
                "attempt {fence} of {}: running since {}",
                attempt.app, attempt.started
            )?,
            Progress::Ended(report) => writeln!(
                out,
                "attempt {fence} of {}: {} at {}, not acknowledged yet",
                attempt.app, report.outcome.result, report.ended
            )?,
            Progress::Acknowledged(report) => {
                writeln!(
                    out,
                    "attempt {fence} of {}: {} at {}",
                    attempt.app, report.outcome.result, report.ended
                )?;
            }
        }
    }
    Ok(())
}
