//! What people see of a host and do to it: facts, labels, what its agent measured.

use std::time::Duration;

use echelon_coordinator::{driver::wall, pki::Role};
use echelon_proto::wire::{
    control,
    link::{self, agent_message::Body},
};
use tonic::Code;

use crate::{
    agent::{Agent, hello},
    house::{House, program, refusal},
};

fn named(host: &str) -> control::GetHostRequest {
    control::GetHostRequest {
        name: format!("hosts/{host}"),
    }
}

fn labelled(set: &[(&str, &str)], remove: &[&str]) -> control::LabelHostRequest {
    control::LabelHostRequest {
        name: "hosts/h1".into(),
        set: set
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect(),
        remove: remove.iter().map(|key| (*key).into()).collect(),
        validate_only: false,
    }
}

#[tokio::test]
async fn the_facts_of_a_host_are_told_with_its_disks() {
    let house = House::new();
    let host = house.join("h1", "dc1").await;
    let disk = link::Disk {
        folder: "apps".into(),
        total_bytes: 1000,
        free_bytes: 400,
    };
    let mut said = hello();
    said.facts = Some(link::Facts {
        os: "Debian 13".into(),
        cores: 4,
        disks: vec![disk],
        ..link::Facts::default()
    });
    let _agent = Agent::attach_with(&house, &host, said).await.unwrap();
    let mut viewer = house.person("vera", Role::Viewer).await;
    let facts = viewer.get_host(named("h1")).await.unwrap().into_inner().facts;
    let fact = |key: &str| facts.get(key).map(String::as_str);
    assert_eq!((fact("os"), fact("cores")), (Some("Debian 13"), Some("4")));
    assert_eq!(
        (fact("apps_disk_bytes"), fact("apps_disk_free_bytes")),
        (Some("1000"), Some("400"))
    );
}

#[tokio::test]
async fn a_label_is_durable_selects_and_says_who_gave_it() {
    let mut house = House::new();
    house.join("h1", "dc1").await;
    house.join("h2", "dc1").await;
    let mut admin = house.person("root", Role::Admin).await;
    let mut deployer = house.person("dora", Role::Deployer).await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED".to_owned());
    assert_eq!(
        refusal(deployer.label_host(labelled(&[("rack", "r7")], &[])).await),
        denied
    );

    let dry = control::LabelHostRequest {
        validate_only: true,
        ..labelled(&[("rack", "r7")], &[])
    };
    let shown = admin.label_host(dry).await.unwrap().into_inner();
    assert_eq!(
        shown.labels.get("rack").map(String::as_str),
        Some("r7"),
        "as it would be"
    );
    let now = admin.get_host(named("h1")).await.unwrap().into_inner();
    assert_eq!(now.labels.get("rack"), None, "a dry run changed something");

    admin.label_host(labelled(&[("rack", "r7")], &["app"])).await.unwrap();
    for (wrong, why) in [
        (labelled(&[], &[]), "name a label"),
        (labelled(&[("a b", "x")], &[]), "a b"),
        (labelled(&[("rack", "r7")], &["rack"]), "to be set and to be removed"),
    ] {
        let status = admin.label_host(wrong).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains(why), "{status}");
    }

    house.kill_and_start_again();
    let mut viewer = house.person("vera", Role::Viewer).await;
    let selected = control::ListHostsRequest {
        selector: "rack=r7".into(),
        ..Default::default()
    };
    let hosts = viewer.list_hosts(selected).await.unwrap().into_inner().hosts;
    assert_eq!(hosts.iter().map(|host| host.host.as_str()).collect::<Vec<_>>(), ["h1"]);
    assert_eq!(hosts[0].labels.get("app"), None);

    house.terminate().await;
    let dump = program()
        .args(["journal", "dump", "--data"])
        .arg(house.data())
        .output()
        .unwrap();
    let dump = String::from_utf8_lossy(&dump.stdout);
    let written: Vec<_> = dump.lines().filter(|line| line.contains("host_labelled")).collect();
    assert_eq!(written.len(), 1, "{dump}");
    assert!(
        written[0].contains("\"by\":\"root\"") && written[0].contains("\"rack\":\"r7\""),
        "{}",
        written[0]
    );
}

fn measured(ahead_ms: i64, values: &[(&str, f64)]) -> Body {
    let now = i64::try_from(wall().0).unwrap();
    Body::Samples(link::Samples {
        at_ms: now + ahead_ms,
        values: values
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect(),
    })
}

#[tokio::test]
async fn what_an_agent_measured_can_be_read_and_is_in_no_journal() {
    let mut house = House::new();
    let host = house.join("h1", "dc1").await;
    house.join("h2", "dc1").await;
    let agent = Agent::attach(&house, &host).await.unwrap();
    agent.say(measured(-2000, &[("cpu_used_percent", 20.0)])).await;
    agent.say(measured(3_600_000, &[("cpu_used_percent", 99.0)])).await;
    let last = [
        ("cpu_used_percent", 30.0),
        ("memory_used_percent", f64::NAN),
        ("probe_ms/r1/health", 4.0),
    ];
    agent.say(measured(0, &last)).await;

    let mut viewer = house.person("vera", Role::Viewer).await;
    let seen = async {
        loop {
            let samples = viewer.get_host(named("h1")).await.unwrap().into_inner().samples;
            if samples.len() == 2 {
                return samples;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let samples = tokio::time::timeout(crate::house::LONG, seen)
        .await
        .expect("they arrive");
    let newest: Vec<_> = samples
        .iter()
        .map(|sample| (sample.name.as_str(), sample.value))
        .collect();
    assert_eq!(newest, [("cpu_used_percent", 30.0), ("probe_ms/r1/health", 4.0)]);

    let read = |names: &[&str], series: &[&str]| control::ReadSamplesRequest {
        names: names.iter().map(|name| format!("hosts/{name}")).collect(),
        series: series.iter().map(|name| (*name).to_owned()).collect(),
        start_time: None,
    };
    let hosts = viewer
        .read_samples(read(&["h2", "h1"], &["cpu_used_percent"]))
        .await
        .unwrap()
        .into_inner()
        .hosts;
    assert_eq!((hosts[0].name.as_str(), hosts[0].series.len()), ("hosts/h2", 0));
    let [cpu] = &hosts[1].series[..] else {
        panic!("{hosts:?}")
    };
    let values: Vec<_> = cpu.points.iter().map(|point| point.value).collect();
    assert_eq!((cpu.name.as_str(), values), ("cpu_used_percent", vec![20.0, 30.0]));
    assert!(cpu.points[0].unix_ms < cpu.points[1].unix_ms);
    assert_eq!(refusal(viewer.read_samples(read(&["h9"], &[])).await).0, Code::NotFound);
    assert_eq!(
        refusal(viewer.read_samples(read(&[], &[])).await).0,
        Code::InvalidArgument
    );

    house.kill_and_start_again();
    let mut viewer = house.person("vera", Role::Viewer).await;
    let hosts = viewer
        .read_samples(read(&["h1"], &[]))
        .await
        .unwrap()
        .into_inner()
        .hosts;
    assert_eq!(hosts[0].series, [], "they are in memory only");
}
