//! `bench`: what a coordinator does with a fleet attached, measured from the outside: clocks of this process, /proc of the
//! coordinator's, and what its people's face says. Both ends share this machine's cores, which is said beside the figures.
//! Deliberately no verdict: the goals are in the README.

mod figures;
mod machine;
mod playbook;
mod rollout;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use echelon_proto::Span;
use tokio::time;

pub use figures::Figures;

use crate::{
    binaries::Binaries,
    coordinator::Coordinator,
    fleet::{Fleet, PhaseTime, address, join, raise_open_files, roster, until_attached},
    place::Place,
    screen,
};
use rollout::Release;

/// For all to attach.
const ATTACH_WITHIN: Duration = Duration::from_secs(300);
/// What attaching leaves to do is done after this; memory is read then.
const SETTLED: Duration = Duration::from_secs(3);

/// How the figures are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For the eye.
    #[default]
    Text,
    /// One object on the last line.
    Json,
}

/// `bench`
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// Agents
    #[arg(long, default_value_t = 2000)]
    pub hosts: usize,
    /// Datacenters, each a lane
    #[arg(long, default_value_t = 4)]
    pub datacenters: usize,
    /// Roll out once more with phases that take so long; without it there is no critical path to compare with
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub phase_time: Span,
    /// Hosts at once in a lane [default: a tenth of the lane]
    #[arg(long)]
    pub max_parallel: Option<usize>,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
    /// Keep the coordinator's folder
    #[arg(long)]
    pub keep: bool,
}

/// Measures, and shows what was found.
///
/// # Errors
/// Something does not start, does not attach, or does not come to an end.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let figures = measure(arguments).await?;
    screen::gap();
    screen::plain(figures.text());
    if arguments.output == Format::Json {
        screen::plain(serde_json::to_string(&figures)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything, in one run over one coordinator.
///
/// # Errors
/// Something does not start, does not attach, or does not come to an end.
pub async fn measure(arguments: &Arguments) -> anyhow::Result<Figures> {
    raise_open_files(arguments.hosts)?;
    let binaries = Binaries::build().await?;
    let place = Place::new("bench", arguments.keep)?;
    let mut coordinator = Coordinator::new(&binaries, place.path(), &[]).await?;
    coordinator.serve().await?;
    let mut figures = Figures::begin(arguments, &binaries.profile)?;

    let empty = machine::resident_bytes(coordinator.pid()?)?;
    let began = Instant::now();
    let members = join(&coordinator, &roster(arguments.hosts, arguments.datacenters)?).await?;
    screen::note(format_args!(
        "{} hosts joined in {:.1} s",
        members.len(),
        began.elapsed().as_secs_f64()
    ));
    let joined = machine::resident_bytes(coordinator.pid()?)?;

    let phase_time = PhaseTime::default();
    let began = Instant::now();
    let fleet = Fleet::attach(&members, &address(&coordinator)?, &phase_time);
    until_attached(&coordinator, arguments.hosts, ATTACH_WITHIN).await?;
    figures.attach_s = began.elapsed().as_secs_f64();
    screen::note(format_args!("attached in {:.2} s", figures.attach_s));
    time::sleep(SETTLED).await;
    let attached = machine::resident_bytes(coordinator.pid()?)?;
    figures.remember(empty, joined, attached);

    rollouts(&coordinator, arguments, &phase_time, &mut figures).await?;
    reattach(&mut coordinator, arguments.hosts, &mut figures).await?;
    fleet.end().await;
    coordinator.stop().await?;
    Ok(figures)
}

async fn rollouts(
    coordinator: &Coordinator,
    arguments: &Arguments,
    phase_time: &PhaseTime,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    rollout::push(coordinator, &playbook::order_all(arguments.hosts)).await?;
    rollout::push(coordinator, &playbook::waves(figures.max_parallel)).await?;

    let order = Release {
        app: "ping",
        release: "1",
        playbook: playbook::ORDER_ALL,
    };
    let order = rollout::run(coordinator, order, arguments.hosts).await?;
    figures.order_all_ms = order.makespan.as_secs_f64() * 1000.0;
    screen::note(format_args!(
        "one order to all and back in {:.0} ms",
        figures.order_all_ms
    ));

    let instant = Release {
        app: "fleet",
        release: "1",
        playbook: playbook::WAVES,
    };
    let instant = rollout::run(coordinator, instant, arguments.hosts).await?;
    figures.instant(&instant);
    screen::note(format_args!(
        "full rollout with instant phases in {:.2} s",
        instant.makespan.as_secs_f64()
    ));

    if arguments.phase_time > Span::ZERO {
        let each = Duration::from_millis(arguments.phase_time.0);
        phase_time.set(each);
        let timed = Release {
            app: "fleet",
            release: "2",
            playbook: playbook::WAVES,
        };
        let timed = rollout::run(coordinator, timed, arguments.hosts).await?;
        figures.timed(&timed, each);
        screen::note(format_args!(
            "full rollout with phases of {} in {:.2} s",
            arguments.phase_time, figures.makespan_s
        ));
    }
    Ok(())
}

/// From the kill to the last agent that is back.
async fn reattach(coordinator: &mut Coordinator, hosts: usize, figures: &mut Figures) -> anyhow::Result<()> {
    let began = Instant::now();
    coordinator.kill().await?;
    coordinator.serve().await?;
    figures.restart_s = began.elapsed().as_secs_f64();
    until_attached(coordinator, hosts, ATTACH_WITHIN).await?;
    figures.reattach_s = began.elapsed().as_secs_f64();
    screen::note(format_args!(
        "all back {:.2} s after a kill -9 of the coordinator",
        figures.reattach_s
    ));
    Ok(())
}
