//! Coordinator and command as packages, on a real host: installed by dpkg, configured as their README says, started by the
//! host's systemd, spoken to by the command from its own package, and taken away. Beside the run's own coordinator, which
//! it does not know of. Deliberately only what the packages bring.

use anyhow::ensure;

use super::{machine::Machine, package, scene::Scene};
use crate::screen;

const DATA: &str = "/var/lib/echelon/coordinator";
/// As the first admin, on the host itself.
const ASK: &str = "export ECHELON_COORDINATOR=https://127.0.0.1:7444 ECHELON_CA=$DATA/pki/ca.pem \
                   ECHELON_CERT=$DATA/pki/admin.pem ECHELON_KEY=$DATA/pki/admin.key; ";

/// All of it, on the first host.
pub(super) async fn set_up(scene: &Scene) -> anyhow::Result<()> {
    let Some(machine) = scene.machines.first() else {
        return Ok(());
    };
    let packages = package::make_others(&scene.binaries, &scene.folder("packages")?).await?;
    for file in &packages {
        package::install(file, machine).await?;
    }
    machine.must("systemctl start echelon-coordinator").await?;
    let state = machine.ask("systemctl is-active echelon-coordinator").await?;
    ensure!(
        state.out.trim() == "inactive",
        "on {} the coordinator is {} although nobody has configured it",
        machine.name,
        state.out.trim()
    );
    let data = format!("DATA={DATA}");
    let init = "runuser -u echelon-coordinator -- \
                echelon-coordinator init --admin ann; systemctl start echelon-coordinator; \
                systemctl is-active echelon-coordinator";
    machine.script(&data, init).await?;
    let hosts = machine
        .script(&data, &format!("{ASK} echelon host list --output json"))
        .await?;
    ensure!(
        hosts.trim().starts_with(['[', '{']),
        "`echelon host list` says {hosts:?}"
    );
    must_come_back(machine).await?;
    for page in [
        "man1/echelon-agent.1.gz",
        "man1/echelon-coordinator.1.gz",
        "man1/echelon.1.gz",
    ] {
        let path = machine.file(&format!("/usr/share/man/{page}"))?;
        ensure!(path.is_file(), "{page} is no page of manual on {}", machine.name);
    }
    purged(machine).await?;
    screen::good(format_args!(
        "{}: coordinator and command from their packages speak to one another, and are gone when they are purged",
        machine.name
    ));
    Ok(())
}

/// Killed, it is started again by systemd, and knows what it knew.
async fn must_come_back(machine: &Machine) -> anyhow::Result<()> {
    let script = "systemctl kill --kill-whom=main --signal=KILL echelon-coordinator; \
                  until [ \"$(systemctl show --value --property=NRestarts echelon-coordinator)\" != 0 ] && \
                  systemctl --quiet is-active echelon-coordinator; do sleep 0.1; done; ";
    let hosts = machine
        .script(
            &format!("DATA={DATA}"),
            &format!("{script}{ASK} echelon host list --output json"),
        )
        .await?;
    ensure!(hosts.trim().starts_with(['[', '{']), "after a kill: {hosts:?}");
    Ok(())
}

async fn purged(machine: &Machine) -> anyhow::Result<()> {
    machine.must("dpkg --purge echelon-coordinator echelon-cli").await?;
    for path in [DATA, "/usr/bin/echelon-coordinator", "/usr/bin/echelon"] {
        ensure!(
            !machine.file(path)?.exists(),
            "on {} {path} is still there",
            machine.name
        );
    }
    Ok(())
}
